"""Group commits: order, counts of each request, and what happens when the collection is locked."""

import asyncio
import subprocess
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oneword.engine.hashing import HashEncoder
from oneword.engine.views import DEFAULT
from oneword.query.server import writer as module
from oneword.query.server.threads import Workers
from oneword.query.server.writer import Writer
from oneword.storage import Collection, FilterError, Item, Locked, Match, Store
from tests import forkserver

SPACE = HashEncoder().space(DEFAULT).as_dict()


def item(name: str, text: str = "a text", **metadata: Any) -> Item:
    vector = np.zeros(256, np.float32)
    vector[len(text)] = 1
    return Item(
        id=name, modality="text", uri=f"urn:{name}", content_hash=text, text=text, metadata=metadata, vector=vector
    )


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    return Store(str(tmp_path / "db")).create("notes", SPACE)


def run(collection: Collection, work: Callable[[Writer], Coroutine[Any, Any, None]]) -> Writer:
    workers = Workers()
    writer = Writer(collection, workers)

    async def whole() -> None:
        try:
            await asyncio.wait_for(work(writer), 30)
        finally:
            await writer.close()
            workers.close()

    asyncio.run(whole())
    assert (writer.waiting, writer.busy) == (0, False)
    return writer


def texts(collection: Collection) -> dict[str, str | None]:
    return {one.id: one.text for batch in collection.scan() for one in batch}


def test_many_writes_are_few_commits(collection: Collection) -> None:
    async def work(writer: Writer) -> None:
        before = collection.version
        told = await asyncio.gather(*(writer.upsert([item(f"i{n}"), item(f"j{n}")]) for n in range(40)))
        assert collection.version - before <= 4
        assert {one.version for one in told} <= set(range(before + 1, collection.version + 1))
        assert all(one.known == frozenset() and not one.refused for one in told)

    run(collection, work)
    assert len(texts(collection)) == 80


def test_a_commit_has_so_many_items(collection: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ITEMS", 4)

    async def work(writer: Writer) -> None:
        told = await asyncio.gather(
            *(writer.upsert([item(f"{n}-{m}") for m in range(2 + 3 * (n == 4))]) for n in range(5))
        )
        assert [one.version - told[0].version for one in told] == [0, 0, 1, 1, 2]

    run(collection, work)


def test_upserts_and_deletes_in_the_order_of_arrival(collection: Collection) -> None:
    async def work(writer: Writer) -> None:
        told = await asyncio.gather(
            writer.upsert([item("a", "first"), item("b")]),
            writer.delete(["a", "none"]),
            writer.upsert([item("a", "second")]),
            writer.upsert([item("a", "third"), item("b", "kept")]),
            writer.delete_where(Match(field="text", value="third")),
            writer.delete_where(Match(field="text", value="third")),
        )
        assert [one if isinstance(one, tuple) else one.known for one in told] == [
            set(), (1, told[1][1]), set(), {"a", "b"}, (1, told[4][1]), (0, told[5][1])
        ]  # fmt: skip

    run(collection, work)
    assert texts(collection) == {"b": "kept"}


def test_refused_items_are_of_the_request_that_sent_them(collection: Collection) -> None:
    async def work(writer: Writer) -> None:
        await writer.upsert([item("a", year=1)])
        one, other, third = await asyncio.gather(
            writer.upsert([item("x", year="late"), item("y", year=2)]),
            writer.upsert([item("z", year=3)]),
            writer.upsert([item("x", year=4)]),  # of the same id, but a good one
        )
        assert set(one.refused) == {"x"}
        assert "year" in one.refused["x"]
        assert not other.refused
        assert not third.refused
        assert third.known == frozenset()

    run(collection, work)
    assert set(texts(collection)) == {"a", "x", "y", "z"}


def test_a_wrong_filter_fails_alone(collection: Collection) -> None:
    async def work(writer: Writer) -> None:
        told = await asyncio.gather(
            writer.upsert([item("a")]),
            writer.delete_where(Match(field="nothing", value=1)),
            writer.upsert([item("b")]),
            return_exceptions=True,
        )
        assert isinstance(told[1], FilterError)

    run(collection, work)
    assert set(texts(collection)) == {"a", "b"}


def test_given_up_before_its_turn_is_not_written(collection: Collection) -> None:
    async def work(writer: Writer) -> None:
        tasks = [asyncio.create_task(writer.upsert([item(f"i{n}")])) for n in range(3)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        told = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(told[1], asyncio.CancelledError)

    run(collection, work)
    assert set(texts(collection)) == {"i0", "i2"}


def test_another_process_has_the_lock(collection: Collection, tmp_path: Path) -> None:
    holding = """
import sys
from oneword.storage import Store
with Store(sys.argv[1]).open("notes").writing():
    print("held", flush=True)
    sys.stdin.read()
"""
    other = forkserver.start(["-c", holding, tmp_path / "db"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"

    async def work(writer: Writer) -> None:
        told = await asyncio.gather(
            writer.upsert([item("a")]), writer.upsert([item("b")]), writer.delete(["c"]), return_exceptions=True
        )
        assert [type(one) for one in told] == [Locked] * 3
        assert texts(collection) == {}
        other.communicate()
        assert (await writer.upsert([item("a")])).known == frozenset()

    with other:
        run(collection, work)
    assert set(texts(collection)) == {"a"}


def test_nobody_waits_for_the_lock_of_another_after_one_has_in_vain(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = 0
    writing = collection.writing

    def counted() -> Any:
        nonlocal tries
        tries += 1
        return writing()

    monkeypatch.setattr(collection, "writing", counted)

    async def work(writer: Writer) -> None:
        deletes = [writer.delete([f"i{n}"]) for n in range(20)]
        with Store(collection.uri).open("notes").writing():  # a lock of its own, as another process has
            told = await asyncio.gather(*deletes, return_exceptions=True)
        assert [type(one) for one in told] == [Locked] * 20
        assert tries == 1

    run(collection, work)


def test_what_cannot_be_tidied_holds_up_nobody(collection: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    tidying, go_on = threading.Event(), threading.Event()

    def broken(**_: Any) -> bool:
        tidying.set()
        assert go_on.wait(20)
        raise RuntimeError("no space left")

    monkeypatch.setattr(collection, "keep_index", broken)

    async def work(writer: Writer) -> None:
        await writer.upsert([item("a")])
        await asyncio.to_thread(tidying.wait)
        waits = asyncio.create_task(writer.upsert([item("b")]))
        await asyncio.sleep(0)
        go_on.set()
        await waits

    run(collection, work)


def test_small_files_are_merged_now_and_then(collection: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COMMITS", 5)
    merged = []
    monkeypatch.setattr(collection, "optimize", lambda: merged.append(len(texts(collection))))

    async def work(writer: Writer) -> None:
        for n in range(12):
            await writer.upsert([item(f"i{n}")])

    run(collection, work)
    assert merged == [5, 10]


writes = st.lists(
    st.one_of(
        st.tuples(st.just("upsert"), st.lists(st.sampled_from("abcd"), min_size=1, max_size=3, unique=True)),
        st.tuples(st.just("delete"), st.lists(st.sampled_from("abcd"), min_size=1, max_size=3, unique=True)),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=15)
@given(writes)
def test_as_a_dict(tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, list[str]]]) -> None:
    collection = Store(str(tmp_path_factory.mktemp("store") / "db")).create("notes", SPACE)
    model: dict[str, str] = {}

    async def work(writer: Writer) -> None:
        asked: list[Any] = []
        wanted: list[Any] = []
        for n, (kind, ids) in enumerate(steps):
            if kind == "upsert":
                wanted.append(frozenset(model) & set(ids))
                model.update(dict.fromkeys(ids, f"{n} written"))
                asked.append(writer.upsert([item(name, f"{n} written") for name in ids]))
            else:
                wanted.append(len([model.pop(name) for name in ids if name in model]))
                asked.append(writer.delete(ids))
        told = await asyncio.gather(*asked)
        assert [one[0] if isinstance(one, tuple) else one.known for one in told] == wanted

    run(collection, work)
    assert texts(collection) == model
