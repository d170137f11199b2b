"""Keywords, hybrid search, groups, diversity, pages of one version, batches: from the query object to the terminal."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oneword import cli
from oneword.indexer import index_paths
from oneword.query import BadQuery, Query, SearchService, Text
from oneword.storage import BadSearch, Store, VersionNotFound

TEXTS = {
    "zoo/owl.txt": "an owl sleeps by day",
    "zoo/cat.txt": "the cat sleeps on the sofa",
    "farm/cow.txt": "a cow eats grass",
    "farm/hen.txt": "a hen lays an egg",
    "farm/dog.txt": "the dog sleeps, too",
}


@pytest.fixture
def searching(tmp_path: Path) -> SearchService:
    for name, text in TEXTS.items():
        file = tmp_path / "texts" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    index_paths([tmp_path / "texts"], db="db", model="hash")
    return SearchService("db")


def names(result: Any) -> list[str]:
    return [hit.uri.rsplit("/", 1)[1] for hit in result]


def test_keywords_alone_need_no_model(searching: SearchService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oneword.query.service.load", lambda config: pytest.fail("a model was loaded"))
    result = searching.search(keywords="sleeps")
    assert sorted(names(result)) == ["cat.txt", "dog.txt", "owl.txt"]
    assert all(hit.confidence is None for hit in result)
    assert names(searching.search(keywords="SLEEPS", where="folder = farm")) == ["dog.txt"]
    assert names(searching.search(keywords="whale")) == []
    assert names(searching.search(keywords="sleeps", min_score=1000)) == []


def test_hybrid(searching: SearchService) -> None:
    near = names(searching.search("a cow eats grass"))
    assert near[0] == "cow.txt"
    both = searching.search("a cow eats grass", keywords="egg")
    assert set(names(both)[:2]) == {"cow.txt", "hen.txt"}
    assert both.hits[0].score < 0.1, "reciprocal ranks are not cosines"
    assert len(both) == len(TEXTS)
    assert (
        names(searching.search("a cow eats grass", keywords="egg", fusion="weighted", keyword_weight=1.0))[0]
        == "hen.txt"
    )


def test_one_hit_a_folder(searching: SearchService) -> None:
    result = searching.search("the cat sleeps", group_by="folder")
    assert sorted(hit.metadata["folder"] for hit in result) == ["farm", "zoo"]
    assert names(result)[0] == "cat.txt"
    assert result.total is None
    with pytest.raises(BadSearch, match="colour"):
        searching.search("a", group_by="colour")


def test_diversity_keeps_the_best_first(searching: SearchService) -> None:
    result = names(searching.search("the cat sleeps", diversity=0.7))
    assert result[0] == "cat.txt"
    assert sorted(result) == sorted(names(searching.search("the cat sleeps")))


def test_pages_of_one_version(searching: SearchService) -> None:
    first = searching.search("the cat", limit=2)
    rest = names(searching.search("the cat", limit=10))[2:]
    Store("db").open("default").delete([first.hits[0].id])
    assert names(searching.search("the cat", limit=10, offset=2, version=first.version)) == rest
    assert searching.search("the cat").version > first.version
    with pytest.raises(VersionNotFound):
        searching.search("the cat", version=999)


def test_batches(searching: SearchService) -> None:
    queries = [
        Query.of("the cat"),
        Query.of("a cow", limit=2),
        Query.of(keywords="egg"),
        Query.of("a hen", without="egg"),
    ]
    together = searching.search_batch(queries)
    for result, query in zip(together, queries, strict=True):
        alone = searching.search(query)
        assert names(result) == names(alone)
        np.testing.assert_allclose([hit.score for hit in result], [hit.score for hit in alone], atol=1e-6)
    assert searching.search_batch([]) == []
    assert names(searching.search_batch(["the cat"])[0]) == names(together[0])


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"keywords": "  "}, "expected words"),
        ({"keywords": "a", "explain": 3}, "no vector to explain"),
        ({}, "the query is empty"),
    ],
)
def test_bad_queries(named: dict[str, Any], message: str) -> None:
    with pytest.raises(BadQuery, match=message):
        Query.of(**named)
    with pytest.raises(BadQuery, match="min_score"):
        Query(parts=(Text(text="a"),), keywords="a", min_score=2)


@pytest.mark.parametrize("wrong", [{"fusion": "sum"}, {"diversity": 2.0}, {"keyword_weight": -1.0}])
def test_bad_searches(searching: SearchService, wrong: dict[str, Any]) -> None:
    with pytest.raises(BadQuery, match="expected"):
        searching.search("a", keywords="a", **wrong)
    with pytest.raises(BadSearch, match="expected"):
        searching.collection.search(keywords="a", **wrong)


def test_the_command(searching: SearchService, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*arguments: str, code: int = 0) -> Any:
        capsys.readouterr()
        assert cli.run(["search", *arguments, "--db", "db", "--json"]) == code
        return json.loads(capsys.readouterr().out)

    def found(document: Any) -> list[str]:
        return [hit["uri"].rsplit("/", 1)[1] for hit in document["hits"]]

    assert found(run("--keywords", "egg")) == ["hen.txt"]
    assert found(run("egg", "--hybrid"))[0] == "hen.txt"
    assert found(run("cow", "--keywords", "egg", "--fusion", "weighted", "--keyword-weight", "1"))[0] == "hen.txt"
    assert len(found(run("cat", "--group-by", "folder"))) == 2
    first = run("cat", "-k", "2", "--diversity", "0.5")
    again = run("cat", "-k", "2", "--diversity", "0.5", "--version", str(first["version"]))
    assert found(again) == found(first)
    assert "999" in run("cat", "--version", "999", code=1)["error"]["message"]
    assert run("--hybrid", code=2)["error"]["message"]
    assert run("cat", "--fusion", "sum", code=2)["error"]["message"]
