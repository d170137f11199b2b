"""Text that images show: recognized by a job or later, found by keywords, in no vector, once for each image."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import tarfile
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

import oneword
from oneword.cli import run
from oneword.engine import ocr
from oneword.engine.errors import MissingDependency
from oneword.indexer import JobConfig, decode, index_paths
from oneword.indexer.enriching import Enriched, enrich
from oneword.indexer.errors import BadOption
from oneword.indexer.options import Reading
from oneword.storage import Item, Store
from tests import forkserver, papers
from tests.indexer.stored import Row, rows
from tests.pictures_with_text import sign

pytest.importorskip("rapidocr")
cloudpickle.register_pickle_by_value(sys.modules[__name__])

WORDS = ("invoice", "harbor", "museum", "")
READING = Reading(ocr=True, decoders=1)
DECODE = decode._decode


@pytest.fixture(autouse=True)
def album(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Images that show a word each, or none, and a text; in the working folder."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "album"
    folder.mkdir()
    for word in WORDS:
        sign(word, size=24).save(folder / f"{word or 'blank'}.png")
    (folder / "note.txt").write_text("a harbor at dawn")
    return folder


def items(db: str = "db") -> dict[str, Item]:
    """By name of the file, with the words that images show."""
    collection = Store(db).open("default")
    ids = [item.id for some in collection.scan() for item in some]
    return {Path(item.uri).name: item for item in collection.get(ids, vectors=True, words=True).values()}


def texts(db: str = "db") -> dict[str, str | None]:
    return {name: item.image_text for name, item in items(db).items()}


EXPECTED = {f"{word or 'blank'}.png": word for word in WORDS} | {"note.txt": None}
NONE = dict.fromkeys(EXPECTED)


def found(words: str) -> list[str]:
    collection = Store("db").open("default")
    return sorted(Path(hit.item.uri).name for hit in collection.search(keywords=words))


def test_a_job_recognizes_it_and_keywords_find_it(album: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["index", "album", "--ocr", "--model", "hash", "--db", "db"]) == 0
    assert run(["index", "album", "--model", "hash", "--db", "plain"]) == 0
    assert texts() == EXPECTED
    assert texts("plain") == NONE
    assert rows("db") == rows("plain")  # vectors, too
    assert found("harbor") == ["harbor.png", "note.txt"]
    (word,) = items()["museum.png"].image_words or ()
    assert word.text == "museum"
    capsys.readouterr()
    assert run(["search", "--keywords", "museum", "--db", "db"]) == 0
    assert "“museum”" in capsys.readouterr().out
    assert run(["search", "--keywords", "museum", "--db", "db", "--json"]) == 0
    (hit,) = json.loads(capsys.readouterr().out)["hits"]
    assert (hit["image_text"], hit["matched"]) == ("museum", "museum")


def test_it_stays_when_the_pixels_stay(album: Path) -> None:
    index_paths(["album"], db="db", model="hash", config=JobConfig(ocr=True))
    os.utime(album / "harbor.png", ns=(1, 1))
    (album / "invoice.txt").write_text("a caption")
    sign("castle", size=24).save(album / "museum.png")
    assert index_paths(["album"], db="db", model="hash").indexed == 2
    assert texts() == EXPECTED | {"museum.png": None}
    again = index_paths(["album"], db="db", model="hash", config=JobConfig(ocr=True, reread=True))
    assert (again.indexed, again.unchanged) == (1, 4)
    assert texts() == EXPECTED | {"museum.png": "castle"}


def test_an_enrichment_adds_it_and_changes_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    index_paths(["album"], db="db", model="hash")
    before, times = rows("db"), {name: item.indexed_at for name, item in items().items()}
    assert run(["enrich", "--ocr", "--db", "db", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [report[name] for name in ("images", "added", "with_text", "unchanged", "unread")] == [4, 4, 3, 0, 0]
    assert texts() == EXPECTED
    assert rows("db") == before
    assert {name: item.indexed_at for name, item in items().items()} == times
    assert found("museum") == ["museum.png"]
    version = Store("db").open("default").version
    assert counts(enrich(db="db", reading=READING)) == (4, 0, 4, 0)
    assert Store("db").open("default").version == version


def counts(report: Enriched) -> tuple[int, int, int, int]:
    return report.images, report.added, report.unchanged, report.unread


KILLED = """
import os, signal, sys
from oneword.indexer import enriching
from oneword.indexer.options import Reading
from oneword.storage import Collection
enriching.CHUNK = 1
at, before, done = int(sys.argv[1]), sys.argv[2] == "before", 0
change = Collection.upsert
def deadly(self, items):
    global done
    done += 1
    if done == at and before:
        os.kill(os.getpid(), signal.SIGKILL)
    counted = change(self, items)
    if done == at:
        os.kill(os.getpid(), signal.SIGKILL)
    return counted
Collection.upsert = deadly
enriching.enrich(db="db", reading=Reading(ocr=True, decoders=1))
"""


@pytest.mark.parametrize(("at", "when", "done"), [(1, "before", 0), (2, "after", 2)])
def test_one_that_is_killed_goes_on(at: int, when: str, done: int) -> None:
    index_paths(["album"], db="db", model="hash")
    before = rows("db")
    ended = forkserver.run(["-c", KILLED, at, when], timeout=120)
    assert ended.returncode == -signal.SIGKILL
    assert sum(text is not None for text in texts().values()) == done
    assert counts(enrich(db="db", reading=READING)) == (4, 4 - done, done, 0)
    assert texts() == EXPECTED
    assert rows("db") == before


def test_originals_that_cannot_be_read_any_more(album: Path) -> None:
    index_paths(["album"], db="db", model="hash")
    before, gone = rows("db"), (album / "harbor.png").read_bytes()
    (album / "harbor.png").unlink()
    sign("castle", size=24).save(album / "museum.png")
    report = enrich(db="db", reading=READING)
    assert counts(report) == (4, 2, 0, 2)
    assert {Path(one.uri).name: one.kind for one in report.refused} == {
        "harbor.png": "UnreadableFile",
        "museum.png": "Changed",
    }
    assert all("with --ocr" in one.reason or "No such file" in one.reason for one in report.refused)
    assert texts() == EXPECTED | {"harbor.png": None, "museum.png": None}
    assert rows("db") == before
    (album / "harbor.png").write_bytes(gone)
    assert counts(enrich(db="db", reading=READING)) == (4, 1, 2, 1)


def test_images_in_a_shard(tmp_path: Path) -> None:
    with tarfile.open("shard.tar", "w") as shard:
        for word in WORDS:
            file = io.BytesIO()
            sign(word, size=24).save(file, "PNG")
            about = tarfile.TarInfo(f"{word or 'blank'}.png")
            about.size = len(file.getvalue())
            shard.addfile(about, io.BytesIO(file.getvalue()))
    index_paths(["shard.tar"], db="db", model="hash")
    before: dict[str, Row] = rows("db")
    assert counts(enrich(db="db", reading=READING)) == (4, 4, 0, 0)
    collection = Store("db").open("default")
    assert sorted(item.image_text or "" for some in collection.scan() for item in some) == sorted(WORDS)
    assert rows("db") == before
    Path("shard.tar").unlink()
    collection.upsert([item_without_text(collection.get([next(iter(before))], vectors=True).popitem()[1])])
    (one,) = enrich(db="db", reading=READING).refused
    assert one.kind == "Missing"


def test_scanned_pages(tmp_path: Path) -> None:
    """A page with text of its own keeps that; of one that is only an image, it is recognized."""
    pytest.importorskip("pypdfium2")
    sign("harbor museum").save("scan.pdf")
    Path("typed.pdf").write_bytes(papers.pdf("an invoice"))
    index_paths(["scan.pdf", "typed.pdf"], db="db", model="hash")
    assert texts() == {"scan.pdf#page=1": None, "typed.pdf#page=1": "an invoice"}
    assert counts(enrich(db="db", reading=READING)) == (2, 1, 1, 0)
    assert texts() == {"scan.pdf#page=1": "harbor museum", "typed.pdf#page=1": "an invoice"}
    index_paths(["scan.pdf"], db="at once", model="hash", config=JobConfig(ocr=True))
    assert texts("at once") == {"scan.pdf#page=1": "harbor museum"}


def test_from_python() -> None:
    index_paths(["album"], db="db", model="hash")
    with oneword.connect("db") as database:
        assert counts(database.collection().enrich(ocr=True)) == (4, 4, 0, 0)
        result = database.collection().search(keywords="museum")
        assert (result.hits[0].image_text, result.hits[0].matched) == ("museum", "museum")
        assert result.to_arrow().column("image_text").to_pylist() == ["museum"]
    with pytest.raises(oneword.Error, match="on that machine"), oneword.connect("http://localhost:9") as service:
        service.collection().enrich(ocr=True)


def item_without_text(item: Item) -> Item:
    return Item(**{**vars(item), "image_text": None, "image_words": None})


def deadly(data: bytes, name: str, *how: Any) -> Any:
    """Ends its process where it is to recognize the text of one image."""
    if Path(name).stem == "harbor" and how[-1]:
        os.abort()
    return DECODE(data, name, *how)


def test_a_crash_loses_that_text_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "_decode", deadly)
    try:
        report = index_paths(["album"], db="db", model="hash", config=JobConfig(ocr=True))
        assert (report.indexed, report.quarantined, dict(report.set_aside)) == (5, 0, {"text in image": 1})
        assert texts() == EXPECTED | {"harbor.png": None}
        assert Store("db").open("default").count("exists(set_aside)") == 1
        (one,) = enrich(db="db", reading=READING).refused
        assert (one.kind, Path(one.uri).name) == ("UnreadText", "harbor.png")
        assert "ends its process" in one.reason
    finally:
        decode._end()
        decode._pools.clear()
    monkeypatch.setattr(decode, "_decode", DECODE)
    assert counts(enrich(db="db", reading=READING)) == (4, 1, 3, 0)
    assert texts() == EXPECTED
    assert Store("db").open("default").count("exists(set_aside)") == 0
    assert index_paths(["album"], db="db", model="hash", config=JobConfig(ocr=True)).unchanged == 5


def failing(*_: object) -> Any:
    raise RuntimeError("no memory")


def test_an_error_loses_that_text_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from oneword.engine import decoded

    monkeypatch.setattr(ocr, "read", failing)
    file = io.BytesIO()
    sign("harbor").save(file, "PNG")
    found = decoded.decode_image(file.getvalue(), "harbor.png", ocr=True)
    assert (found.image_text, found.unread) == (None, "its text cannot be recognized (RuntimeError: no memory)")


def test_what_must_be_said(monkeypatch: pytest.MonkeyPatch) -> None:
    index_paths(["album"], db="db", model="hash")
    with pytest.raises(BadOption, match="expected --ocr"):
        enrich(db="db", reading=Reading())
    monkeypatch.setattr("oneword.engine.dependencies.find_spec", lambda _: None)
    with pytest.raises(MissingDependency, match=r"oneword\[ocr\]"):
        enrich(db="db", reading=READING)
    with pytest.raises(MissingDependency, match=r"oneword\[ocr\]"):
        index_paths(["album"], db="db", model="hash", config=JobConfig(ocr=True))
