from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from oneword.storage import Store
from oneword.storage.history_cli import jobs

app = typer.Typer()
app.command()(jobs)


@pytest.fixture
def run(store: Store) -> Callable[..., Any]:
    def invoke(*args: str) -> Any:
        return CliRunner().invoke(app, [*args, "--db", store.uri], env={"COLUMNS": "200"})

    return invoke


@pytest.fixture
def filled(store: Store) -> Store:
    book = store.journal()
    first = book.start(collection="photos", command="oneword index photos")
    book.finish(first, "done", {"inputs": 1200, "indexed": 1190, "quarantined": 10, "seconds": 3.2})
    second = book.start(collection="texts", command="oneword index texts")
    book.finish(second, "failed", {}, "no [space] left")
    book.start(collection="photos", command="oneword index photos")
    return store


def test_jobs_in_a_table(run: Callable[..., Any], filled: Store) -> None:
    lines = run().stdout.splitlines()
    assert lines[0].split() == [
        "started",
        "collection",
        "state",
        "inputs",
        "indexed",
        "quarantined",
        "seconds",
        "message",
    ]
    assert [line.split()[2:4] for line in lines[1:]] == [["photos", "running"], ["texts", "failed"], ["photos", "done"]]
    assert "last heard of" in lines[1]
    assert "no [space] left" in lines[2]
    assert lines[3].split()[4:7] == ["1,200", "1,190", "10"]


def test_some_of_them(run: Callable[..., Any], filled: Store) -> None:
    assert len(run("--limit", "1").stdout.splitlines()) == 2
    assert len(run("-c", "texts").stdout.splitlines()) == 2
    assert run("-c", "nope").stdout == f"No jobs in {filled.uri} of 'nope'.\n"


def test_jobs_as_json(run: Callable[..., Any], filled: Store) -> None:
    document = json.loads(run("--json").stdout)
    assert document["db"] == filled.uri
    assert [job["state"] for job in document["jobs"]] == ["running", "failed", "done"]
    assert document["jobs"][2]["counts"]["indexed"] == 1190
    assert document["jobs"][0]["ended"] is None
    assert document["jobs"][1]["seconds"] >= 0


def test_none(run: Callable[..., Any], store: Store) -> None:
    assert run().stdout == f"No jobs in {store.uri}.\n"
    assert json.loads(run("--json").stdout) == {"db": store.uri, "jobs": []}
