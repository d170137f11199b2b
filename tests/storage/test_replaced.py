"""What an open collection says once another one has its name."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oneword.engine.hashing import HashEncoder
from oneword.engine.views import DEFAULT
from oneword.storage import CollectionNotFound, Item, SpaceMismatch, Store, moves
from oneword.storage.moves import Moves
from oneword.storage.table import Table

SPACE = HashEncoder().space(DEFAULT)
OTHER = replace(SPACE, revision="another")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    item = Item(id="a", uri="a", modality="text", content_hash="a", text="a", vector=np.full(256, 1 / 16, np.float32))
    for name, space in (("notes", SPACE), ("other", OTHER)):
        store.create(name, space.as_dict()).upsert([item])
    return store


def switch(store: Store) -> None:
    store.replace(store.open("notes"), store.open("other"), keep="past")


def test_it_says_so_every_time(store: Store) -> None:
    open_ = store.open("notes")
    assert len(open_.search(np.ones(256))) == 1
    switch(store)
    for _ in range(3):
        with pytest.raises(SpaceMismatch):
            open_.search(np.ones(256))
        with pytest.raises(SpaceMismatch):
            open_.get(["a"])


@pytest.mark.parametrize("pinned", [True, False], ids=["of a version", "of the newest"])
def test_a_search_that_it_overtakes_is_not_a_failure_of_the_store(
    store: Store, monkeypatch: pytest.MonkeyPatch, pinned: bool
) -> None:
    open_, nearest, switched = store.open("notes"), Table.nearest, list[bool]()

    def overtaken(self: Table, *args: Any, **options: Any) -> Any:
        if not switched:
            switched.append(True)
            switch(store)
        return nearest(self, *args, **options)

    monkeypatch.setattr(Table, "nearest", overtaken)
    with pytest.raises((CollectionNotFound, SpaceMismatch)):
        open_.search(np.ones(256), version=open_.version if pinned else None, exact=True)


def test_a_name_is_always_of_one_of_the_two(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A switch begins after `open` has looked for one, and is half done when it looks for the table."""
    finish, rename, renames = Moves.finish, moves._rename, [0]

    def killed(source: Path, target: Path) -> None:
        renames[0] += 1
        if renames[0] > 3:  # quarantine, index and table are out of the way
            raise KeyboardInterrupt
        rename(source, target)

    def late(self: Moves, name: str | None = None) -> Any:
        done = finish(self, name)
        monkeypatch.setattr(Moves, "finish", finish)
        monkeypatch.setattr(moves, "_rename", killed)
        with pytest.raises(KeyboardInterrupt):
            switch(store)
        monkeypatch.setattr(moves, "_rename", rename)
        return done

    monkeypatch.setattr(Moves, "finish", late)
    assert Store(store.uri).open("notes").space["revision"] == "another"
