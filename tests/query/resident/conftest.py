"""A folder of this test's own for resident processes; none of them outlives it."""

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from oneword import cli
from oneword.engine.config import EngineConfig
from oneword.indexer import index_paths
from oneword.query.query import Query
from oneword.query.resident.address import Address
from oneword.query.resident.client import ask
from oneword.query.resident.control import _started, residents
from tests.query.conftest import ROOT


@pytest.fixture(autouse=True)
def runtime(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """XDG_RUNTIME_DIR, with resident processes allowed."""
    folder = tmp_path_factory.mktemp("run")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    monkeypatch.setenv("ONEWORD_DAEMON", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # as services of the tests have it
    yield folder
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    for process in _started:
        process.terminate()
        process.wait(60)
    _started.clear()
    assert not list(residents())


@pytest.fixture
def store(album: Path) -> str:
    """The album in ./.oneword, by the model `hash`."""
    index_paths([album], db=".oneword", model="hash")
    return ".oneword"


@pytest.fixture
def address(store: str) -> Address:
    """Where the store's resident process is."""
    found = Address.of(store, EngineConfig())
    assert found is not None
    return found


@dataclass(frozen=True)
class Done:
    """What a command came to; times are left out."""

    code: int
    stdout: str
    stderr: str


@pytest.fixture
def oneword(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Done]:
    """Runs a command line in this process."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str | Path) -> Done:
        capfd.readouterr()
        code = cli.run([str(one) for one in arguments])
        out, err = capfd.readouterr()
        return Done(code, re.sub(r'(encode|search)(_ms": | )[\d.]+', r"\1\g<2>0", out), err)

    return run


@pytest.fixture
def warm(address: Address, oneword: Callable[..., Done]) -> Address:
    """The address, once its process answers."""
    assert oneword("search", "a cat").code == 0
    until(lambda: ask(address, Query.of("a cat"), "default"))
    until(lambda: answered(address))  # an answer is sent before it is logged
    return address


def until(true: Callable[[], object], seconds: float = 60) -> None:
    """Waits."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def answered(address: Address) -> int:
    """How many searches the process of an address has answered."""
    return len(re.findall(r"search' 200 ", address.log.read_text())) if address.log.exists() else 0
