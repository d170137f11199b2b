"""What was acknowledged survives a power cut, and what a cut or a bad disk damages can be gone back from."""

import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from oneword.storage import DamagedCollection, Item, StorageConfig, StorageError, Store, VersionNotFound
from oneword.storage.durability import find_damage
from tests import forkserver

SPACE = {"fingerprint": "f", "dimension": 4, "model": "m", "view": "v"}


def items(*ids: str, **metadata: int) -> list[Item]:
    vector = np.array([1, 0, 0, 0], np.float32)
    return [
        Item(id=one, modality="text", uri=one, content_hash=one, text=one, vector=vector, metadata=metadata)
        for one in ids
    ]


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> set[tuple[int, int]]:
    """Device and inode of each file and folder that was synced."""
    found: set[tuple[int, int]] = set()
    fsync = os.fsync

    def watching(descriptor: int) -> None:
        fsync(descriptor)
        stat = os.fstat(descriptor)
        found.add((stat.st_dev, stat.st_ino))

    monkeypatch.setattr(os, "fsync", watching)
    return found


def unsynced(root: Path, synced: set[tuple[int, int]]) -> list[str]:
    """Files and folders of all tables that a power cut could take."""
    paths = [path for table in root.glob("*.lance") for path in (table, *table.rglob("*")) if path.name != "_synced"]
    return [str(path) for path in paths if (path.stat().st_dev, path.stat().st_ino) not in synced]


WRITES: dict[str, Callable[[Store], object]] = {
    "create": lambda store: store.create("b", SPACE),
    "upsert": lambda store: store.open("a").upsert(items("x", "y", n=1)),
    "merge": lambda store: store.open("a").upsert(items("1", "z")),
    "delete": lambda store: store.open("a").delete(["1"]),
    "tag": lambda store: store.open("a").tag("good"),
    "restore": lambda store: store.open("a").restore(2),
    "compact": lambda store: store.open("a").compact(),
    "keywords": lambda store: store.open("a").index_keywords(),
    "copy": lambda store: store.copy("a", "c"),
    "rename": lambda store: store.rename("a", "d"),
    "journal": lambda store: store.journal().start(collection="a", command="x"),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("fresh", [False, True], ids=["one process", "another process"])
def test_all_files_of_a_commit_are_synced_before_it_is_acknowledged(
    tmp_path: Path, synced: set[tuple[int, int]], write: Callable[[Store], object], fresh: bool
) -> None:
    store = Store(tmp_path)
    store.create("a", SPACE).upsert(items("1", "2", "3"))
    write(Store(tmp_path) if fresh else store)
    assert unsynced(tmp_path, synced) == []


def test_who_chooses_speed_has_no_syncs(tmp_path: Path, synced: set[tuple[int, int]]) -> None:
    Store(tmp_path, config=StorageConfig(durable=False)).create("a", SPACE).upsert(items("1"))
    assert not synced
    Store(tmp_path).open("a").upsert(items("2"))
    assert unsynced(tmp_path, synced) == [], "what others left is synced with what builds on it"


def test_only_the_files_of_the_commit_are_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collection = Store(tmp_path).create("a", SPACE)
    counts: list[int] = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: (counts.append(descriptor), fsync(descriptor))[1])
    for number in range(20):
        counts.clear()
        collection.upsert(items(str(number)))
    assert len(counts) < 10


CUT = """
import sys
sys.path.insert(0, sys.argv[3])
from tests.storage.test_durability import SPACE, items
from oneword.storage import Store
collection = Store(sys.argv[1]).open_or_create("a", SPACE)
for number in range(int(sys.argv[2])):
    collection.upsert(items(f"{number}"))
"""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """A file system in a file, and that file: copied as it lies on the disk it is what a power cut leaves."""
    image, mounted = tmp_path / "disk.img", tmp_path / "mounted"
    mounted.mkdir()
    image.write_bytes(b"")
    os.truncate(image, 64 * 2**20)
    try:
        subprocess.run(["mkfs.ext4", "-q", image], check=True, capture_output=True)
        subprocess.run(["mount", "-o", "loop", image, mounted], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no file system can be mounted here: {error}")
    try:
        yield mounted, image
    finally:
        subprocess.run(["umount", "-l", mounted], check=True)


def test_a_power_cut_takes_nothing_that_was_acknowledged(tmp_path: Path, disk: tuple[Path, Path]) -> None:
    mounted, image = disk
    root = str(Path(__file__).parents[2])
    forkserver.run(["-c", CUT, mounted / "store", 5, root], check=True, timeout=120)
    shutil.copy(image, tmp_path / "cut.img")  # without unmounting: what is only in memory is not in it
    after = tmp_path / "after"
    after.mkdir()
    subprocess.run(["mount", "-o", "loop", tmp_path / "cut.img", after], check=True)
    try:
        assert sorted(Store(after / "store").open("a").get(list("0123456"))) == list("01234")
    finally:
        subprocess.run(["umount", after], check=True)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    store.create("a", SPACE).upsert(items("1", "2", "3"))
    store.open("a").upsert(items("4"))
    store.create("b", SPACE).upsert(items("9"))
    return store


def newest(root: Path, name: str = "a") -> Path:
    return min((root / f"{name}.lance" / "_versions").glob("*.manifest"))


@pytest.mark.parametrize("harm", ["empty", "cut", "zero", "data"])
def test_a_damaged_collection_says_how_to_go_back_and_does(tmp_path: Path, store: Store, harm: str) -> None:
    version = store.open("a").version
    if harm == "data":
        max((tmp_path / "a.lance" / "data").iterdir(), key=lambda file: file.stat().st_mtime_ns).write_bytes(b"")
    elif harm == "zero":
        newest(tmp_path).write_bytes(bytes(newest(tmp_path).stat().st_size))
    else:
        os.truncate(newest(tmp_path), 0 if harm == "empty" else newest(tmp_path).stat().st_size - 5)
    with pytest.raises(DamagedCollection, match=rf"version {version} is damaged.*oneword restore a {version - 1}"):
        list(Store(tmp_path).open("a").scan(vectors=True))
    assert Store(tmp_path).open("b").count() == 1
    assert list(store.states("a").items())[-2:] == [(version - 1, True), (version, False)]
    with pytest.raises(VersionNotFound):
        store.recover("a", version)
    assert store.recover("a") == version - 1
    assert Store(tmp_path).open("a").count() == 3
    Store(tmp_path).open("a").upsert(items("5"))
    assert Store(tmp_path).open("a").count() == 4
    assert list((tmp_path / "a.lance" / "_damaged").iterdir()), "nothing is deleted"


def test_a_damaged_collection_can_always_be_dropped(tmp_path: Path, store: Store) -> None:
    for manifest in (tmp_path / "a.lance" / "_versions").glob("*.manifest"):
        manifest.write_bytes(b"")
    with pytest.raises(DamagedCollection, match="no sound one is left"):
        store.open("a")
    store.drop("a")
    assert store.collections() == ["b"]


def test_a_damaged_journal_stops_nobody(tmp_path: Path, store: Store) -> None:
    for _ in range(2):
        store.journal().start(collection="a", command="x")
    newest(tmp_path, "oneword.jobs").write_bytes(b"")
    assert len(Store(tmp_path).journal().list(10)) == 1
    for manifest in (tmp_path / "oneword.jobs.lance" / "_versions").glob("*.manifest"):
        manifest.write_bytes(b"")
    assert Store(tmp_path).journal().list(10) == []
    Store(tmp_path).journal().start(collection="a", command="y")


@pytest.mark.parametrize("seed", range(24))
def test_whatever_file_is_damaged_nothing_is_wrong_without_a_word(tmp_path: Path, store: Store, seed: int) -> None:
    chance = random.Random(seed)
    files = sorted(one for one in (tmp_path / "a.lance").rglob("*") if one.is_file() and one.name != "_synced")
    file = chance.choice(files)
    harm = chance.choice(["empty", "cut", "remove", "zero"])
    data = file.read_bytes()
    if harm == "remove":
        file.unlink()
    else:
        whole = {"empty": b"", "cut": data[: chance.randrange(max(1, len(data)))], "zero": bytes(len(data))}
        file.write_bytes(whole[harm])
    told, found = "", set[str]()
    try:
        found = {item.id for some in Store(tmp_path).open("a").scan(vectors=True) for item in some}
    except StorageError as error:
        told = str(error)
    assert told or found == {"1", "2", "3", "4"} or find_damage(tmp_path / "a.lance") is None, file
    assert ".rs:" not in told
    assert Store(tmp_path).open("b").count() == 1
