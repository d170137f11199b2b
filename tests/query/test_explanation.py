import json
from pathlib import Path

import pytest

from oneword import cli
from oneword.engine.errors import NoWords
from oneword.indexer import index_paths
from oneword.query import BadQuery, Query, SearchService
from oneword.storage import ItemNotFound
from tests.tiny import make_checkpoint


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection of five texts, by a small E5-V of random weights."""
    folder = tmp_path_factory.mktemp("explained")
    for i, text in enumerate(["a dog on a sofa", "two cats", "the night train", "a red bicycle", "first snow"]):
        (folder / f"{i}.txt").write_text(text)
    checkpoint = make_checkpoint(folder / "checkpoint")
    index_paths([*folder.glob("*.txt")], db=str(folder / "db"), model=str(checkpoint))
    return folder / "db"


@pytest.fixture(scope="module")
def service(store: Path) -> SearchService:
    return SearchService(str(store))


def test_a_hit_says_why(service: SearchService) -> None:
    result = service.search("a dog on a sofa", limit=3, explain=4)
    assert len(result.words) == 4
    for hit in result:
        assert (len(hit.words), len(hit.shared)) == (4, 4)
    first = result.hits[0]
    assert [w.text for w in first.words] == [w.text for w in result.words]
    assert [word.text for word in first.shared] == [word.text for word in result.words], "it is the question itself"
    document = json.loads(json.dumps(result.as_dict()))
    assert len(document["explain"]["words"]) == len(document["hits"][0]["explain"]["shared"]) == 4


def test_without_asking_there_are_no_words(service: SearchService) -> None:
    document = service.search("a dog").as_dict()
    assert "explain" not in document
    assert "explain" not in document["hits"][0]


def test_items_alone_and_with_a_question(service: SearchService) -> None:
    hits = service.search("a dog", limit=2).hits
    alone = service.explain(items=[hit.id for hit in hits], words=3)
    assert alone.words == ()
    assert [item.id for item in alone.items] == [hit.id for hit in hits]
    assert all(len(item.words) == 3 and not item.shared for item in alone.items)
    both = service.explain("a dog", items=[hits[1].id])
    assert len(both.words) == len(both.items[0].shared) == 5
    own = service.explain(like=hits[0].id, items=[hits[0].id])
    assert [word.text for word in own.words] == [word.text for word in own.items[0].words]


def test_mistakes(service: SearchService, album: Path) -> None:
    with pytest.raises(BadQuery, match="nothing to explain"):
        service.explain()
    with pytest.raises(ItemNotFound):
        service.explain(items=["nobody"])
    with pytest.raises(BadQuery, match="0 words"):
        service.explain("a dog", words=0)
    with pytest.raises(BadQuery, match="explain 51"):
        Query.of("a dog", explain=51)
    index_paths([album], db="plain", model="hash")
    with pytest.raises(NoWords, match="'hash'"):
        SearchService("plain").search("a dog", explain=3)


def test_commands(store: Path, service: SearchService, capsys: pytest.CaptureFixture[str]) -> None:
    one = service.search("a dog", limit=1).hits[0]
    assert cli.run(["explain", "a dog", "--item", one.id, "--db", str(store), "--words", "2", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert len(document["words"]) == len(document["items"][0]["shared"]) == 2
    assert cli.run(["explain", "--item", one.id, "--db", str(store)]) == 0
    assert "words" in capsys.readouterr().out
    assert cli.run(["search", "a dog", "--db", str(store), "--explain", "2"]) == 0
    printed = capsys.readouterr().out
    assert "Words of the query:" in printed
    assert "shared words" in printed
    assert cli.run(["explain", "--db", str(store)]) == 1
