"""What of a job on many machines needs no cluster."""

from __future__ import annotations

import asyncio
import io
import pickle
from datetime import UTC, datetime, timedelta
from typing import Any

import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneword.engine.config import EngineConfig
from oneword.engine.errors import ModelNotFound
from oneword.engine.hashing import HashEncoder
from oneword.engine.views import DEFAULT
from oneword.indexer import BadCluster, JobConfig, RayConfig, SourceOptions, WorkersFailed
from oneword.indexer.changes import Seen
from oneword.indexer.coverage import Coverage
from oneword.indexer.distributed.cluster import Pools
from oneword.indexer.distributed.driver import Committer
from oneword.indexer.distributed.faults import failed
from oneword.indexer.distributed.messages import (
    InFragment,
    Places,
    Share,
    WorkerSettings,
    empty_row,
    from_block,
    to_block,
)
from oneword.indexer.distributed.pipeline import Feed
from oneword.indexer.distributed.runner import DescribedEncoder
from oneword.indexer.distributed.shares import Ledger
from oneword.indexer.distributed.workers import Loader
from oneword.indexer.entry import Entry
from oneword.indexer.inputs import Inputs
from oneword.indexer.job import Job
from oneword.indexer.outcome import Unchanged
from oneword.indexer.report import Report
from oneword.storage import Refused, Store


@given(
    cpus=st.integers(1, 500),
    gpus=st.integers(0, 64),
    workers=st.none() | st.integers(1, 80),
    each=st.none() | st.sampled_from([0.0, 0.25, 0.5, 1.0, 2.0]),
    shrink=st.booleans(),
)
def test_pools_fit_the_cluster(cpus: int, gpus: int, workers: int | None, each: float | None, shrink: bool) -> None:
    config, resources = RayConfig(workers=workers, gpus_per_worker=each), {"CPU": float(cpus), "GPU": float(gpus)}
    try:
        pools = Pools.of(config, resources, shrink=shrink)
    except BadCluster:
        assert not shrink
        assert cpus < (workers or 1) + 1 or (each or gpus)
        return
    assert min(pools.embedders, pools.loaders, pools.writers) >= 1
    if not shrink or (cpus >= 2 and gpus >= pools.gpus):
        assert pools.embedders + pools.loaders <= cpus
        assert pools.embedders * pools.gpus <= gpus
    if workers is not None:
        assert pools.embedders <= workers if shrink else pools.embedders == workers


@pytest.mark.parametrize(
    "wrong",
    [
        {"address": "ray://head:10001"},
        {"workers": 0},
        {"loaders": 0},
        {"gpus_per_worker": 1.5},
        {"gpus_per_worker": -1},
    ],
)
def test_what_a_cluster_cannot_be_asked_for(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadCluster, match=r"expected|cannot hold"):
        RayConfig(**wrong)


@given(
    shares=st.lists(st.integers(1, 6), min_size=1, max_size=8),
    order=st.randoms(use_true_random=False),
    twice=st.booleans(),
)
def test_the_ledger_takes_each_input_once(shares: list[int], order: Any, twice: bool) -> None:
    ledger = Ledger(most=100)
    for number, inputs in enumerate(shares):
        ledger.send(number, f"block {number}", inputs, 10 + number)
    parts = [Places(share=number, places=(place,)) for number, inputs in enumerate(shares) for place in range(inputs)]
    order.shuffle(parts)
    places: list[int] = []
    for count, part in enumerate(parts):
        assert sum(len(left) for _, left in ledger.left().values()) == len(parts) - count
        done = ledger.account((part,))
        assert done is not None
        places += done
        if twice:
            assert ledger.account((part,)) is None
    assert sorted(places) == [10 + number for number in range(len(shares))]
    assert not len(ledger)


def test_the_ledger_takes_all_or_nothing() -> None:
    ledger = Ledger(most=1)
    ledger.send(0, "block", 2, 0)
    assert not ledger.wait_for_room(0)
    assert ledger.account((Places(share=0, places=(0,)), Places(share=1, places=(0,)))) is None
    assert ledger.left() == {0: ("block", {0, 1})}
    assert ledger.account((Places(share=0, places=(0, 1)),)) == [0]
    assert ledger.wait_for_room(0)


def test_a_feed_gives_the_same_at_the_same_place() -> None:
    async def main() -> None:
        feed = Feed()
        waiting = asyncio.create_task(feed.take(0))
        await asyncio.sleep(0)
        assert not waiting.done()
        await feed.put(["a"])
        await feed.put(["b"])
        assert await waiting == ["a"]
        assert await feed.take(0) == ["a"], "whoever took it may be lost"
        await feed.forget([0])
        assert await feed.take(0) == [], "a place without a share, so that others keep theirs"
        assert await feed.take(1) == ["b"]
        end = asyncio.create_task(feed.take(2))
        await feed.close()
        assert await end is None
        assert await feed.take(1) == ["b"]

    asyncio.run(main())


def test_blocks_hold_objects() -> None:
    given = [Places(share=1, places=(1, 2)), Unchanged(origin="a")]
    assert from_block(to_block(given)) == given
    assert from_block(empty_row()) == []
    assert empty_row().num_rows == 1
    assert from_block(to_block([])) == []


def test_a_loader_obeys_the_jobs_limit_of_pixels() -> None:
    file = io.BytesIO()
    PIL.Image.new("RGB", (9, 9)).save(file, "PNG")
    share = Share(
        number=0, inputs=((0, Entry(id="a", uri="file:///a.png", origin="file:///a.png", image=file.getvalue())),)
    )
    for pixels, kind in ((80, "ImageTooLarge"), (81, None)):
        settings = WorkerSettings(
            db="db",
            collection=None,
            version=None,
            encoder=EngineConfig(),
            view=DEFAULT,
            splitter=None,
            config=JobConfig(max_pixels=pixels),
        )
        (block,) = Loader(settings)(to_block([share]))
        ((outcome,),) = (group.outcomes for group in from_block(block))
        assert getattr(outcome, "kind", None) == kind


def test_a_described_encoder_is_known_and_cannot_encode() -> None:
    model = HashEncoder()
    told = pickle.loads(pickle.dumps(DescribedEncoder.of(model, DEFAULT, EngineConfig())))
    assert (told.name, told.passage_tokens, told.tokenizer) == (model.name, model.passage_tokens, model.tokenizer)
    assert told.space(DEFAULT).as_dict() == model.space(DEFAULT).as_dict()
    assert told.config.model == "hash", "auto is settled"
    with pytest.raises(NotImplementedError, match="on the workers"):
        told.forward(None)


def test_errors_of_workers_are_ours() -> None:
    class Wrapped(Exception):
        cause = ModelNotFound("no model is called 'x'")

    assert failed(Wrapped()) is Wrapped.cause
    outer = RuntimeError("outer")
    outer.__cause__ = Wrapped()
    assert failed(outer) is Wrapped.cause
    other = failed(ValueError("first\nlast line\n"))
    assert isinstance(other, WorkersFailed)
    assert "last line; what was done is committed" in str(other)


def test_refusals_bear_the_time_of_the_committer() -> None:
    """Quarantine is settled by time, and workers' clocks may be late."""
    store, encoder = Store("db"), HashEncoder()
    collection = store.create("default", encoder.space(DEFAULT).as_dict())
    quarantine, began = store.quarantine("default"), datetime.now(UTC)
    late = Refused(uri="file:///a", reason="no", kind="No", at=began - timedelta(hours=1))
    report = Report(model="hash", collection="default")
    with collection.writing(), Seen() as seen:
        job = Job(
            target=collection,
            store=store,
            encoder=encoder,
            view=DEFAULT,
            config=JobConfig(),
            report=report,
            seen=seen,
            inputs=Inputs([], SourceOptions()),
            coverage=Coverage([], SourceOptions()),
            source="here",
        )
        committer = Committer(job)
        committer.put([late, InFragment(origin="b", items=(), contents=(), before="absent", written=3)])
        committer.close()
    assert quarantine.list()[0].last_tried >= began
    assert (report.inputs, report.added, report.quarantined, report.rows) == (2, 1, 1, 3)
