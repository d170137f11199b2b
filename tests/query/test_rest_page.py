"""The examples of docs/rest.md, run as they stand against a real service."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from oneword import query
from oneword.query.server.problem import CODES
from oneword.storage import Store

ROOT = Path(query.__file__).parents[2]
PAGE = (ROOT / "docs" / "rest.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def shell(start: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Runs a block where its pictures lie, with the service's address and key; stops at the first failure."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    folder = tmp_path_factory.mktemp("page")
    for name, colour in {"cat": "orange", "dress": "red", "photos/beach": "yellow"}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        PIL.Image.new("RGB", (64, 48), colour).save(folder / f"{name}.jpg")
    env = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    db, keys = folder / "db", folder / "keys.toml"
    index = ["index", "cat.jpg", "dress.jpg", "--db", db, "--model", "hash"]
    subprocess.run([sys.executable, "-m", "oneword", *map(str, index)], cwd=folder, env=env, check=True)
    key = ["keys", "create", "me", "--scope", "admin", "--file", str(keys)]
    told = subprocess.run([sys.executable, "-m", "oneword", *key], env=env, check=True, capture_output=True, text=True)
    service = start("--db", db, "--api-keys", keys, "--job-root", folder / "photos", "--model", "hash", cwd=folder)
    env |= {"ONEWORD": service.url, "KEY": told.stdout.strip()}

    def run(block: str) -> str:
        strict = re.sub(r"^curl -s", "curl -sS --fail-with-body", block.replace("MODEL", "hash"), flags=re.MULTILINE)
        done = subprocess.run(
            ["bash", "-e", "-c", strict], cwd=folder, env=env, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    run.db = db  # type: ignore[attr-defined]
    return run


def test_every_example_works(shell: Any) -> None:
    ran = [block for block in BLOCKS if "curl" in block and "/verify" not in block]
    assert len(ran) > 10
    found = [shell(block) for block in ran]
    assert found[0].startswith('{"hits":[{"id":')
    assert any('"status":"ready"' in one for one in found)
    collection = Store(shell.db).open("default")
    collection.keep_index(aside=False)
    (check,) = [block for block in BLOCKS if "/verify" in block]
    assert '"right":true' in shell(check)


def test_the_first_block_makes_a_key(shell: Any) -> None:
    assert "oneword keys create me --scope admin --file keys.toml" in BLOCKS[0]
    assert shell(BLOCKS[0] + "\necho $KEY").startswith("ow_")


def test_every_code_of_a_problem_is_told() -> None:
    table = PAGE[PAGE.index("| | `code` | |") : PAGE.index("## Operation")]
    assert set(re.findall(r"`(\w+)`", table)) - {"code", "field"} == set(CODES)
