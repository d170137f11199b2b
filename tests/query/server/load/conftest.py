"""A store whose right answers are known, load on it from another process, and what must be in it afterwards.

What is allowed under load, and nothing else:

- 200 and 204, with what the client knows to be right (readers.py, writers.py);
- 429 and 503 with a `Retry-After`, of the codes in client.py: nothing was done then, and the store must show it;
- after SIGTERM or a kill, and only then, a *new* connection may be refused, or reset before its first answer: TCP lets
  a client connect before the service has seen it. A write that went that way is `uncertain`: it may be there or not.
  A connection on which something was answered is never cut off by SIGTERM, because while the service drains each
  answer says that it is the last on its connection. By kill -9 it is, of course (`dropped`).
"""

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from oneword import query
from oneword.storage import Store
from tests import forkserver

HERE = Path(__file__).parent
ROOT = Path(query.__file__).parents[2]

SIZE = 2000
"""Items of the base."""


LONG = {"alive", "deleted", "uncertain", "answered"}
"""Parts of a report that nobody wants to read."""


@dataclass
class Generator:
    """A generator that runs."""

    process: subprocess.Popen[str]

    def stop(self, seconds: float = 60) -> Any:
        """Ends it, if it has not ended by itself; its report."""
        out, err = self.process.communicate("stop\n", timeout=seconds)
        assert not err, err
        report = json.loads(out)
        shown = {
            name: value for name, value in report.items() if name not in ("alive", "deleted", "uncertain", "answered")
        }
        print(json.dumps(shown))  # which pytest shows when the test fails
        return report

    def wait(self, seconds: float = 60) -> Any:
        """Waits until it has ended by itself; its report."""
        self.process.wait(seconds)
        return self.stop()


Generate = Callable[..., Generator]


def child(file: str, *arguments: object, **options: Any) -> subprocess.Popen[str]:
    """One of this folder's scripts, in a process of its own."""
    return forkserver.start([HERE / file, *arguments], cwd=ROOT, **options)


@pytest.fixture
def generate() -> Iterator[Generate]:
    """Starts a generator: `generate(urls, prefix, {"reader": 2}, seconds=2)`; see generator.py's Spec."""
    started: list[subprocess.Popen[str]] = []

    def starting(urls: list[str], prefix: str, clients: dict[str, int], **more: Any) -> Generator:
        spec = {"urls": urls, "clients": clients, "size": SIZE, "prefix": prefix, **more}
        pipe = subprocess.PIPE
        started.append(child("generator.py", json.dumps(spec), stdin=pipe, stdout=pipe, stderr=pipe))
        return Generator(started[-1])

    yield starting
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def other_writer() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a process that writes the store, too: `other_writer(db, prefix, seconds)`."""
    started: list[subprocess.Popen[str]] = []

    def starting(db: Path, prefix: str, seconds: float) -> subprocess.Popen[str]:
        started.append(child("store.py", "write", db, prefix, seconds, stdout=subprocess.PIPE))
        return started[-1]

    yield starting
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def make_store(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Makes a store with the base."""

    def made() -> Path:
        db = tmp_path_factory.mktemp("load") / "db"
        assert child("store.py", "seed", db, SIZE).wait(60) == 0
        return db

    return made


@pytest.fixture(scope="session")
def check_store() -> Callable[..., None]:
    """Whether a store holds the base, what was acknowledged in the reports, and nothing else.

    others: texts by id that were written beside the generators.
    """

    def check(db: Path, reports: list[Any], others: dict[str, str] | None = None) -> None:
        collection = Store(db).open("default")
        stored = [item for batch in collection.scan() for item in batch]
        texts = {item.id: item.text for item in stored}
        assert len(texts) == len(stored), "an item is there twice"
        assert sum(item.startswith("base-") for item in texts) == SIZE
        left = {item: text for item, text in texts.items() if not item.startswith("base-")}
        uncertain = {item for report in reports for item in report["uncertain"]}
        wanted = {item: text for report in reports for item, text in report["alive"].items()} | (others or {})
        lost = {item: text for item, text in wanted.items() if item not in uncertain and left.get(item) != text}
        assert not lost, f"{len(lost)} acknowledged writes are lost: {dict(list(lost.items())[:5])}"
        extra = set(left) - set(wanted) - uncertain
        assert not extra, f"{len(extra)} items are there that were deleted, or refused: {sorted(extra)[:5]}"
        checked = collection.verify()
        assert checked is None or checked.right, checked

    return check
