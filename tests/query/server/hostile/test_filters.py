"""Filters that would be more: SQL, expressions of other languages, and too much of everything."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

INJECTED = """' OR 1=1 --
' OR '1'='1
" OR ""="
year = 2020' OR '1'='1
year = 2020; DROP TABLE c
year = 2020) OR (1=1
year = 2020 OR 1=1
year = 2020 -- x
year = 2020 /* x */ or true
year = 2020 union select * from c
year >= 2020 and 1
id = 'cat' or true
`id` = 'cat'
`meta.year` IS NOT NULL
id like '%'
id = "cat" or
true
1=1
1
*
id = cat'; delete from c where 'a'='a
id ＝ ‘cat’
id = cat\u2019 OR 1=1
not not not
()
((((((((((
))))))))))
id in ()
id in (cat, dog
exists()
exists(id) or exists(
between 1 and 2
year between 2020
{"$where": "1"}
{{7*7}}
${7*7}
(SELECT password FROM users)
year = (select 1)
year regexp .*
year ~ (a+)+$
x.y.z = 1
metadata.metadata.year = 1
_score > 0
vector = 1
thumbnail = 1
_rowid > 0
__import__('os').system('id')
year = 1 limit 1
year = cast(1 as int)
\0
""".strip("\n").split("\n")

MATCHING_NOTHING = [
    "id = `cat`",
    "id = $1",
    "id = ?",
    "id = cat\0",
    "id = \"cat' OR '1'='1\"",
    'id = "\' OR 1=1 --"',
    "id in (\"x') OR ('1'='1\")",
    "id contains \"%' OR '1\"",
    'text = "\\"',
    'id = "cat\\\\\' OR 1=1 --"',
    'uri = "x`; drop"',
    "id = cаt",
    "id = cat\u200b",
    'id = "cat\0"',
    'text contains "%"',
    'text contains "_"',
    'text contains "c%t"',
    'id = "%"',
]

OBJECTS: list[Any] = [
    {"field": "id' OR '1'='1", "match": "x"},
    {"field": "id` IS NOT NULL OR `id", "match": "x"},
    {"field": "id\0", "match": "x"},
    {"field": 'id"', "match": "x"},
    {"field": "id\\", "match": "x"},
    {"field": "meta.year", "match": 2020},
    {"field": "metadata.`year`", "match": 2020},
    {"field": "", "match": 1},
    {"field": "x" * 100_000, "match": 1},
    {"field": ["id"], "match": 1},
    {"field": {"$ne": None}, "match": 1},
    {"field": "id", "match": {"$ne": ""}},
    {"field": "id", "match": ["cat", "dog"]},
    {"field": "id", "match": None},
    {"field": "id", "any": "cat"},
    {"field": "id", "any": [["cat"]]},
    {"field": "id", "any": ["x"] * 10_001},
    {"field": "id", "exists": 1},
    {"field": "id", "match": "cat", "exists": True},
    {"field": "year", "range": {}},
    {"field": "year", "range": {"gte": 2020, "$where": "1"}},
    {"field": "year", "range": {"gte": "2020 OR 1=1"}},
    {"field": "year", "match": 10**400},
    {"field": "text", "contains": 1},
    {"must": "year = 2020"},
    {"must": [[]]},
    {"must": None},
    {"or": []},
    {"$or": [{}]},
    {"must": [{"field": "year", "match": 1}] * 10_000},
    {"should": [{"must": [{"should": [{}]}]}] * 2_000},
]


def nested(levels: int, key: str = "must") -> Any:
    tree: Any = {"field": "year", "match": 1}
    for _ in range(levels):
        tree = {key: [tree]}
    return tree


@pytest.fixture(scope="module")
def target(attack: Callable[..., Any]) -> Any:
    return attack()


def everywhere(target: Any, condition: Any, status: Any, code: Any = ()) -> None:
    """The same of each route that takes a filter; nothing is deleted by a filter that finds nothing."""
    for path, document in (
        ("/search", {"text": "a", "filter": condition}),
        ("/search", {"keywords": "cat", "filter": condition}),
        ("/items:count", {"filter": condition}),
        ("/items:scroll", {"filter": condition}),
        ("/items:delete", {"filter": condition}),
    ):
        target.check(target.post(path, document), status, code)
    assert target.post("/items:count").json()["count"] == 4


@pytest.mark.parametrize("words", INJECTED)
def test_words_that_are_no_filter(target: Any, words: str) -> None:
    everywhere(target, words, 422, "bad_filter")


@pytest.mark.parametrize("words", MATCHING_NOTHING)
def test_quotes_stay_in_their_values(target: Any, words: str) -> None:
    everywhere(target, words, (200, 422))
    answer = target.post("/items:count", {"filter": words})
    assert answer.status_code == 422 or answer.json()["count"] == 0


@pytest.mark.parametrize("tree", OBJECTS, ids=lambda tree: str(tree)[:60])
def test_objects_that_are_no_filter(target: Any, tree: Any) -> None:
    everywhere(target, tree, (400, 422))


@pytest.mark.parametrize(
    "value", ["' OR '1'='1", "x' --", "`", "\\", "\\'", "%", "_", "\u2019 OR 1=1", "\0", "cat\0", "a" * 50_000]
)
@pytest.mark.parametrize("test", ["match", "any", "contains"])
def test_values_are_values(target: Any, value: str, test: str) -> None:
    asked = {"field": "id", test: [value] if test == "any" else value}
    assert target.check(target.post("/items:count", {"filter": asked}), 200).json()["count"] == 0
    assert target.check(target.post("/items:delete", {"filter": asked}), 200).json()["deleted"] == 0
    assert target.check(target.post("/items:delete", {"ids": [value[:1000]]}), 200).json()["deleted"] == 0
    assert target.check(target.post("/items:get", {"ids": [value[:1000]]}), 200).json()["items"] == []


@pytest.mark.parametrize("levels", [60, 150])
@pytest.mark.parametrize("key", ["must", "should", "must_not"])
def test_deep_trees(target: Any, levels: int, key: str) -> None:
    everywhere(target, nested(levels, key), (400, 422))


@pytest.mark.parametrize(
    "words", ["(" * 40 + "year = 1" + ")" * 40, "not " * 40 + "year = 1", "(" * 99_000, "not " * 24_000]
)
def test_deep_words(target: Any, words: str) -> None:
    everywhere(target, words, (200, 422))


def test_turns_of_and_and_or(target: Any) -> None:
    tree: Any = {"field": "year", "match": 1}
    for level in range(40):
        tree = {("must", "should")[level % 2]: [tree, {"field": "year", "match": level}]}
    everywhere(target, tree, 422, "bad_filter")


@pytest.mark.parametrize(
    "words", [" or ".join(["year = 1"] * 9_000), " and ".join(["year != 1"] * 9_000), "a " * 49_000]
)
def test_many_conditions(target: Any, words: str) -> None:
    everywhere(target, words, 422)


@pytest.mark.parametrize(
    "keywords",
    [
        "' OR 1=1 --",
        "*",
        "cat*",
        "(",
        "a AND b OR NOT c",
        '"',
        "\\",
        "\0",
        "~",
        "^",
        "+cat -dog",
        "a:b",
        "{",
        "/x/",
        "x" * 90_000,
        "a " * 45_000,
    ],
)
def test_keywords_are_words(target: Any, keywords: str) -> None:
    target.check(target.post("/search", {"keywords": keywords}), (200, 422))


@pytest.mark.parametrize(
    "field", ["id`", "vector", "_rowid", "meta.year", "uri; drop", "", "metadata.", "metadata.`", "\0", "a.b.c"]
)
def test_groups_are_fields(target: Any, field: str) -> None:
    target.check(target.post("/search", {"text": "a", "group_by": field}), 422)


@pytest.mark.parametrize(
    "cursor", ["", "x", "e30", "W10", "W10=", "/../", "A" * 1000, "WzEsMCwiIiwiIl0", "\0", "ｅ３０"]
)
def test_cursors_of_others(target: Any, cursor: str) -> None:
    target.check(target.post("/items:scroll", {"cursor": cursor}), (410, 422))


@pytest.mark.parametrize("offset", [10**6, 2**31, 2**32 - 1, 2**32, 2**53 - 1, 2**63, -1, 10**30])
def test_cursors_that_were_changed(target: Any, offset: int) -> None:

    cursor = target.post("/items:scroll", {"limit": 1}).json()["cursor"]
    told = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    changed = base64.urlsafe_b64encode(json.dumps([told[0], offset, *told[2:]]).encode()).decode().rstrip("=")
    answer = target.check(target.post("/items:scroll", {"limit": 1, "cursor": changed}), (200, 422))
    assert answer.status_code == 422 or answer.json()["items"] == []
