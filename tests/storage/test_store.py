from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oneword.storage import (
    BadName,
    BadSpace,
    Collection,
    CollectionExists,
    CollectionNotFound,
    Item,
    Locked,
    Refused,
    SpaceMismatch,
    Store,
    StoreUnavailable,
)


def test_reading_makes_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "a" / "db")
    assert store.collections() == []
    assert store.quarantine("x").count() == 0
    with pytest.raises(CollectionNotFound, match=r"'x'.*none yet"):
        store.open("x")
    with pytest.raises(CollectionNotFound):
        store.drop("x")
    assert list(tmp_path.iterdir()) == []


def test_twenty_five_collections_are_all_listed(store: Store, space: dict[str, Any]) -> None:
    names = sorted(f"c{index}" for index in range(25))
    for name in names:
        store.create(name, space)
    assert store.collections() == names


def test_every_page_of_a_listing_is_read(store: Store, space: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abcde":
        store.create(name, space)
    connection = store._database._connection
    whole = connection.list_tables
    monkeypatch.setattr(connection, "list_tables", lambda page_token=None: whole(page_token=page_token, limit=2))
    assert store.collections() == list("abcde")


def test_quarantine_tables_are_not_collections(store: Store, space: dict[str, Any]) -> None:
    from datetime import UTC, datetime

    store.create("a", space)
    store.quarantine("a").record([Refused(uri="u", reason="r", kind="k", at=datetime.now(UTC))])
    assert store.collections() == ["a"]
    store.drop("a")
    assert store.collections() == []
    assert store.quarantine("a").list() == []


def test_not_found_says_what_there_is(store: Store, space: dict[str, Any]) -> None:
    store.create("cats", space)
    store.create("dogs", space)
    with pytest.raises(CollectionNotFound, match="cats, dogs"):
        store.open("birds")


def test_create_twice(store: Store, space: dict[str, Any]) -> None:
    store.create("a", space)
    with pytest.raises(CollectionExists, match="'a'"):
        store.create("a", space)


@pytest.mark.parametrize("name", ["", "A", "-a", "a.b", "a/b", "../a", "a b", "é", "a\n", "x" * 64])
def test_bad_names(store: Store, space: dict[str, Any], name: str) -> None:
    for call in (store.open, store.drop, store.quarantine, lambda name: store.open_or_create(name, space)):
        with pytest.raises(BadName):
            call(name)


@pytest.mark.parametrize("name", ["a", "0", "a-b_c", "x" * 63])
def test_good_names(store: Store, space: dict[str, Any], name: str) -> None:
    store.create(name, space)
    assert store.open(name).name == name


def test_a_space_comes_back_whole(store: Store, space: dict[str, Any]) -> None:
    space |= {"prompt": 'Say "it" in one word: é', "more": {"nested": [1, 2.5, None]}}
    store.create("a", space)
    assert Store(store.uri).open("a").space == space


@pytest.mark.parametrize(
    "broken", [{"dimension": 0}, {"dimension": "4"}, {"dimension": True}, {"model": ""}, {"extra": object()}]
)
def test_a_broken_space(store: Store, space: dict[str, Any], broken: dict[str, Any]) -> None:
    with pytest.raises(BadSpace):
        store.create("a", {**space, **broken})
    assert store.collections() == []


def test_another_space_is_refused_naming_both(store: Store, space: dict[str, Any]) -> None:
    store.create("a", space)
    other = {**space, "fingerprint": "0" * 40, "view": "style"}
    with pytest.raises(SpaceMismatch, match=r"view meaning \(4 dimensions, fingerprint fff.*view style .*000"):
        store.open_or_create("a", other)
    with pytest.raises(SpaceMismatch):
        store.open("a", fingerprint="0" * 40)
    assert store.open("a", fingerprint=space["fingerprint"]).space == space
    assert store.open_or_create("a", space).space == space


def test_the_space_survives_every_kind_of_commit(
    store: Store, space: dict[str, Any], item: Callable[..., Item]
) -> None:
    from datetime import timedelta

    collection = store.create("a", space)
    collection.upsert([item(f"{n}", [n + 1, 1, 0, 0]) for n in range(300)])
    collection.upsert([item("0", metadata={"new": 1})])
    collection.delete(["1"])
    collection.build_index()
    with pytest.warns(UserWarning, match="removes every version"):
        collection.optimize(older_than=timedelta(0))
    collection.upsert([item("2")])
    again = Store(store.uri).open("a", fingerprint=space["fingerprint"])
    assert (again.space, again.created, again.count()) == (space, collection.created, 299)


def test_a_create_cut_short_is_not_a_collection_and_can_be_done_again(store: Store, space: dict[str, Any]) -> None:
    store.create("a", space)
    (Path(store.uri) / "b.lance" / "data").mkdir(parents=True)  # what a kill before the first commit leaves
    assert store.collections() == ["a"]
    assert store.open_or_create("b", space).count() == 0
    assert store.collections() == ["a", "b"]


def test_an_open_collection_notices_that_it_was_dropped(collection: Collection, store: Store) -> None:
    store.drop("things")
    with pytest.raises(CollectionNotFound, match="things"):
        collection.count()


def test_an_open_collection_notices_that_it_was_made_again_otherwise(
    collection: Collection, store: Store, space: dict[str, Any]
) -> None:
    store.drop("things")
    store.create("things", {**space, "fingerprint": "new"})
    with pytest.raises(SpaceMismatch):
        collection.search([1, 0, 0, 0])


def test_drop_waits_for_no_writer(collection: Collection, store: Store) -> None:
    with collection.writing(), pytest.raises(Locked):
        store.drop("things")
    store.drop("things")


@pytest.mark.parametrize("below", ["", "/db"])
def test_a_file_in_the_way(tmp_path: Path, space: dict[str, Any], below: str) -> None:
    (tmp_path / "file").write_text("x")
    store = Store(f"{tmp_path}/file{below}")
    with pytest.raises(StoreUnavailable, match="file"):
        store.create("a", space)
    if not below:
        with pytest.raises(StoreUnavailable, match="expected a directory"):
            store.collections()


def test_no_permission(collection: Collection, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(store._database._connection, "list_tables", refuse)
    with pytest.raises(StoreUnavailable, match="Permission denied"):
        store.collections()


def test_an_object_store_out_of_reach(space: dict[str, Any]) -> None:
    options = {
        "aws_endpoint": "http://127.0.0.1:1",
        "allow_http": "true",
        "aws_access_key_id": "x",
        "aws_secret_access_key": "x",
        "aws_region": "us-east-1",
        "client_max_retries": "0",
    }
    with pytest.raises(StoreUnavailable, match="s3://bucket"):
        Store("s3://bucket/db", storage_options=options).collections()
    with pytest.raises(StoreUnavailable, match="nosuch"):
        Store("nosuch://bucket/db").collections()


def test_processes_that_create_at_once_get_the_same_collection(tmp_path: Path, process: Callable[..., Any]) -> None:
    code = """
import json, sys
from oneword.storage import Store
import lancedb
print("ready", flush=True); sys.stdin.readline()
space = {"fingerprint": "f", "dimension": 4, "model": "m", "view": "v"}
made = [Store(sys.argv[1]).open_or_create(f"c{n}", space).created.isoformat() for n in range(10)]
print(json.dumps(made))
"""
    children = [process(code, tmp_path / "db") for _ in range(2)]
    for child in children:
        assert child.stdout.readline() == "ready\n"
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    answers = {child.stdout.readline() for child in children}
    assert len(answers) == 1, answers
    assert len(Store(tmp_path / "db").collections()) == 10
