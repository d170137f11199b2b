"""A disk that is really full: one clear line, nothing lost, and what is derived makes room for what is not."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oneword.storage import Item, NoRoom, StorageConfig, Store, StoreUnavailable
from oneword.storage.config import RESERVE
from tests import forkserver

SPACE = {"fingerprint": "f", "dimension": 256, "model": "m", "view": "v"}
Fill = Callable[[int], None]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 MiB of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", place], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("no file system may be mounted here")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


@pytest.fixture
def fill(disk: Path) -> Fill:
    """Leaves so many bytes free."""

    def leave(free: int) -> None:
        (disk / "filler").unlink(missing_ok=True)
        with (disk / "filler").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, shutil.disk_usage(disk).free - free))

    return leave


def items(first: int, count: int) -> list[Item]:
    vectors = np.random.default_rng(first).normal(size=(count, 256)).astype(np.float32)
    return [
        Item(
            id=f"{first + n:05}",
            modality="text",
            uri=f"urn:{first + n}",
            content_hash=f"{first + n}",
            text=f"text {first + n} " + "word " * 50,
            vector=vector / np.linalg.norm(vector),
        )
        for n, vector in enumerate(vectors)
    ]


def oneword(*arguments: Any) -> subprocess.CompletedProcess[str]:
    return forkserver.run(["-m", "oneword", *arguments], env={**os.environ, "COLUMNS": "200"})


def test_what_was_acknowledged_is_there_and_the_rest_is_told(disk: Path, fill: Fill) -> None:
    collection = Store(disk / "db").create("a", SPACE)
    collection.upsert(items(0, 1000))
    fill(300_000)
    stored, told = 1000, ""
    for first in range(1000, 9000, 500):
        try:
            collection.upsert(items(first, 500))
            stored += 500
        except StoreUnavailable as error:
            told = str(error)
            break
    assert "free some space and try again" in told
    assert ".rs" not in told
    assert Store(disk / "db").open("a").count() == stored
    (disk / "filler").unlink()
    assert Store(disk / "db").open("a").upsert(items(9000, 500)).added == 500
    assert Store(disk / "db").open("a").count() == stored + 500


def test_compaction_removes_old_versions_where_there_is_room_and_says_where_there_is_none(
    disk: Path, fill: Fill
) -> None:
    collection = Store(disk / "db").create("a", SPACE)
    for first in range(0, 6000, 100):
        collection.upsert(items(first % 3000, 100))  # each item twice
    size = collection.compact().bytes_after
    assert size is not None
    fill(RESERVE + 200_000)
    before = sorted(file.name for file in (disk / "db").rglob("*") if file.is_file())
    told = oneword("compact", "a", "--db", disk / "db", "--older-than", "0s")
    assert told.returncode == 1
    assert len(told.stderr.strip().splitlines()) == 1, told.stderr
    assert "is not compacted" in told.stderr
    assert "free some space" in told.stderr
    assert sorted(file.name for file in (disk / "db").rglob("*") if file.is_file()) == before
    assert collection.count() == 3000
    collection.optimize()  # upkeep, which is left for later
    fill(RESERVE + size)
    told = oneword("compact", "a", "--db", disk / "db", "--older-than", "0s")
    assert told.returncode == 0, told.stderr
    assert "1 kept" in told.stdout
    assert Store(disk / "db").open("a").count() == 3000


def test_an_ann_index_makes_room(disk: Path, fill: Fill) -> None:
    collection = Store(disk / "db").create("a", SPACE)
    for first in range(0, 4000, 100):
        collection.upsert(items(first, 100))
    collection.build_index()
    folder = disk / "db" / "a.serving"
    held = sum(file.stat().st_size for file in folder.rglob("*"))
    assert held > 2_000_000
    fill(RESERVE + 1_000_000)
    assert oneword("compact", "a", "--db", disk / "db", "--older-than", "0s").returncode == 0
    assert not [one for one in folder.glob("*") if one.is_dir()]
    hits = Store(disk / "db").open("a").search(np.ones(256))
    assert len(hits) == 10


def test_a_build_without_room_leaves_nothing(disk: Path, fill: Fill, caplog: pytest.LogCaptureFixture) -> None:
    collection = Store(disk / "db", config=StorageConfig(rebuilds=True)).create("a", SPACE)
    collection.upsert(items(0, 3000))
    fill(RESERVE)
    for _ in range(3):
        collection.keep_index()
    serving = collection.index_keeper()
    assert serving is not None
    if serving._builder is not None:
        serving._builder.join()
    assert not list((disk / "db" / "a.serving").glob("*"))
    assert caplog.text.count("was not built") == 1
    assert collection.upsert(items(3000, 100)).added == 100
    with pytest.raises(NoRoom):
        collection.compact()
