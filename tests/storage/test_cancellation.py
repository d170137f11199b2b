"""Reads that were cancelled end early, and leave everything as it was."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from oneword.storage import Collection, Item, Store
from oneword.storage import cancellation as module
from oneword.storage.cancellation import Cancellation, Cancelled, check

SPACE = {"model": "none", "view": "default", "fingerprint": "0" * 16, "dimension": 8, "prompts": {}}


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """Long texts, which take long to be searched for many words."""
    made = Store(str(tmp_path_factory.mktemp("store"))).create("default", SPACE)
    vectors = np.random.default_rng(0).normal(size=(1000, 8)).astype(np.float32)
    made.upsert(
        [
            Item(
                id=f"{number}",
                modality="text",
                uri=f"urn:x:{number}",
                content_hash=f"{number}",
                text=f"{number} " + "word " * 2000,
                vector=vector / np.linalg.norm(vector),
            )
            for number, vector in enumerate(vectors)
        ]
    )
    return made


LONG = {"should": [{"field": "text", "contains": f"{number} x"} for number in range(500)]}
READS: dict[str, Callable[[Collection], Any]] = {
    "count": lambda collection: collection.count(module_filter()),
    "search": lambda collection: collection.search([1.0] * 8, filter=module_filter()),
    "page": lambda collection: collection.page(filter=module_filter()),
    "scan": lambda collection: list(collection.scan(filter=module_filter())),
}


def module_filter() -> Any:
    from oneword.storage import parse_filter

    return parse_filter(LONG)


@pytest.mark.parametrize("name", READS)
def test_a_read_that_waits_for_the_store_is_ended(
    collection: Collection, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting, told = threading.Event(), []
    begun = Cancellation.waiting

    def noticed(self: Cancellation, end: Callable[[], object]) -> Any:
        if end.__self__ is not None:  # type: ignore[attr-defined]
            waiting.set()
        return begun(self, end)

    monkeypatch.setattr(Cancellation, "waiting", noticed)
    cancellation = Cancellation()

    def read() -> None:
        with cancellation.applied():
            try:
                READS[name](collection)
                told.append("done")
            except Cancelled:
                told.append("cancelled")

    thread = threading.Thread(target=read)
    thread.start()
    assert waiting.wait(20)
    cancellation.cancel()
    thread.join(20)
    assert told == ["cancelled"]
    assert module.current() is None
    assert collection.count() == 1000
    assert len(collection.search([1.0] * 8)) == 10


def test_a_deep_page_of_diverse_hits_is_ended(collection: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the blocks that it is put together of: arithmetic, during which nothing is waited for."""
    from oneword.storage import search

    cancellation, blocks = Cancellation(), []

    def counted() -> None:
        blocks.append(1)
        if len(blocks) == 3:
            cancellation.cancel()
        check()

    monkeypatch.setattr(search, "check", counted)
    with cancellation.applied(), pytest.raises(Cancelled):
        collection.search([1.0] * 8, diversity=0.5, offset=900, limit=50)
    assert len(blocks) == 3


def test_what_was_cancelled_before_it_began_never_begins(collection: Collection) -> None:
    cancellation = Cancellation()
    cancellation.cancel()
    with cancellation.applied(), pytest.raises(Cancelled):
        collection.count()
    assert collection.count() == 1000


def test_work_that_nobody_may_cancel_goes_on() -> None:
    check()
    with Cancellation().applied():
        check()
