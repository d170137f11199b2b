from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from oneword.storage import Quarantined, Refused, Store
from oneword.storage import quarantine as module
from oneword.storage.table import Table

NOW = datetime(2024, 5, 31, 12, tzinfo=UTC)


def refused(uri: str, minutes: int = 0, reason: str = "broken", kind: str = "decode", source: str = "") -> Refused:
    return Refused(uri=uri, reason=reason, kind=kind, at=NOW + timedelta(minutes=minutes), source=source)


def tries(store: Store) -> dict[str, int]:
    return {entry.uri: entry.tries for entry in store.quarantine("a").list()}


@pytest.fixture
def old(store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store whose quarantine was made by a release that knew of no sources."""
    whole = module._schema()
    with monkeypatch.context() as before:
        before.setattr(module, "_schema", lambda: whole.remove(whole.get_field_index("source")))
        store.quarantine("a").record([refused("old"), refused("older")])
    return store


def test_made_at_the_first_entry(store: Store) -> None:
    quarantine = store.quarantine("a")
    quarantine.record([])
    assert (quarantine.list(), quarantine.count(), quarantine.release(["u"])) == ([], 0, 0)
    quarantine.record([refused("u")])
    assert quarantine.count() == 1
    assert store.collections() == []


def test_tries_count_up_and_the_first_time_stays(store: Store) -> None:
    store.quarantine("a").record([refused("it's"), refused("b", 1)])
    store.quarantine("a").record([refused("it's", 2, "still broken"), refused("it's", 3, "worse")])
    assert store.quarantine("a").list() == [
        Quarantined(
            uri="b",
            reason="broken",
            kind="decode",
            tries=1,
            first_seen=NOW + timedelta(minutes=1),
            last_tried=NOW + timedelta(minutes=1),
        ),
        Quarantined(
            uri="it's",
            reason="worse",
            kind="decode",
            tries=3,
            first_seen=NOW,
            last_tried=NOW + timedelta(minutes=3),
        ),
    ]


def test_release(store: Store) -> None:
    quarantine = store.quarantine("a")
    quarantine.record([refused("a"), refused("b"), refused("it's")])
    assert quarantine.release([]) == 0
    assert quarantine.release(["nope"]) == 0
    assert quarantine.release(["a", "a", "it's", "nope"]) == 2
    assert [entry.uri for entry in quarantine.list()] == ["b"]
    quarantine.record([refused("a")])
    assert quarantine.list()[0].tries == 1


def test_each_collection_has_its_own(store: Store) -> None:
    store.quarantine("a").record([refused("u")])
    assert store.quarantine("b").count() == 0


def test_the_source_comes_back_and_is_that_of_the_last_try(store: Store) -> None:
    quarantine = store.quarantine("a")
    quarantine.record([refused("a", source='{"é": 1}'), refused("b")])
    quarantine.record([refused("b", source="later"), refused("a")])
    assert {name: entry.source for name, entry in quarantine.get(["a", "b"]).items()} == {"a": "", "b": "later"}


def test_a_table_without_sources_gets_them_when_there_is_one(old: Store) -> None:
    quarantine = old.quarantine("a")
    names = lambda: quarantine._database.open(quarantine.name).schema().names  # type: ignore[union-attr]  # noqa: E731
    assert [entry.source for entry in quarantine.list()] == ["", ""]
    quarantine.record([refused("old", 1), refused("new")])
    assert "source" not in names()
    assert tries(old) == {"new": 1, "old": 2, "older": 1}
    quarantine.record([refused("old", 2, source="{}")])
    assert "source" in names()
    assert {entry.uri: entry.source for entry in quarantine.list()} == {"new": "", "old": "{}", "older": ""}
    assert tries(old) == {"new": 1, "old": 3, "older": 1}


def test_get_finds_what_is_there(store: Store) -> None:
    quarantine = store.quarantine("a")
    assert quarantine.get(["a"]) == {}
    quarantine.record([refused("a"), refused("it's", 1)])
    assert quarantine.get(iter(["it's", "nope"])) == {"it's": quarantine.list()[1]}
    assert quarantine.get([]) == {}


def test_text_that_is_not_unicode_is_escaped(store: Store) -> None:
    quarantine = store.quarantine("a")
    quarantine.record([refused("a\udcff", reason="\ud800 bad", kind="\ud800", source="\ud800")])
    quarantine.record([refused("a\udcff")])
    entry = quarantine.get(["a\udcff"])[r"a\udcff"]
    assert (entry.uri, entry.tries) == (r"a\udcff", 2)
    assert quarantine.release(["a\udcff"]) == 1


def test_batches_are_of_one_moment_and_of_a_kind(store: Store) -> None:
    quarantine = store.quarantine("a")
    assert list(quarantine.batches()) == []
    for start in range(0, 20, 5):
        quarantine.record([refused(f"{n}", kind="odd" if n % 2 else "it's even") for n in range(start, start + 5)])
    stream = quarantine.batches(batch_size=3)
    found = next(stream)
    quarantine.clear()
    for batch in stream:
        assert 0 < len(batch) <= 3
        found += batch
    assert sorted(int(entry.uri) for entry in found) == list(range(20))
    quarantine.record([refused("x", kind="it's even"), refused("y", kind="odd")])
    assert [entry.uri for batch in quarantine.batches(kind="it's even") for entry in batch] == ["x"]


def test_clear_all_or_a_kind(store: Store) -> None:
    quarantine = store.quarantine("a")
    assert (quarantine.clear(), quarantine.kinds()) == (0, {})
    quarantine.record([refused("a"), refused("b", kind="it's"), refused("c")])
    assert quarantine.kinds() == {"decode": 2, "it's": 1}
    assert quarantine.clear(kind="nope") == 0
    assert quarantine.clear(kind="it's") == 1
    assert tries(store) == {"a": 1, "c": 1}
    assert quarantine.clear() == 2
    assert quarantine.count() == 0
    quarantine.record([refused("a")])
    assert tries(store) == {"a": 1}


def test_thousands_at_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "URIS_AT_ONCE", 70)
    quarantine = store.quarantine("a")
    quarantine.record([refused(f"{n}") for n in range(300)])
    quarantine.record([refused(f"{n}") for n in range(200, 500)])
    assert tries(store) == {f"{n}": 2 if 200 <= n < 300 else 1 for n in range(500)}
    assert len(quarantine.get(f"{n}" for n in range(1000))) == 500
    assert quarantine.release(f"{n}" for n in range(100, 1000)) == 400


def test_new_inputs_are_appended_and_files_stay_few(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a record costs does not grow: nothing is merged, and what a look-up reads is a few files and an index."""
    monkeypatch.setattr(module, "LEAST_ROWS", 100)
    monkeypatch.setattr(module, "SAFE_AGE", timedelta(milliseconds=1))

    def refuse(*_: Any) -> Any:
        raise AssertionError("merged")

    quarantine = store.quarantine("a")
    with monkeypatch.context() as watched:
        watched.setattr(Table, "merge", refuse)
        for n in range(3 * module.COMMITS):
            quarantine.record([refused(f"{n}-{m}") for m in range(3)])
        table = quarantine._database.open(quarantine.name)
        assert table is not None
        data = store._database.location.path / "a.quarantine.lance" / "data"  # type: ignore[operator]
        assert len(list(data.iterdir())) <= module.COMMITS + 1
        assert [(one.column, one.stale < 3 * module.COMMITS) for one in table.indexes()] == [("uri", True)]
    quarantine.maintain()
    assert len(list(data.iterdir())) <= 2  # the one of the version before is as young as the cleanup
    assert [one.stale for one in table.indexes()] == [0]
    quarantine.record([refused("0-0"), refused("new")])
    assert (quarantine.count(), quarantine.get(["0-0"])["0-0"].tries) == (9 * module.COMMITS + 1, 2)
    store.quarantine("never").maintain()


def test_records_killed_at_any_instant_are_whole(store: Store, process: Callable[..., Any]) -> None:
    code = """
import sys
from datetime import UTC, datetime
from oneword.storage import Refused, Store, quarantine
quarantine.COMMITS, quarantine.LEAST_ROWS = 4, 10
entries = Store(sys.argv[1]).quarantine("a")
print("ready", flush=True)
for n in range(int(sys.argv[2]), 1_000_000):
    entries.record([Refused(uri=uri, reason="r", kind="k", at=datetime.now(UTC)) for uri in ("x", f"{n}a", f"{n}b")])
    print(n, flush=True)
"""
    done = 0
    for round_number in range(2):
        child = process(code, store.uri, round_number * 10_000)
        assert child.stdout.readline() == "ready\n"
        child.stdout.readline()
        time.sleep(random.Random(round_number).uniform(0.05, 0.3))
        child.kill()  # SIGKILL
        done += 1 + len(child.communicate()[0].split("\n")[:-1])
    counts = tries(store)
    assert done <= counts["x"] <= done + 2  # one a round may not have been acknowledged
    assert len(counts) == 2 * counts.pop("x") + 1
    assert set(counts.values()) == {1}
    store.quarantine("a").maintain()
    store.quarantine("a").record([refused("x")])
