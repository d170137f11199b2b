"""Versions, tags, going back, and cleanups that leave what is tagged."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from oneword.storage import Collection, Item, Locked, StorageError, Store, VersionNotFound

pytestmark = pytest.mark.filterwarnings("ignore:.*removes every version:UserWarning")
NOW = timedelta(0)


@pytest.fixture
def grown(collection: Collection, item: Callable[..., Item]) -> Collection:
    """Versions 3 to 7 with 1 to 5 items; version 2 made the keyword index."""
    for n in range(5):
        collection.upsert([item(f"{n}")])
    return collection


def test_versions_say_what_they_are(grown: Collection) -> None:
    grown.delete(["0"])
    grown.tag("b")
    grown.tag("a")
    grown.tag("early", 4)
    found = grown.versions()
    assert [(one.version, one.items) for one in found] == [
        (1, 0),
        (2, 0),
        (3, 1),
        (4, 2),
        (5, 3),
        (6, 4),
        (7, 5),
        (8, 4),
    ]
    assert {one.version: one.tags for one in found if one.tags} == {4: ("early",), 8: ("a", "b")}
    assert grown.tags() == {"a": 8, "b": 8, "early": 4}
    assert all(grown.created - timedelta(seconds=1) <= one.at <= datetime.now(UTC) for one in found)


def test_restore_adds_a_version(grown: Collection, item: Callable[..., Item]) -> None:
    reader = Store(grown.uri).open("things")
    grown.tag("two", 4)
    grown.upsert([item("x", metadata={"new": 1})])
    newest = grown.version
    assert grown.restore("two") == newest + 1
    assert grown.count() == reader.count() == 2
    assert grown.info().metadata_keys == {}
    assert reader.space == grown.space
    assert grown.restore(newest) == newest + 2
    assert reader.count("new = 1") == 1
    grown.restore("5")
    assert sorted(hit.item.id for hit in reader.search([1, 0, 0, 0])) == ["0", "1", "2"]
    grown.upsert([item("y", metadata={"new": "text now"})])
    assert reader.count('new = "text now"') == 1


def test_what_is_not_there_is_named(grown: Collection) -> None:
    grown.tag("kept")
    for asked in (99, "99", "nope"):
        with pytest.raises(VersionNotFound, match=r"99|nope.*versions 1, 2, 3, 4, 5, 6, 7; tags kept"):
            grown.restore(asked)
    with pytest.raises(VersionNotFound, match="tags kept"):
        grown.untag("nope")
    with pytest.raises(VersionNotFound, match="99"):
        grown.tag("new", 99)
    with pytest.raises(StorageError, match=r"'kept'.*is version 7, not 4"):
        grown.tag("kept", 4)
    assert grown.tag("kept", 7) == 7
    assert grown.count() == 5


@pytest.mark.parametrize("name", ["", "a b", "é", "..", "a..b", ".a", "-a", "a/b", "a.lock", "5", "x" * 64, "a\n"])
def test_bad_tags(grown: Collection, name: str) -> None:
    with pytest.raises(StorageError, match="not allowed"):
        grown.tag(name)
    assert grown.tags() == {}


@pytest.mark.parametrize("name", ["a", "v1.0", "A_b-c", "1a", "x" * 63, "main"])
def test_good_tags_survive_a_cleanup(grown: Collection, name: str) -> None:
    grown.tag(name, 4)
    grown.optimize(NOW)
    assert grown.tags() == {name: 4}
    grown.untag(name)
    assert grown.tags() == {}


def test_tags_outlive_cleanups_and_nothing_else_does(grown: Collection, item: Callable[..., Item]) -> None:
    data = Path(grown.uri) / "things.lance" / "data"
    grown.tag("two", 4)
    for round_number in range(3):
        for n in range(4):
            grown.upsert([item("x", [n, 1, 0, 0], text=str(round_number))])
        compaction = grown.compact(NOW)
        assert (compaction.versions_kept, len(grown.versions())) == (2, 2)
        assert compaction.versions_removed > 0
        assert grown.tags() == {"two": 4}
        # Two data files of the tagged version and one of the newest: what came after a tag is not stranded.
        assert len(list(data.iterdir())) == 3
    grown.restore("two")
    assert sorted(one.id for batch in grown.scan() for one in batch) == ["0", "1"]
    grown.untag("two")
    grown.compact(NOW)
    assert len(grown.versions()) == 1
    assert grown.count() == 2


def test_tags_outlive_moving_and_copying_the_store(grown: Collection, store: Store, tmp_path: Path) -> None:
    grown.tag("two", 4)
    grown.compact(NOW)
    store.rename("things", "stuff")
    shutil.move(store.uri, tmp_path / "elsewhere")
    shutil.copytree(tmp_path / "elsewhere", tmp_path / "copy")
    for place in ("elsewhere", "copy"):
        moved = Store(tmp_path / place).open("stuff")
        moved.compact(NOW)
        moved.restore("two")
        moved.compact(NOW)
        moved.restore("two")
        assert sorted(one.id for batch in moved.scan() for one in batch) == ["0", "1"]


def test_a_cleanup_that_is_killed_loses_no_tag(grown: Collection, process: Callable[..., Any], tmp_path: Path) -> None:
    code = """
import os, signal, sys, warnings
from datetime import timedelta
from oneword.storage import Store
from oneword.storage.table import Table
warnings.simplefilter("ignore")
optimize = Table.optimize
def dying(self, older_than, **options):
    optimize(self, older_than, **options)
    os.kill(os.getpid(), signal.SIGKILL)
Table.optimize = dying
Store(sys.argv[1]).open("things").optimize(timedelta(0))
"""
    grown.tag("two", 4)
    grown.tag("again", 4)
    assert process(code, grown.uri).wait(60) == -9
    assert grown.tags() == {"again": 4, "two": 4}
    shutil.copytree(grown.uri, tmp_path / "elsewhere")
    moved = Store(tmp_path / "elsewhere").open("things")
    moved.optimize(NOW)
    assert moved.tags() == {"again": 4, "two": 4}
    grown.untag("again")
    assert grown.tags() == {"two": 4}
    assert grown.tag("two", 4) == 4
    grown.optimize(NOW)
    moved.restore("again")
    assert (grown.tags(), moved.count()) == ({"two": 4}, 2)


def test_compaction_says_what_it_did(grown: Collection) -> None:
    done = grown.compact()
    assert (done.versions_removed, done.versions_kept) == (0, len(grown.versions()))
    assert done.bytes_before
    assert done.bytes_after
    done = grown.compact(NOW)
    assert done.versions_removed >= 6
    assert done.versions_kept == 1
    assert done.files_after is not None
    assert done.files_before is not None
    assert done.files_after < done.files_before
    assert done.bytes_after == grown.info().bytes_on_disk
    assert done.bytes_after < (done.bytes_before or 0)


def test_only_the_writer_tags_and_restores(grown: Collection) -> None:
    other = Store(grown.uri).open("things")
    with grown.writing():
        for call in (lambda: other.tag("a"), lambda: other.untag("a"), lambda: other.restore(3), other.compact):
            with pytest.raises(Locked):
                call()
