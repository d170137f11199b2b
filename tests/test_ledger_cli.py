"""`oneword quarantine` and `oneword jobs`, by the front door."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from oneword import cli
from oneword.storage import Refused, Store

SPACE = {"fingerprint": "f", "dimension": 4, "model": "m", "view": "v"}


def test_quarantine_and_jobs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(tmp_path / "db")
    store.create("default", SPACE)
    store.quarantine("default").record([Refused(uri="u", reason="r", kind="k", at=datetime.now(UTC))])
    store.journal().finish(store.journal().start(collection="default", command="c"), "done", {"inputs": 1})

    def run(*args: str) -> tuple[int, str]:
        code = cli.run([*args, "--db", store.uri, "--json"])
        return code, capsys.readouterr().out

    code, out = run("quarantine", "list")
    assert (code, [one["uri"] for one in json.loads(out)["entries"]]) == (0, ["u"])
    code, out = run("quarantine", "list", "-c", "nope")
    assert (code, json.loads(out)["error"]["type"]) == (1, "CollectionNotFound")
    assert run("quarantine", "clear")[0] == 2  # there is no terminal to ask at
    assert run("quarantine", "clear", "other", "--yes")[0] == 1
    code, out = run("quarantine", "clear", "u", "--yes")
    assert (code, json.loads(out)["cleared"]) == (0, 1)
    code, out = run("jobs", "--limit", "5", "--collection", "default")
    assert (code, [one["state"] for one in json.loads(out)["jobs"]]) == (0, ["done"])
    assert run("jobs", "--limit", "0")[0] == 2
