"""Small stores to test on: 4 numbers a vector, in a temporary directory."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oneword import storage
from oneword.storage import Collection, Item, Store
from tests import forkserver

ROOT = Path(storage.__file__).parents[1]


@pytest.fixture
def space() -> dict[str, Any]:
    return {"fingerprint": "f" * 40, "dimension": 4, "model": "toy", "view": "meaning"}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "db")


@pytest.fixture
def collection(store: Store, space: dict[str, Any]) -> Collection:
    return store.create("things", space)


@pytest.fixture
def item() -> Callable[..., Item]:
    """Make an item: `item("a", [1, 0, 0, 0], text="...")`; the vector is put to unit length."""

    def make(item_id: str, vector: Any = (1, 0, 0, 0), **fields: Any) -> Item:
        unit = np.asarray(vector, np.float32)
        unit = unit / np.linalg.norm(unit)
        defaults = {"modality": "text", "uri": f"file:///{item_id}", "content_hash": f"hash of {item_id}"}
        return Item(id=item_id, vector=unit, **{**defaults, **fields})

    return make


@pytest.fixture
def process() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a second Python process on some code, with `args` as its sys.argv[1:]."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str, *args: object) -> subprocess.Popen[str]:
        child = forkserver.start(["-c", code, *args], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        started.append(child)
        return child

    yield start
    for child in started:
        child.kill()
        child.communicate()
