import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from oneword import cli
from oneword.query.server.cli import keys as app
from oneword.query.server.keys import Keys

FILE = Path("oneword-keys.toml")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.delenv("ONEWORD_KEYS", raising=False)
    return lambda *args, **env: CliRunner().invoke(app, args, env={"COLUMNS": "200", **env})


def test_a_key_is_printed_once_and_works(run: Callable[..., Any]) -> None:
    done = run("create", "the shop", "--scope", "write", "--rate", "20")
    assert done.exit_code == 0
    assert len(done.stdout.split()) == 1  # so that KEY=$(oneword keys create ...) works
    assert "shown only now" in done.stderr
    text = done.stdout.strip()
    principal = Keys.load(FILE).check(f"Bearer {text}")
    assert principal is not None
    assert (principal.name, principal.scope, principal.rate) == ("the shop", "write", 20)
    for listed in (run("list"), run("list", "--json")):
        assert "the shop" in listed.stdout
        assert principal.id in listed.stdout
        assert text.split("_", 2)[2] not in listed.stdout


def test_json_has_the_key_once_and_never_its_hash(run: Callable[..., Any]) -> None:
    made = json.loads(run("create", "a", "--json").stdout)
    assert made["key"].startswith(f"ow_{made['id']}_")
    assert (made["scopes"], made["rate"], made["file"]) == (["read"], None, str(FILE))
    listed = json.loads(run("list", "--json").stdout)
    assert listed["keys"] == [{name: made[name] for name in ("id", "name", "scopes", "created", "rate")}]
    assert "sha256" not in str(listed)


def test_a_revoked_key_is_gone(run: Callable[..., Any]) -> None:
    first, second = (json.loads(run("create", name, "--json").stdout) for name in ("first", "second"))
    done = run("revoke", first["id"])
    assert done.stdout.startswith(f"Revoked {first['id']}, the key of 'first'. Services that use this file refuse it")
    keys = Keys.load(FILE)
    assert keys.check(f"Bearer {first['key']}") is None
    assert keys.check(f"Bearer {second['key']}") is not None
    assert json.loads(run("revoke", second["id"], "--json").stdout)["revoked"]["name"] == "second"
    assert run("list").stdout == "There are no keys in 'oneword-keys.toml': no one is let in.\n"


def test_the_file_may_be_named_by_the_environment(run: Callable[..., Any]) -> None:
    run("create", "a", ONEWORD_KEYS="elsewhere.toml")
    assert Path("elsewhere.toml").exists()
    assert not FILE.exists()


def test_what_cannot_be_done_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["keys", "list"]) == 1
    assert "there is no keys file 'oneword-keys.toml': make one" in capsys.readouterr().err
    assert cli.run(["keys", "revoke", "nobody"]) == 1
    assert not FILE.exists()
    assert cli.run(["keys", "create", "a", "--rate", "0"]) == 2
    assert "rate is 0.0; expected requests a second" in capsys.readouterr().err
    assert cli.run(["keys", "create", "a", "--scope", "root"]) == 2
    assert cli.run(["keys", "create", "a"]) == 0
    secret = capsys.readouterr().out.strip()
    assert cli.run(["keys", "revoke", secret]) == 1
    told = capsys.readouterr().err
    assert "no key in 'oneword-keys.toml' has this id" in told
    assert secret not in told


def test_keys_need_none_of_the_servers_packages() -> None:
    program = """
import sys
for name in ("starlette", "fastapi", "uvicorn", "httptools"):
    sys.modules[name] = None
from oneword import cli
sys.exit(cli.run(["--help"]) + cli.run(["keys", "create", "a"]) + cli.run(["keys", "list"]))
"""
    root = Path(cli.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": str(root)}, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr.count("Traceback")) == (0, 0), done.stderr
    assert "ow_" in done.stdout
