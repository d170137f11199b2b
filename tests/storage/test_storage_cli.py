from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from oneword.storage import (
    Collection,
    CollectionNotFound,
    FilterError,
    Item,
    MissingFaiss,
    Refused,
    Store,
    cli,
    terminal,
)

app = typer.Typer()
app.command()(cli.collections)
app.command()(cli.info)
app.command()(cli.delete)
app.command()(cli.build)


@pytest.fixture
def run(store: Store) -> Callable[..., Any]:
    def invoke(*args: str, **options: Any) -> Any:
        return CliRunner().invoke(app, [*args, "--db", store.uri], **options)

    return invoke


@pytest.fixture
def filled(store: Store, space: dict[str, Any], item: Callable[..., Item]) -> Collection:
    collection = store.create("default", space)
    collection.upsert([item(f"{n}", metadata={"n": n}) for n in range(5)])
    entries = [
        Refused(uri=f"bad[b]{n:02}", reason="no picture", kind="decode", at=datetime.now(UTC)) for n in range(12)
    ]
    store.quarantine("default").record(entries)
    return collection


def test_collections(run: Callable[..., Any], filled: Collection) -> None:
    assert all(word in run("collections").stdout for word in ("default", "toy", "meaning", "5"))
    document = json.loads(run("collections", "--json").stdout)
    assert document["db"] == filled.uri
    assert [(one["name"], one["items"]) for one in document["collections"]] == [("default", 5)]


def test_collections_of_nothing(run: Callable[..., Any], store: Store) -> None:
    assert "No collections" in run("collections").stdout
    assert json.loads(run("collections", "--json").stdout) == {"db": store.uri, "collections": []}


def test_the_store_comes_from_the_environment(filled: Collection) -> None:
    done = CliRunner().invoke(app, ["collections", "--json"], env={"ONEWORD_DB": filled.uri})
    assert json.loads(done.stdout)["db"] == filled.uri


def test_info(run: Callable[..., Any], filled: Collection) -> None:
    shown = run("info").stdout
    assert all(word in shown for word in ("5 text", "toy", "n (number)", "bad[b]09", "no picture", "2 more"))
    assert "bad[b]10" not in shown
    document = json.loads(run("info", "default", "--json").stdout)
    assert (document["items"], document["quarantined"], len(document["quarantine"])) == (5, 12, 12)
    assert document["space"]["view"] == "meaning"
    assert datetime.fromisoformat(document["created"]).tzinfo is not None


def test_errors_are_left_to_the_front_door(run: Callable[..., Any], filled: Collection) -> None:
    assert isinstance(run("info", "nope").exception, CollectionNotFound)
    assert isinstance(run("delete", "--where", "nope = 1", "--yes").exception, FilterError)


@pytest.mark.parametrize(
    ("ids", "code", "deleted", "not_found"),
    [(["1", "2"], 0, 2, 0), (["1", "x"], 0, 1, 1), (["x", "y", "x"], 1, 0, 2)],
)
def test_delete_by_id(
    run: Callable[..., Any], filled: Collection, ids: list[str], code: int, deleted: int, not_found: int
) -> None:
    done = run("delete", *ids, "--json")
    document = {"collection": "default", "deleted": deleted, "not_found": not_found, "dropped": False}
    assert (done.exit_code, json.loads(done.stdout)) == (code, document)
    assert filled.count() == 5 - deleted


def test_delete_where_and_all(run: Callable[..., Any], filled: Collection, store: Store) -> None:
    assert "Deleted 3 items" in run("delete", "--where", "n >= 2", "--yes").stdout
    assert json.loads(run("delete", "--all", "--yes", "--json").stdout)["deleted"] == 2
    assert store.collections() == []


@pytest.mark.parametrize("args", [["--all"], ["--where", "n >= 2"]])
def test_without_a_terminal_yes_is_needed(run: Callable[..., Any], filled: Collection, args: list[str]) -> None:
    done = run("delete", *args, "--json")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "--yes" in done.stderr
    assert filled.count() == 5


@pytest.mark.parametrize(("answer", "left"), [("y\n", 2), ("n\n", 5)])
def test_at_a_terminal_it_asks(
    run: Callable[..., Any], filled: Collection, monkeypatch: pytest.MonkeyPatch, answer: str, left: int
) -> None:
    monkeypatch.setattr(terminal, "at_terminal", lambda: True)
    done = run("delete", "--where", "n >= 2", "--json", input=answer)
    assert "Delete 3 items" in done.stderr
    assert "Delete 3 items" not in done.stdout
    assert filled.count() == left


@pytest.mark.parametrize("args", [[], ["1", "--all"], ["--all", "--where", "n = 1"]])
def test_delete_needs_one_target(run: Callable[..., Any], filled: Collection, args: list[str]) -> None:
    done = run("delete", *args, "--yes")
    assert done.exit_code == 2
    assert "say what to delete" in done.stderr


def test_a_build_without_faiss_makes_the_other_indexes(
    run: Callable[..., Any], filled: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled._table()._lance.drop_index("text_idx")
    monkeypatch.setattr("oneword.storage.reader.find_spec", lambda _: None)
    done = run("build")
    assert isinstance(done.exception, MissingFaiss)
    assert "keyword indexes are up to date" in done.output
    assert [one.kind for one in filled._table().indexes()] == ["FTS"]
