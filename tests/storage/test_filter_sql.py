"""Filters mean in LanceDB what they mean here, in plain Python, whatever the items and the values."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import (
    And,
    AnyOf,
    Collection,
    Contains,
    Exists,
    Filter,
    FilterError,
    Item,
    Match,
    Not,
    Or,
    Range,
    Store,
)

# ASCII, quotes and SQL's own characters, and letters whose lower case is the same in every Unicode version.
STRINGS = [
    "",
    "a",
    "A",
    "aB",
    "'",
    "''",
    '"',
    "\\",
    "\\'",
    "%",
    "_",
    "a%b",
    "`",
    "--",
    ";",
    "é",
    "É",
    "中",
    "😀",
    "\x00",
]
STRINGS += ["' OR true --", "{0}", "{column}", "\n", "null", "true", "1"]
NUMBERS: list[float] = [-0.0, 0, 1, 1.5, -2, 1e-7, 1e300, 2**53, 2**70, 0.1, 2020]
TIMES = [datetime(year, 1, 1, tzinfo=UTC) + timedelta(microseconds=1) for year in (1, 1500, 1969, 2024, 9000)]

FIELDS: dict[str, Any] = {
    "name": st.sampled_from(STRINGS),
    "size": st.sampled_from(NUMBERS),
    "flag": st.booleans(),
    "day": st.sampled_from(TIMES),
    "tags": st.lists(st.sampled_from(STRINGS), max_size=3),
    "id": st.sampled_from(STRINGS),  # a metadata key that a built-in hides
}
SCALARS = {field: FIELDS[field] for field in ("name", "size", "flag", "day")}
SCALARS |= {"metadata.id": FIELDS["id"], "text": FIELDS["name"], "width": FIELDS["size"], "id": FIELDS["id"]}


def leaves() -> st.SearchStrategy[Filter]:
    ordered = [field for field in SCALARS if field != "flag"]

    def of(fields: Any, build: Callable[[str], st.SearchStrategy[Filter]]) -> st.SearchStrategy[Filter]:
        return st.sampled_from(list(fields)).flatmap(build)

    def bounds(field: str) -> st.SearchStrategy[Filter]:
        names = st.sets(st.sampled_from(["gt", "gte", "lt", "lte"]), min_size=1, max_size=2)
        some = names.flatmap(lambda names: st.fixed_dictionaries(dict.fromkeys(names, SCALARS[field])))
        return some.map(lambda given: Range(field, **given))

    return st.one_of(
        of(SCALARS, lambda field: st.builds(partial(Match, field), SCALARS[field])),
        of(SCALARS, lambda field: st.lists(SCALARS[field], max_size=3).map(lambda v: AnyOf(field, tuple(v)))),
        of(ordered, bounds),
        of([*SCALARS, "tags", "height"], lambda field: st.just(Exists(field))),
        of(["name", "text", "id", "tags"], lambda field: st.builds(partial(Contains, field), FIELDS["name"])),
    )


def groups(inner: st.SearchStrategy[Filter]) -> st.SearchStrategy[Filter]:
    some = st.lists(inner, max_size=3).map(tuple)
    return st.one_of(some.map(And), some.map(Or), inner.map(Not))


trees = st.recursive(leaves(), groups, max_leaves=6)
metadatas = st.fixed_dictionaries({}, optional=FIELDS)


def field_of(item: Item, field: str) -> Any:
    if field in ("id", "text", "width", "height"):
        return getattr(item, field)
    return item.metadata.get(field.removeprefix("metadata."))


def holds(tree: Filter, item: Item) -> bool:
    """What a filter means."""
    match tree:
        case And(filters):
            return all(holds(one, item) for one in filters)
        case Or(filters):
            return any(holds(one, item) for one in filters)
        case Not(inner):
            return not holds(inner, item)
    value = field_of(item, tree.field)  # type: ignore[attr-defined]
    if value is None:
        return False
    # A whole number is compared as the 64-bit float that its column holds.
    value = float(value) if type(value) is int else value
    match tree:
        case Match(_, wanted):
            return bool(value == wanted)
        case AnyOf(_, values):
            return value in values
        case Range(_, gt, gte, lt, lte):
            return (
                (gt is None or value > gt)
                and (gte is None or value >= gte)
                and (lt is None or value < lt)
                and (lte is None or value <= lte)
            )
        case Contains(_, wanted):
            return wanted in value if isinstance(value, list) else wanted.lower() in value.lower()
    return isinstance(tree, Exists)


@pytest.fixture(scope="module")
def shared() -> Iterator[Store]:
    with tempfile.TemporaryDirectory() as folder:
        yield Store(folder)


@pytest.fixture(scope="module")
def unit() -> Any:
    import numpy as np

    return np.array([1, 0, 0, 0], np.float32)


@settings(max_examples=16, deadline=None)
@given(data=st.data(), metadata=st.lists(metadatas, min_size=1, max_size=12))
def test_filters_agree_with_plain_python(shared: Store, unit: Any, data: Any, metadata: list[Any]) -> None:
    space = {"fingerprint": "f", "dimension": 4, "model": "m", "view": "v"}
    collection = shared.open_or_create("random", space)
    collection.delete_where(Exists("id"))
    filled = {"name": "", "size": 0, "flag": True, "day": TIMES[0], "tags": ["x"], "id": ""}
    items = [
        Item(
            id=STRINGS[index + 1],
            modality="text",
            uri="u",
            content_hash="h",
            vector=unit,
            metadata=given,
            text=given.get("name") if index % 2 else None,
            width=index - 2 if index % 3 else None,
        )
        for index, given in enumerate([*metadata, filled])  # the last so that every key is known
    ]
    collection.upsert(items)
    for tree in data.draw(st.lists(trees, min_size=8, max_size=8)):
        expected = sorted(item.id for item in items if holds(tree, item))
        found = sorted(item.id for batch in collection.scan(filter=tree) for item in batch)
        assert found == expected, tree
        assert collection.count(tree) == len(expected)
        assert sorted(hit.item.id for hit in collection.search(unit, filter=tree, limit=50)) == expected


@pytest.fixture
def known(collection: Collection, item: Callable[..., Item]) -> Collection:
    metadata = {
        "camera": "Nikon D5",
        "year": 2020,
        "raw": True,
        "taken": datetime(2020, 6, 1),
        "tags": ["beach"],
    }
    collection.upsert([item("a", metadata=metadata), item("b", modality="image", width=640), item("c")])
    return collection


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("modality = image", "b"),
        ("camera = 'Nikon D5'", "a"),
        ("camera != X", "abc"),
        ("not year >= 2000", "bc"),
        ("camera contains nikon", "a"),
        ("camera contains %", ""),
        ("tags contains beach", "a"),
        ("tags contains Beach", ""),
        ("raw = true", "a"),
        ("raw != true", "bc"),
        ("taken >= 2020-06-01 and taken < 2020-06-01T00:00:01", "a"),
        ("taken >= 2020-06-01T01:00:00+02:00", "a"),
        ("width in (640, 800.5)", "b"),
        ("width >= 639.5", "b"),
        ("indexed_at > 2000-01-01", "abc"),
        ("not exists(camera) and id in (b, c)", "bc"),
        ("metadata.year between 2019 and 2021", "a"),
    ],
)
def test_the_language_end_to_end(known: Collection, text: str, found: str) -> None:
    assert sorted(item.id for batch in known.scan(filter=text) for item in batch) == list(found)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cam = x", "no field 'cam'.*id, modality.*camera, year, raw, taken, tags"),
        ("metadata.id = x", "no field 'metadata.id'"),
        ("meta_camera = x", "no field"),
        ("vector = x", "no field"),
        ("camera = 5", 'holds a string.*a number, 5; write "5" in quotes'),
        ("year = '2020'", "holds a number.*a string"),
        ("year = true", "holds a number.*a bool"),
        ("raw = 1", "holds a bool"),
        ("raw > false", "no order"),
        ("taken > yesterday", "expected one such as 2024-05-31, found 'yesterday'"),
        ("taken > 2020", "holds a time"),
        ("tags >= beach", "no order.*use = or .in."),
        ("tags = 5", "lists? of strings.*a number"),
        ("tags in (beach, 5)", "a number"),
        ("year contains 20", "'contains' expects"),
        ("year = 1e999", "finite"),
        ("camera = '\ud800'", "not Unicode"),
    ],
)
def test_filters_that_do_not_fit(known: Collection, text: str, said: str) -> None:
    with pytest.raises(FilterError, match=said):
        known.count(text)


@pytest.mark.parametrize("tree", [Range("year"), Match("year", 10**400), Match("year", float("nan"))])
def test_trees_that_do_not_fit(known: Collection, tree: Filter) -> None:
    with pytest.raises(FilterError):
        known.count(tree)


def test_a_hidden_key_shows_its_long_name(collection: Collection, item: Callable[..., Item]) -> None:
    collection.upsert([item("a", metadata={"width": "wide"})])
    assert collection.count("metadata.width = wide") == 1
    with pytest.raises(FilterError, match=r"metadata\.width"):
        collection.count("nope = 1")
