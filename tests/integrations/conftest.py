"""A database on this machine, and one behind a real service; the frameworks are imported by each test file."""

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

import oneword
from oneword.database import Database
from tests.query.conftest import start  # noqa: F401 - a fixture

FRAMEWORKS = {
    "test_haystack.py": "haystack",
    "test_langchain.py": "langchain_core",
    "test_llama_index.py": "llama_index",
}
collect_ignore = [file for file, package in FRAMEWORKS.items() if find_spec(package) is None]

RED, BLUE = (PIL.Image.new("RGB", (64, 48), color) for color in ("red", "blue"))


@pytest.fixture(scope="module")
def served(start: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> str:  # noqa: F811
    return str(start("--db", tmp_path_factory.mktemp("served") / "db").url)


@pytest.fixture(params=["local", "service"])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where it is, for `oneword.connect`."""
    where = str(tmp_path / "db") if request.param == "local" else request.getfixturevalue("served")
    yield where
    with oneword.connect(where) as database:
        for one in database.collections():
            database.drop(one.name)


@pytest.fixture
def database(db: str) -> Iterator[Database]:
    with oneword.connect(db) as opened:
        yield opened


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for name, picture in (("red", RED), ("blue", BLUE)):
        picture.save(tmp_path / f"{name}.png")
    return tmp_path
