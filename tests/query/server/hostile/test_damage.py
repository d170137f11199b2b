"""An ANN index that is damaged under a running service: answers stay right, it says so, and builds another."""

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

ITEMS = 200


@pytest.fixture
def target(attack: Callable[..., Any]) -> Any:
    """200 items, and an index of them that serves."""
    made = attack()
    dimension = made.call("GET", "/v1/collections/c").json()["dimension"]
    vectors = np.random.default_rng(0).normal(size=(ITEMS, dimension)).tolist()
    items = [{"id": f"i{n}", "text": f"text {n}", "vector": one} for n, one in enumerate(vectors)]
    assert made.post("/items", {"items": items}).status_code == 200
    built(made)
    return made


def built(target: Any) -> None:
    assert target.post("/build").status_code == 202
    for _ in range(200):
        if target.call("GET", "/v1/collections/c").json()["index"]:
            with FileLock(target.folder / "db" / "c.serving.lock", timeout=10):  # of a second build
                return
        time.sleep(0.05)
    raise AssertionError("there is no index")


def answers(target: Any) -> Any:
    answer = target.post("/search", {"text": "text 3", "limit": ITEMS + 4, "with": ["payload", "vector"]})
    assert answer.status_code == 200, answer.text
    # Without confidence, which lies beside the ANN index and is not known while the table answers.
    return [{name: value for name, value in hit.items() if name != "confidence"} for hit in answer.json()["hits"]]


def number(target: Any, name: str) -> float:
    lines = target.call("GET", "/metrics").text.splitlines()
    return float(next(line for line in lines if line.startswith(f'oneword_{name}{{collection="c"}}')).split()[1])


def folder_of(target: Any) -> Path:
    return max(one for one in (target.folder / "db" / "c.serving").iterdir() if one.is_dir())


def test_a_changed_byte_changes_no_answer(target: Any) -> None:
    right, chance = answers(target), random.Random(0)
    for name in ("documents.bin", "vectors.faiss", "documents.bin"):
        file = folder_of(target) / name
        data = file.read_bytes()
        at = chance.randrange(len(data) // 2, len(data))
        found = number(target, "index_damaged")
        with file.open("r+b") as opened:
            opened.seek(at)
            opened.write(bytes([data[at] ^ 1]))
        for _ in range(3):
            assert answers(target) == right
        assert number(target, "index_damaged") == found + 1
        told = target.call("GET", "/readyz")
        assert told.status_code == 200
        built(target)
        assert answers(target) == right
        assert "detail" not in target.call("GET", "/readyz").json()
        assert number(target, "index_distrusted") == 0


def test_it_says_so_until_it_is_built_again(target: Any) -> None:
    """Here no build can be: a folder is in its way."""
    right, folder = answers(target), folder_of(target)
    for one in folder.iterdir():
        with one.open("r+b") as opened:
            opened.seek(-9, 2)
            opened.write(b"#########")
    folder.parent.chmod(0o500)
    (folder.parent.parent / "c.serving.lock").unlink(missing_ok=True)
    (folder.parent.parent / "c.serving.lock").mkdir()
    for _ in range(3):
        assert answers(target) == right
    told = target.call("GET", "/readyz").json()
    assert told == {
        "status": "ready",
        "detail": "the ANN index of 'c' is damaged: searches scan the table until it is rebuilt",
    }
    assert number(target, "index_distrusted") == 1
