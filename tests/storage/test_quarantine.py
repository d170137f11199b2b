from __future__ import annotations

from datetime import UTC, datetime, timedelta

from storage import Quarantined, Refused, Store

NOW = datetime(2024, 5, 31, 12, tzinfo=UTC)


def refused(uri: str, minutes: int = 0, reason: str = "broken") -> Refused:
    return Refused(uri=uri, reason=reason, kind="decode", at=NOW + timedelta(minutes=minutes))


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
