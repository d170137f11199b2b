"""What of a job on many machines needs no cluster."""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oneword.engine.config import EngineConfig
from oneword.engine.errors import ModelNotFound
from oneword.engine.hashing import HashEncoder
from oneword.engine.views import DEFAULT
from oneword.indexer import BadCluster, JobConfig, RayConfig, SourceOptions, WorkersFailed
from oneword.indexer.changes import Seen
from oneword.indexer.distributed import shares
from oneword.indexer.distributed.cluster import Pools
from oneword.indexer.distributed.driver import by_this_clock
from oneword.indexer.distributed.faults import failed
from oneword.indexer.distributed.runner import DescribedEncoder
from oneword.indexer.distributed.workers import Worker, WorkerSettings
from oneword.indexer.entry import Entry, Problem
from oneword.indexer.inputs import Inputs
from oneword.indexer.job import Job
from oneword.indexer.outcome import Unchanged
from oneword.indexer.report import Report
from oneword.indexer.write import Writer
from oneword.storage import Refused, Store


def job(*, seen: Seen, entries: Sequence[Entry] = (), **given: Any) -> Job:
    """A job that a test fills in."""

    class Given(Inputs):
        def entries(self) -> Iterator[Entry]:
            return iter(entries)

    defaults = {"target": None, "store": Store("db"), "report": Report(model="hash", collection="default")}
    return Job(
        **{**defaults, **given},  # type: ignore[arg-type]
        encoder=HashEncoder(),
        view=DEFAULT,
        config=JobConfig(),
        seen=seen,
        inputs=Given([], SourceOptions()),
        claims=[],
        source="here",
    )


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
    assert min(pools.workers, pools.decoders) >= 1
    if not shrink or (cpus >= 2 and gpus >= pools.gpus):
        assert pools.workers + pools.decoders <= cpus
        assert pools.workers * pools.gpus <= gpus
    if workers is not None:
        assert pools.workers <= workers if shrink else pools.workers == workers


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
    kinds=st.lists(st.sampled_from(["text", "long", "image", "problem", "twice"]), max_size=60),
    weight=st.integers(1, 20),
    at_once=st.integers(1, 20),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_each_input_is_in_one_share_or_needs_no_worker(
    kinds: list[str], weight: int, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shares, "WEIGHT", weight)
    monkeypatch.setattr(shares, "AT_ONCE", at_once)
    monkeypatch.setattr(shares, "BYTES", 100)
    entries = [
        Entry(
            id="same" if kind == "twice" else f"{number}",
            uri=f"file:///{number}",
            origin="same" if kind == "twice" else f"{number}",
            image=b"x" * 10 if kind == "image" else None,
            text={"text": "a", "twice": "b", "long": "c" * 101}.get(kind),
            problem=Problem(kind="No", reason="no") if kind == "problem" else None,
        )
        for number, kind in enumerate(kinds)
    ]
    with Seen() as seen:
        given_out = list(shares.shares(job(seen=seen, entries=entries)))
    handed = [one for share in given_out if isinstance(share, tuple) for one in share]
    known = [one for some in given_out if isinstance(some, list) for one in some]
    assert len(handed) + len(known) == len(entries)
    assert [one.id for one in handed] == list(
        dict.fromkeys(one.id for one, kind in zip(entries, kinds, strict=True) if kind != "problem")
    )
    full = [share for share in given_out if isinstance(share, tuple)][:-1]
    assert all(len(share) * 4 >= weight or any(len(str(one.text)) > 100 for one in share) for share in full)
    assert all(len(share) < weight + 4 for share in full)


def test_a_worker_obeys_the_jobs_limit_of_pixels() -> None:
    file = io.BytesIO()
    PIL.Image.new("RGB", (9, 9)).save(file, "PNG")
    entry = Entry(id="a", uri="file:///a.png", origin="file:///a.png", image=file.getvalue())
    for pixels, kind in ((80, "ImageTooLarge"), (81, None)):
        settings = WorkerSettings(
            db="db",
            collection=None,
            version=None,
            encoder=EngineConfig(model="hash"),
            view=DEFAULT,
            splitter=None,
            config=JobConfig(max_pixels=pixels, dry_run=True),
            decoders=1,
        )
        worker = Worker(settings)
        (outcome,) = worker.work([entry]).outcomes
        worker.close()
        assert getattr(outcome, "kind", None) == kind


def test_a_described_encoder_is_known_and_cannot_encode() -> None:
    model = HashEncoder()
    told = pickle.loads(pickle.dumps(DescribedEncoder.of(model, DEFAULT, EngineConfig())))
    assert (told.name, told.chunk_tokens, told.tokenizer) == (model.name, model.chunk_tokens, model.tokenizer)
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
        writer = Writer(job(target=collection, store=store, report=report, seen=seen))
        writer.put(by_this_clock([late, Unchanged(origin="b")]))
        writer.close()
    assert quarantine.list()[0].last_tried >= began
    assert (report.inputs, report.unchanged, report.quarantined) == (2, 1, 1)
