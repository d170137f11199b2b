from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from oneword.storage import CollectionNotFound, Refused, Store, terminal
from oneword.storage.history_cli import quarantine_app

NOW = datetime(2024, 5, 31, 12, tzinfo=UTC)


@pytest.fixture
def run(store: Store) -> Callable[..., Any]:
    def invoke(*args: str, **options: Any) -> Any:
        return CliRunner().invoke(quarantine_app, [*args, "--db", store.uri], **options, env={"COLUMNS": "200"})

    return invoke


@pytest.fixture
def filled(store: Store, space: dict[str, Any]) -> Store:
    store.create("default", space)
    entries = [
        Refused(
            uri=f"bad[b]{n:02}",
            reason="no picture",
            kind="text" if n == 3 else "decode",
            at=NOW + timedelta(minutes=n % 10),
            source='{"s": 1}',
        )
        for n in range(25)
    ]
    store.quarantine("default").record(entries)
    return store


def test_the_list_shows_the_last_tried_first(run: Callable[..., Any], filled: Store) -> None:
    lines = run("list").stdout.splitlines()
    assert lines[0].split() == ["could", "not", "be", "indexed", "kind", "because", "tries", "last", "tried"]
    assert [line.split()[0] for line in lines[1:4]] == ["bad[b]09", "bad[b]19", "bad[b]08"]
    assert lines[21:] == ["... and 5 more: see --limit, or --json", "By kind: decode 24, text 1"]
    lines = run("list", "--limit", "2").stdout.splitlines()
    assert len(lines) == 5
    assert "no picture" in lines[1]
    assert "23 more" in lines[3]


def test_the_list_of_a_kind(run: Callable[..., Any], filled: Store) -> None:
    shown = run("list", "--kind", "text").stdout
    assert "bad[b]03" in shown
    assert "bad[b]02" not in shown
    assert "more" not in shown
    assert "Nothing of 'default' is in quarantine as nope." in run("list", "--kind", "nope").stdout


def test_the_list_as_json_has_all(run: Callable[..., Any], filled: Store) -> None:
    document = json.loads(run("list", "--json").stdout)
    assert (document["db"], document["collection"], document["total"]) == (filled.uri, "default", 25)
    assert (document["kinds"], len(document["entries"])) == ({"decode": 24, "text": 1}, 25)
    first = document["entries"][0]
    assert (first["uri"], first["source"], first["tries"]) == ("bad[b]09", '{"s": 1}', 1)
    assert datetime.fromisoformat(first["last_tried"]) == NOW + timedelta(minutes=9)
    document = json.loads(run("list", "--json", "--limit", "3", "--kind", "decode").stdout)
    assert (document["total"], len(document["entries"])) == (24, 3)


def test_nothing_in_quarantine(run: Callable[..., Any], store: Store, space: dict[str, Any]) -> None:
    store.create("default", space)
    assert run("list").stdout == "Nothing of 'default' is in quarantine.\n"
    assert json.loads(run("list", "--json").stdout)["entries"] == []
    assert json.loads(run("clear", "--yes", "--json").stdout)["cleared"] == 0


def test_a_collection_that_is_not_there(run: Callable[..., Any], filled: Store) -> None:
    for command in (["list"], ["clear", "--yes"]):
        assert isinstance(run(*command, "-c", "nope").exception, CollectionNotFound)


@pytest.mark.parametrize(
    ("args", "code", "cleared", "not_found"),
    [
        ([], 0, 25, 0),
        (["--kind", "text"], 0, 1, 0),
        (["--kind", "nope"], 0, 0, 0),
        (["bad[b]01", "bad[b]02", "bad[b]01"], 0, 2, 0),
        (["bad[b]01", "nope"], 0, 1, 1),
        (["nope"], 1, 0, 1),
    ],
)
def test_clear(
    run: Callable[..., Any], filled: Store, args: list[str], code: int, cleared: int, not_found: int
) -> None:
    done = run("clear", *args, "--yes", "--json")
    document = {"collection": "default", "cleared": cleared, "not_found": not_found}
    assert (done.exit_code, json.loads(done.stdout)) == (code, document)
    assert filled.quarantine("default").count() == 25 - cleared


def test_clear_asks(run: Callable[..., Any], filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    done = run("clear")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "--yes" in done.stderr
    monkeypatch.setattr(terminal, "at_terminal", lambda: True)
    assert "Forget 25 inputs" in run("clear", input="n\n").stderr
    assert filled.quarantine("default").count() == 25
    assert "Cleared 1 of" in run("clear", "--kind", "text", input="y\n").stdout
    assert "Cleared 1 of the quarantine of 'default'; 1 not found." in run("clear", "bad[b]01", "x", input="y\n").stdout


def test_inputs_or_a_kind(run: Callable[..., Any], filled: Store) -> None:
    done = run("clear", "a", "--kind", "b", "--yes")
    assert done.exit_code == 2
    assert "say what to forget" in done.stderr
