"""`near` and `within` find what plain geometry finds, at the date line and at the poles, too."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oneword.storage import Collection, Exists, Filter, FilterError, Item, Match, Near, Store, Within
from oneword.storage.filters import filter_from_json, filter_to_json, parse
from oneword.storage.filters.geometry import RADIUS

SPACE = {"fingerprint": "f", "dimension": 4, "model": "m", "view": "v"}
LATITUDES = st.floats(-90, 90) | st.sampled_from([-90.0, -89.99, 0.0, 60.0, 89.99, 90.0])
LONGITUDES = st.floats(-180, 180) | st.sampled_from([-180.0, -179.9, 0.0, 179.9, 180.0])
PLACES = st.tuples(LATITUDES, LONGITUDES)
METERS = st.floats(1, 2.1e7) | st.floats(1, 5e5)


def item(name: str, **metadata: Any) -> Item:
    unit = np.array([1, 0, 0, 0], np.float32)
    return Item(id=name, modality="image", uri="u", content_hash="h", vector=unit, metadata=metadata)


@pytest.fixture(scope="module")
def collection() -> Iterator[Collection]:
    with tempfile.TemporaryDirectory() as folder:
        yield Store(folder).create("places", SPACE)


@pytest.fixture(scope="module")
def cities(collection: Collection) -> Collection:
    collection.delete_where(Exists("id"))
    collection.upsert(
        [
            item("paris", latitude=48.8566, longitude=2.3522, camera="X100V"),
            item("versailles", latitude=48.8049, longitude=2.1204),
            item("suva", latitude=-18.1416, longitude=178.4419),
            item("apia", latitude=-13.8333, longitude=-171.7667),
            item("pole", latitude=90, longitude=17),
            item("nowhere"),
            item("half", latitude=48.85),
        ]
    )
    return collection


def found(collection: Collection, tree: Any) -> set[str]:
    return {one.id for batch in collection.scan(filter=tree) for one in batch}


def vector(latitude: float, longitude: float) -> Any:
    """A place as a unit vector."""
    a, b = math.radians(latitude), math.radians(longitude)
    return np.array([math.cos(a) * math.cos(b), math.cos(a) * math.sin(b), math.sin(a)])


def distance(one: tuple[float, float], other: tuple[float, float]) -> float:
    """In m, by another formula than the filter's."""
    a, b = vector(*one), vector(*other)
    return RADIUS * math.atan2(float(np.linalg.norm(np.cross(a, b))), float(a @ b))


@settings(max_examples=40, deadline=None)
@given(places=st.lists(PLACES, min_size=1, max_size=60), center=PLACES, meters=METERS, data=st.data())
def test_near_agrees_with_plain_geometry(
    collection: Collection, places: list[tuple[float, float]], center: tuple[float, float], meters: float, data: Any
) -> None:
    close = data.draw(st.lists(st.tuples(st.floats(0, 360), st.floats(0, 2)), max_size=40))
    places = [*places, *(moved(center, bearing, share * meters) for bearing, share in close)]
    collection.delete_where(Exists("id"))
    collection.upsert(item(str(n), latitude=a, longitude=b) for n, (a, b) in enumerate(places))
    there = found(collection, Near(*center, meters))
    beyond = found(collection, ~Near(*center, meters))
    assert there | beyond == set(map(str, range(len(places))))
    assert not there & beyond
    for number, place in enumerate(places):
        apart = distance(center, place)
        if abs(apart - meters) > 1e-3 + 1e-9 * meters:  # rounding decides what lies on the circle itself
            assert (str(number) in there) == (apart < meters), (center, place, meters, apart)


def moved(place: tuple[float, float], bearing: float, meters: float) -> tuple[float, float]:
    """Where one comes who goes that far in that direction."""
    a, b, turn, angle = map(math.radians, (*place, bearing, math.degrees(meters / RADIUS)))
    sine = math.sin(a) * math.cos(angle) + math.cos(a) * math.sin(angle) * math.cos(turn)
    latitude = math.asin(max(-1, min(1, sine)))
    east = math.atan2(math.sin(turn) * math.sin(angle) * math.cos(a), math.cos(angle) - math.sin(a) * sine)
    return math.degrees(latitude), (math.degrees(b + east) + 540) % 360 - 180


@settings(max_examples=25, deadline=None)
@given(places=st.lists(PLACES, min_size=1, max_size=60), one=PLACES, other=PLACES)
def test_within_agrees_with_plain_comparisons(
    collection: Collection, places: list[tuple[float, float]], one: tuple[float, float], other: tuple[float, float]
) -> None:
    south, north = sorted((one[0], other[0]))
    west, east = one[1], other[1]
    collection.delete_where(Exists("id"))
    collection.upsert(item(str(n), latitude=a, longitude=b) for n, (a, b) in enumerate(places))
    expected = set()
    for number, (latitude, longitude) in enumerate(places):
        turns = [longitude, -longitude] if abs(longitude) == 180 else [longitude]
        across = any(west <= turn <= east if west <= east else turn >= west or turn <= east for turn in turns)
        if south <= latitude <= north and across:
            expected.add(str(number))
    tree = Within(south, west, north, east)
    assert found(collection, tree) == expected
    assert found(collection, ~tree) == set(map(str, range(len(places)))) - expected


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("near(48.85, 2.35, 5km)", {"paris"}),
        ("NEAR( 48.85,2.35,20KM ) and not near(48.85, 2.35, 5km)", {"versailles"}),
        ("near(48.85, 2.35, 3mi) and camera = X100V", {"paris"}),
        ("near(-16, -179, 900km)", {"suva", "apia"}),
        ("near(89.9, -100, 20.5km)", {"pole"}),
        ("near(0, 0, 20100km)", {"paris", "versailles", "suva", "apia", "pole"}),
        ("within(48, 2, 49, 2.2)", {"versailles"}),
        ("within(-20, 170, -10, -170)", {"suva", "apia"}),
        ("within(-90, -180, 90, 180)", {"paris", "versailles", "suva", "apia", "pole"}),
        ("not within(-90, -180, 90, 180)", {"nowhere", "half"}),
        ("not near(48.85, 2.35, 20km) or near(48.85, 2.35, 5000m)",
         {"paris", "suva", "apia", "pole", "nowhere", "half"}),
    ],
)  # fmt: skip
def test_places_in_the_language_and_in_json(cities: Collection, text: str, names: set[str]) -> None:
    tree = parse(text)
    assert found(cities, text) == names
    assert found(cities, json.dumps(filter_to_json(tree))) == names


def test_the_tree_of_a_place() -> None:
    assert parse("near(48.85, -2, 1.5km)") == Near(48.85, -2, 1500)
    assert parse("within(-1,-2,3,4)") == Within(-1, -2, 3, 4)
    assert filter_from_json({"near": {"latitude": 1, "longitude": 2, "meters": 3}}) == Near(1, 2, 3)
    assert filter_from_json({"must": {"within": {"south": 1, "west": 2, "north": 3, "east": 4}}}) == Within(1, 2, 3, 4)
    assert parse("near = 5 and within > 3") == Match("near", 5) & parse("within > 3")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("near(48.85, 2.35)", "position 16: expected ',', found ')'"),
        ("near(48.85, 2.35, 5)", "the distance is '5', expected a number with its unit, such as 500m, 5km or 3mi"),
        ("near(48.85, 2.35, 5 km)", "expected a number with its unit"),
        ("near(48.85, 2.35, 0km)", "the distance is 0.0 m, expected more than 0"),
        ("near(Paris, 2.35, 5km)", "position 5: expected degrees, such as 48.85, found 'Paris'"),
        ("a = 1 and near(91, 2.35, 5km)", "position 10: the latitude is 91.0, expected degrees from -90 to 90"),
        ("near(1, 181, 5km)", "the longitude is 181.0, expected degrees from -180 to 180"),
        ("within(3, 1, 2, 2)", "position 0: the south is 3 and the north 2: expected the lower one first"),
        ("within(1, 2, 3)", "position 14: expected ',', found ')'"),
        ("round(1)", "position 0: 'round' is not a function; expected near(...), within(...) or exists(...)"),
        ({"near": {"latitude": 1, "longitude": 2}}, "near.meters: expected a number, found nothing"),
        ({"near": {"latitude": 1, "longitude": True, "meters": 3}}, "near.longitude: expected a number, found True"),
        ({"near": {"latitude": math.nan, "longitude": 1, "meters": 3}}, "near: the latitude is nan"),
        ({"near": {"latitude": 1, "longitude": 2, "meters": math.inf}}, "near: the distance is inf m"),
        ({"near": {"latitude": 1, "longitude": 2, "meters": 3, "unit": "km"}}, "near.unit: no such key"),
        ({"must": [{"within": 3}]}, r"must[0].within: expected an object of south, west, north, east, found 3"),
        ({"near": {}, "field": "a"}, "no such key; expected one of field, match"),
    ],
)
def test_places_that_are_none(text: Any, words: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse(text) if isinstance(text, str) else filter_from_json(text)
    assert words in str(caught.value)


def test_a_collection_without_places() -> None:
    tree: Filter = Near(1, 2, 3)
    with tempfile.TemporaryDirectory() as folder:
        collection = Store(folder).create("none", SPACE)
        collection.upsert([item("a", latitude="north")])
        with pytest.raises(FilterError, match="no field 'longitude' in this collection"):
            collection.count(tree)
        collection.upsert([item("b", longitude=1)])
        with pytest.raises(FilterError, match="field 'latitude' holds a string: 'near' and 'within' expect numbers"):
            collection.count(tree)
