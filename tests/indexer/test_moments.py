"""Moments of videos are inputs of their own, as pages are."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from oneword.engine import video
from oneword.indexer import JobConfig, Report, decode, index_paths, retry
from oneword.indexer.entry import id_of
from oneword.storage import Item, Store

pytest.importorskip("av")

from tests import films


def run(*paths: Path | str, **config: Any) -> Report:
    report = index_paths(paths, db="db", model="hash", config=JobConfig(**config))
    assert report.inputs == report.indexed + report.unchanged + report.quarantined
    return report


def rows() -> dict[str, Item]:
    """By the end of the URI."""
    return {item.uri.rpartition("/")[2]: item for items in Store("db").open("default").scan() for item in items}


@pytest.fixture
def reel(tmp_path: Path) -> Path:
    folder = tmp_path / "reel"
    folder.mkdir()
    (folder / "trip.mp4").write_bytes(films.film(6, 7.2, 6))
    return folder


def test_every_moment_is_an_item(reel: Path) -> None:
    assert run(reel).added == 3
    found = rows()
    assert sorted(found) == ["trip.mp4#t=0,6", "trip.mp4#t=13.2,19.2", "trip.mp4#t=6,13.2"]
    trip = (reel / "trip.mp4").as_uri()
    moment = found["trip.mp4#t=6,13.2"]
    assert moment.id == id_of(f"{trip}#t=6,13.2")
    facts = {name: value for name, value in moment.metadata.items() if not name.startswith("_")}
    assert facts == {
        "name": "trip.mp4",
        "folder": "reel",
        "format": "mp4",
        "document": id_of(trip),
        "start": 6,
        "end": 13.2,
        "duration": 19.2,
        "moments": 3,
    }
    assert (moment.width, moment.height) == (64, 48)
    assert len({item.thumbnail for item in found.values()}) == 3


def test_a_video_follows_its_file(reel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(reel)
    with monkeypatch.context() as patch:
        patch.setattr(decode.Decoders, "parts", lambda *_: pytest.fail("looked through again"))
        assert run(reel, delete_missing=True).unchanged == 3
    (reel / "trip.mp4").write_bytes(films.film(6, 8))
    report = run(reel, delete_missing=True)
    assert (report.added, report.updated, report.deleted) == (1, 1, 2)
    assert sorted(rows()) == ["trip.mp4#t=0,6", "trip.mp4#t=6,14"]
    (reel / "trip.mp4").write_bytes(b"\0\0\0\x18ftypisom" + bytes(99))
    report = run(reel, delete_missing=True)
    assert (report.kinds, report.deleted) == ({"CorruptImage": 1}, 0)
    (reel / "trip.mp4").write_bytes(films.film(6, 8))
    os.utime(reel / "trip.mp4", ns=(1, 1))
    again = retry(db="db")
    assert (again.tried, again.quarantined, again.reports[0].unchanged) == (1, 0, 2)


def test_videos_that_cannot_be_read(reel: Path) -> None:
    (reel / "sound.mp4").write_bytes(films.sound())
    (reel / "none.mkv").write_bytes(b"")
    (reel / "list.mp4").write_bytes(b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n")
    report = run(reel)
    assert (report.added, report.kinds) == (3, {"NoPages": 1, "EmptyFile": 1, "NotAnImage": 1})


def test_without_the_extra(reel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.setattr(decode, "_unable", ["for a test"])
    assert run(reel).ignored == {".mp4 (install oneword[video])": 1}
    (refused,) = run(reel / "trip.mp4").refused
    assert refused.reason == f"{reel}/trip.mp4: is a video; to read its moments, install oneword[video]"


def test_a_live_photo_is_one_item(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif")
    heif.from_pillow(PIL.Image.new("RGB", (64, 64), "red")).save(tmp_path / "IMG_1.HEIC")
    for name in ("IMG_1.MOV", "IMG_2.MOV"):
        (tmp_path / name).write_bytes(films.film(1, kind="mov"))
    report = run(tmp_path)
    assert (report.added, report.ignored["videos of live photos"]) == (2, 1)
    assert sorted(rows()) == ["IMG_1.HEIC", "IMG_2.MOV#t=0,1"]
