"""A damaged index is none: the table answers instead, rightly and at once, and a build is due."""

import json
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from oneword.storage import Collection, Item, StorageConfig, Store
from oneword.storage.config import AnnKind

SPACE = {"fingerprint": "f", "dimension": 16, "model": "m", "view": "v"}
FILES = ["about.json", "addresses.npy", "documents.bin", "offsets.npy", "stamps.npy", "vectors.faiss"]
FILES += ["checksums.npy", "lists.faiss"]


def made(root: Path, index: AnnKind) -> Path:
    """A store of 300 items with an index."""
    chance = np.random.default_rng(0)
    vectors = chance.normal(size=(300, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    collection = Store(root).create("a", SPACE)
    collection.upsert(
        Item(id=f"{at:03}", modality="text", uri="u", content_hash="h", text=f"text {at}", vector=vector)
        for at, vector in enumerate(vectors)
    )
    collection.build_index(index=index)
    return root


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("flat"), "flat")


@pytest.fixture(scope="module")
def built_of_lists(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("lists"), "ivfpq")


def answers(collection: Collection, *, exact: bool = False) -> list[tuple[str, str | None, float]]:
    question = np.eye(16, dtype=np.float32)[3]
    hits = collection.search(question, limit=20, exact=exact)
    return [(hit.item.id, hit.item.text, round(hit.score, 6)) for hit in hits]


def flipped(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]


HARM: dict[str, Callable[[bytes, random.Random], bytes | None]] = {
    "cut": lambda data, chance: data[: chance.randrange(len(data))],
    "zeroed": lambda data, _: bytes(len(data)),
    "emptied": lambda data, _: b"",
    "removed": lambda data, _: None,
    "a bit": flipped,
    "another bit": flipped,
    "its first bytes": lambda data, chance: chance.randbytes(16) + data[16:],
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("harm", HARM.values(), ids=HARM)
def test_whatever_is_damaged_the_answers_are_right(
    built_of_lists: Path, tmp_path: Path, name: str, harm: Callable[[bytes, random.Random], bytes | None]
) -> None:
    shutil.copytree(built_of_lists, tmp_path / "store")
    (folder,) = (one for one in (tmp_path / "store" / "a.serving").iterdir() if one.is_dir())
    data = harm((folder / name).read_bytes(), random.Random(name))
    (folder / name).unlink()
    if data is not None:
        (folder / name).write_bytes(data)
    collection = Store(tmp_path / "store").open("a")
    assert answers(collection) == answers(collection, exact=True)
    assert collection.info().index is None, "it serves no more"
    collection.build_index()
    assert collection.info().index is not None
    assert answers(collection) == answers(collection, exact=True)


@pytest.mark.parametrize("name", ["documents.bin", "vectors.faiss"])
@pytest.mark.parametrize("seed", range(8))
def test_what_changes_while_it_serves_is_noticed_where_it_is_read(
    built: Path, tmp_path: Path, name: str, seed: int
) -> None:
    """Every row is among the hits, so every changed byte is; their files are mapped, and change in memory too."""
    shutil.copytree(built, tmp_path / "store")
    (folder,) = (one for one in (tmp_path / "store" / "a.serving").iterdir() if one.is_dir())
    collection = Store(tmp_path / "store", config=StorageConfig(rebuilds=True)).open("a")
    assert len(collection.search(np.eye(16, dtype=np.float32)[3], limit=300)) == 300
    keeper = collection.index_keeper()
    assert keeper is not None
    assert keeper.info(collection.snapshot()) is not None
    data = (folder / name).read_bytes()
    chance = random.Random(seed)
    with (folder / name).open("r+b") as file:
        at = chance.randrange(len(data) - 16 * 2 * 300 if name == "vectors.faiss" else 0, len(data))
        file.seek(at)
        file.write(bytes([data[at] ^ (1 << chance.randrange(8))]))
    asked = {"limit": 300, "thumbnails": False}
    question = np.eye(16, dtype=np.float32)[3]
    right = [(hit.item, hit.score) for hit in collection.search(question, exact=True, **asked)]
    assert [(hit.item, hit.score) for hit in collection.search(question, **asked)] == right
    assert (keeper.damaged, keeper.distrusted) == (True, 1)
    assert [(hit.item, hit.score) for hit in collection.search(question, **asked)] == right  # and starts a build
    assert keeper._builder is not None
    keeper._builder.join()
    assert keeper.info(collection.snapshot()) is not None
    assert (keeper.damaged, keeper.distrusted) == (False, 1)


def test_files_are_looked_at_again_while_they_serve(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those that no search has read since."""
    monkeypatch.setattr("oneword.storage.ann.keeper.REVISIT", 0.05)
    shutil.copytree(built, tmp_path / "store")
    (folder,) = (one for one in (tmp_path / "store" / "a.serving").iterdir() if one.is_dir())
    collection = Store(tmp_path / "store").open("a")
    keeper = collection.index_keeper()
    assert keeper is not None
    assert keeper.info(collection.snapshot()) is not None
    with (folder / "stamps.npy").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x7f")
    for _ in range(200):
        if keeper.damaged:
            break
        time.sleep(0.05)
    assert keeper.damaged


def test_an_index_that_fails_while_it_serves_is_left(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(built, tmp_path / "store")
    collection = Store(tmp_path / "store").open("a")
    right = answers(collection)
    monkeypatch.setattr("oneword.storage.ann.files.Documents.__getitem__", lambda self, row: [][row])
    assert answers(collection) == right
    assert "searches use the table" in caplog.text
    monkeypatch.undo()
    assert collection.info().index is None


def test_a_build_that_fails_leaves_nothing_and_waits(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(built, tmp_path / "store")
    folder = tmp_path / "store" / "a.serving"
    (folder / "000000000009-1.partial").mkdir()
    collection = Store(tmp_path / "store").open("a")
    monkeypatch.setattr("shutil.disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 8 * 2**20))
    with pytest.raises(OSError, match="kept for the table"):
        collection.build_index()
    monkeypatch.undo()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("oneword.storage.ann.keeper.build", full)
    keeper = collection.index_keeper()
    assert keeper is not None
    thread = keeper.build_aside(collection.snapshot())
    assert thread is not None
    thread.join()
    assert not list(folder.glob("*.partial"))
    assert caplog.text.count("was not built: No space left on device") == 1
    assert keeper.build_aside(collection.snapshot()) is None, "not again for a while"
    assert collection.upsert(collection.get(["001"], vectors=True).values()).updated == 1


def test_an_index_of_an_older_format_is_built_again(built: Path, tmp_path: Path) -> None:
    """Up to 0.1.0 parameters were called otherwise, and there was no checksum."""
    shutil.copytree(built, tmp_path / "store")
    (about,) = (tmp_path / "store" / "a.serving").glob("*/about.json")
    said = json.loads(about.read_text())
    del said["checksum"]
    old = {"probes": 4, "keep": 8, "deep_probes": 16, "deep_keep": 6}
    about.write_text(json.dumps(said | {"kind": "IVF7,RaBitQfs,Refine(SQfp16)", "effort": old}))
    collection = Store(tmp_path / "store").open("a")
    assert answers(collection) == answers(collection, exact=True)
    assert collection.index_info() is None
    assert collection.keep_index(aside=False)
    assert collection.index_info() is not None
