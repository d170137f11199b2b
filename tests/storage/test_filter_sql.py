"""Filters mean in LanceDB what they mean here, in plain Python, whatever the items and the values."""

from __future__ import annotations

import json
import operator
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from unicodedata import normalize

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oneword.storage import (
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
    scalar_index,
)
from oneword.storage.filters import compile, filter_from_json, filter_to_json, parse  # noqa: A004
from oneword.storage.filters import tree as bounds
from oneword.storage.filters.sql import BUILTINS
from oneword.storage.schema import META, TYPES, table_schema

# ASCII, quotes and SQL's own characters, and letters whose lower case is the same in every Unicode version.
STRINGS = [
    "", "a", "A", "aB", "'", "''", '"', "\\", "\\'", "%", "_", "a%b", "`", "--", ";", "é", "É", "中", "😀", "\x00",
    "' OR true --", "{0}", "{column}", "\n", "null", "true", "1", "/* */", "') OR (true", "$1", ":a", "?", "\t\r\n",
    "\u202e", "👩\u200d👩\u200d👧", "e\u0301", "\ufeff", "x" * 10_000,
]  # fmt: skip
NUMBERS: list[float] = [-0.0, 0, 1, 1.5, -2, 1e-7, 1e300, 0.1, 2020, 2**53 - 1, 2**53, 2**53 + 1, 2**53 + 2]
NUMBERS += [-(2**53), -(2**53) - 1, 2.0**53, 1234567890123456789, 1234567890123456790, 1.2345678901234568e18]
NUMBERS += [2**63 - 1, 2**63, 2.0**63, -(2**63), 2**64 - 1, 2**64 - 2, 2.0**64]
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
        st.builds(partial(Match, "tags"), FIELDS["name"]),
        FIELDS["tags"].map(lambda members: AnyOf("tags", tuple(members))),
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


def formed(value: Any) -> Any:
    """Texts in the normal form that all are compared in."""
    if isinstance(value, list | tuple):
        return type(value)(map(formed, value))
    return normalize("NFC", value) if isinstance(value, str) else value


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
    if tree.field != "id":  # type: ignore[attr-defined]  # what is kept as it was given is found by either form
        value, tree = formed(value), replace(tree, **{key: formed(one) for key, one in vars(tree).items()})
    match tree:
        case Match(_, wanted):
            return wanted in value if isinstance(value, list) else bool(value == wanted)
        case AnyOf(_, values):
            return any(one in values for one in value) if isinstance(value, list) else value in values
        case Range():
            bounds = {name: bound for name, bound in vars(tree).items() if name != "field" and bound is not None}
            return all(getattr(operator, name.replace("te", "e"))(value, bound) for name, bound in bounds.items())
        case Contains(_, wanted):
            return wanted in value if isinstance(value, list) else wanted.lower() in value.lower()
    return isinstance(tree, Exists)


@pytest.fixture(scope="module")
def shared() -> Iterator[Store]:
    with tempfile.TemporaryDirectory() as folder:
        yield Store(folder)


@pytest.fixture(scope="module")
def unit() -> Any:
    return np.array([1, 0, 0, 0], np.float32)


def random_items(unit: Any, metadata: list[Any]) -> list[Item]:
    filled = {"name": "", "size": 0, "flag": True, "day": TIMES[0], "tags": ["x"], "id": ""}
    return [
        Item(
            id=STRINGS[index + 1],
            modality="image" if index % 4 == 1 else "text",
            uri="u",
            content_hash="h",
            vector=unit,
            metadata=given,
            text=given.get("name") if index % 2 else None,
            width=index if index % 3 else None,
        )
        for index, given in enumerate([filled, *metadata])  # the first so that every key is known
    ]


def check(collection: Collection, items: list[Item], unit: Any, tree: Filter) -> None:
    """Every way to ask finds what plain Python finds."""
    expected = sorted(item.id for item in items if holds(tree, item))
    found = sorted(item.id for batch in collection.scan(filter=tree) for item in batch)
    assert found == expected, tree
    assert collection.count(filter_from_json(json.loads(json.dumps(filter_to_json(tree))))) == len(expected)
    assert sorted(hit.item.id for hit in collection.search(unit, filter=tree, limit=50)) == expected


SPACE = {"fingerprint": "f", "dimension": 4, "model": "m", "view": "v"}
random_metadata = st.lists(metadatas, min_size=1, max_size=12)


@settings(max_examples=12)
@given(data=st.data(), metadata=random_metadata)
def test_filters_agree_with_plain_python(shared: Store, unit: Any, data: Any, metadata: list[Any]) -> None:
    collection = shared.open_or_create("random", SPACE)
    collection.delete_where(Exists("id"))
    items = random_items(unit, metadata)
    collection.upsert(items)
    for tree in data.draw(st.lists(trees, min_size=8, max_size=8)):
        check(collection, items, unit, tree)


@settings(max_examples=12)
@given(data=st.data(), metadata=random_metadata, changed=random_metadata)
def test_and_with_scalar_indexes(shared: Store, unit: Any, data: Any, metadata: list[Any], changed: list[Any]) -> None:
    """Also of rows written, replaced and deleted after the indexes were made, and after compaction."""
    collection = shared.open_or_create("indexed", SPACE)
    collection.delete_where(Exists("id"))
    kept = {item.id: item for item in random_items(unit, metadata)}
    collection.upsert(kept.values())
    with collection.writing():
        scalar_index.ensure(collection._table(), least_rows=0)
    later = random_items(unit, changed)[data.draw(st.integers(0, 2)) :]
    collection.upsert(later)
    kept |= {item.id: item for item in later}
    for item_id in data.draw(st.lists(st.sampled_from(sorted(kept)), max_size=3)):
        collection.delete([item_id])
        kept.pop(item_id, None)
    if data.draw(st.booleans()):
        collection.optimize()
    for tree in data.draw(st.lists(trees, min_size=8, max_size=8)):
        check(collection, list(kept.values()), unit, tree)


@settings(max_examples=15)
@given(names=st.lists(st.text(st.characters(codec="utf-8"), max_size=30), min_size=1, max_size=8, unique=True))
def test_any_text_is_a_value_and_nothing_more(shared: Store, unit: Any, names: list[str]) -> None:
    collection = shared.open_or_create("texts", SPACE)
    collection.delete_where(Exists("id"))
    fields = {"modality": "text", "uri": "u", "content_hash": "h", "vector": unit}
    collection.upsert(
        Item(id=str(index), metadata={"name": name, "tags": [name, "x"]}, **fields) for index, name in enumerate(names)
    )
    for index, name in enumerate(names):
        same = Range("name", gte=name, lte=name)
        for tree in (Match("name", name), Match("tags", name), AnyOf("name", (name,)), same):
            found = {item.id for batch in collection.scan(filter=tree) for item in batch}
            assert found == ({str(index)} if name != "x" or tree.field == "name" else set(map(str, range(len(names)))))


@given(name=st.text(st.characters(codec="utf-8"), min_size=1))
def test_any_text_in_place_of_a_field_is_an_unknown_field(known_schema: Any, name: str) -> None:
    if f"{META}{name.removeprefix('metadata.')}" in known_schema.names or name in BUILTINS:
        return
    for tree in (Match(name, 1), AnyOf(name, ()), Range(name, lt=1), Exists(name), Contains(name, "a"), ~Exists(name)):
        with pytest.raises(FilterError, match="no field"):
            compile(And((Match("id", "a"), tree)), known_schema)


@pytest.fixture(scope="module")
def known_schema() -> Any:
    schema = table_schema(SPACE, datetime(2024, 1, 1, tzinfo=UTC))
    for name, kind in (("s", "string"), ("n", "number"), ("b", "bool"), ("t", "time"), ("l", "list of strings")):
        schema = schema.append(pa.field(META + name, TYPES[kind]))  # type: ignore[index]
    return schema


VALUES = {"s": "a", "n": 1, "b": True, "t": datetime(2024, 1, 1), "l": "a"}
OPERATORS: dict[str, tuple[Callable[[str, Any], Filter], str]] = {
    "match": (Match, "snbtl"),
    "any": (lambda field, value: AnyOf(field, (value,)), "snbtl"),
    "range": (lambda field, value: Range(field, gte=value), "snt"),
    "exists": (lambda field, value: Exists(field), "snbtl"),
    "contains": (Contains, "sl"),
}


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("field", VALUES)
def test_every_kind_with_every_operator(
    collection: Collection, item: Callable[..., Item], operator: str, field: str
) -> None:
    """Where it applies it finds the one that has the value, and its Not the one that has another and the one
    that has none; where it does not, it is refused."""
    value = VALUES[field]
    stored = [value] if field == "l" else value
    other = {"s": "0", "n": 0, "b": False, "t": datetime(2023, 1, 1), "l": ["0"]}[field]
    collection.upsert([item("x", metadata={field: stored}), item("y", metadata={field: other}), item("z")])
    build, kinds = OPERATORS[operator]
    tree = build(field, value)
    if field not in kinds:
        with pytest.raises(FilterError):
            collection.count(tree)
        return
    found = {"x", "y"} if operator == "exists" else {"x"}
    assert {one.id for batch in collection.scan(filter=tree) for one in batch} == found
    assert {one.id for batch in collection.scan(filter=~tree) for one in batch} == {"x", "y", "z"} - found


PAYS = ["s = a", "s != a and modality = image", "l = a or l contains b", "id in (a, b)"]
PAYS += ["s = a and n > 1 and t > 2020-01-01 and b = true"]
COSTS = ["n = 1", "n > 1 and b = true", "indexed_at > 2020-01-01", "s contains a", "s = a and text contains b"]
COSTS += ["s = a and width > 5", "s = a and not l = b", "s = a and exists(l)", "s = a or uri = b"]


@pytest.mark.parametrize(("text", "uses"), [(text, True) for text in PAYS] + [(text, False) for text in COSTS])
def test_indexes_are_used_only_where_they_pay(known_schema: Any, text: str, uses: bool) -> None:
    assert ("_rowid" not in compile(parse(text), known_schema)) == uses


def chain(depth: int, leaf: Filter, place: int, fan: int) -> Filter:
    tree = leaf
    for level in range(depth):
        others = (leaf,) * fan
        tree = (And if level % 2 else Or)((*others[:place], tree, *others[place:]))
    return tree


@pytest.mark.parametrize("leaf", [~Range("year", gt=1, lt=5), AnyOf("tags", ("a", "b")), ~Contains("camera", "x")])
@pytest.mark.parametrize("place", [0, 3])
def test_the_deepest_filter_is_one_that_lancedb_reads(known: Collection, leaf: Filter, place: int) -> None:
    tree = chain(bounds.DEEPEST_TURNS, leaf, place, 3)
    for whole in (tree, ~tree):
        assert known.count(whole) in range(4)
        assert known.search([1, 0, 0, 0], filter=whole, exclude_ids=["a"], exact=True) is not None
    with pytest.raises(FilterError, match="levels deep"):
        known.count(chain(bounds.DEEPEST_TURNS + 1, leaf, place, 3))


def test_many_nots_and_brackets_are_read_at_once(known: Collection) -> None:
    """LanceDB's parser takes minutes for the second, were it given it as it stands."""
    assert known.count("(" * 49 + "year = 2020" + ")" * 49) == 1
    assert known.count("not (" * 24 + "year = 2020" + ")" * 24) == 1
    assert known.count("not " * 49 + "year = 2020") == 2
    tree: Filter = Match("year", 2020)
    for year in range(150):
        tree = tree & ~Match("year", year)
    assert known.count(tree) == 1


def test_the_largest_filters(known: Collection) -> None:
    many = bounds.MOST_CONDITIONS
    conditions = tuple(~AnyOf("tags", ("x", str(number))) for number in range(many))
    assert known.count(And(conditions)) == 3
    assert known.count(Not(And(conditions))) == 0
    with pytest.raises(FilterError, match=f"more than {many} conditions"):
        known.count(Or((*conditions, Exists("id"))))
    with pytest.raises(FilterError, match=f"more than {many} conditions"):
        known.count(And((And(()),) * (many + 1)))
    values = tuple(map(str, range(bounds.MOST_VALUES)))
    assert known.count(AnyOf("camera", values)) == 0
    with pytest.raises(FilterError, match="values"):
        known.count(AnyOf("camera", (*values, "x")))
    deep: Filter = Exists("id")
    for _ in range(bounds.DEEPEST_TREE):
        deep = Not(deep)
    with pytest.raises(FilterError, match="levels deep"):
        known.count(deep)


@pytest.fixture
def known(collection: Collection, item: Callable[..., Item]) -> Collection:
    metadata = {"camera": "Nikon D5", "year": 2020, "raw": True, "taken": datetime(2020, 6, 1), "tags": ["beach"]}
    collection.upsert([item("a", metadata=metadata), item("b", modality="image", width=640), item("c")])
    return collection


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("modality = image", "b"), ("camera = 'Nikon D5'", "a"), ("camera != X", "abc"), ("not year >= 2000", "bc"),
        ("camera contains nikon", "a"), ("camera contains %", ""), ("tags contains beach", "a"),
        ("tags contains Beach", ""), ("raw = true", "a"), ("raw != true", "bc"), ("tags = beach", "a"),
        ("tags != beach", "bc"), ("tags in (sea, beach)", "a"), ("tags not in (sea)", "abc"),
        ("width in (640, 800.5)", "b"), ("width >= 639.5", "b"), ("indexed_at > 2000-01-01", "abc"),
        ("taken >= 2020-06-01 and taken < 2020-06-01T00:00:01", "a"), ("taken >= 2020-06-01T01:00:00+02:00", "a"),
        ("taken > 0001-01-01T00:00:00+23:59", "a"), ("taken < 9999-12-31T23:59:59-23:59", "a"),
        ("not exists(camera) and id in (b, c)", "bc"), ("metadata.year between 2019 and 2021", "a"),
    ],
)  # fmt: skip
def test_the_language_end_to_end(known: Collection, text: str, found: str) -> None:
    assert sorted(item.id for batch in known.scan(filter=text) for item in batch) == list(found)


@pytest.mark.parametrize(
    ("condition", "said"),
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
        (Range("year"), "no bound"),
        (Match("year", 10**400), "64 bits"),
        (Match("year", 10**5000), "64 bits"),
        (Match("camera", 10**5000), "holds a string"),
        (Match("year", float("nan")), "finite"),
        (Match("tags", ["beach"]), "a list"),  # type: ignore[arg-type]
        (Match("camera", None), "NoneType"),  # type: ignore[arg-type]
        (And(("camera",)), "not a filter"),  # type: ignore[arg-type]
    ],
)
def test_filters_that_do_not_fit(known: Collection, condition: Any, said: str) -> None:
    with pytest.raises(FilterError, match=said):
        known.count(condition)


def test_a_hidden_key_shows_its_long_name(collection: Collection, item: Callable[..., Item]) -> None:
    collection.upsert([item("a", metadata={"width": "wide"})])
    assert collection.count("metadata.width = wide") == 1
    with pytest.raises(FilterError, match=r"metadata\.width"):
        collection.count("nope = 1")
