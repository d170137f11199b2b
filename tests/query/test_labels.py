"""Labelled queries, and an index measured by them."""

import json
from pathlib import Path

import pytest

from oneword.indexer import index_paths
from oneword.query import SearchService
from oneword.query.errors import BadQuery
from oneword.query.evaluate import evaluate
from oneword.query.labels import read_labelled


def write(path: Path, *lines: object) -> Path:
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines), encoding="utf-8")
    return path


def test_json_lines(tmp_path: Path) -> None:
    path = write(
        tmp_path / "q.jsonl", {"text": "cat", "relevant": ["a"]}, "", {"id": "z", "like": "b", "relevant": {"c": 2}}
    )
    one, other = read_labelled(path)
    assert (one.id, one.parts, one.relevant) == ("1", {"text": "cat"}, {"a": 1})
    assert (other.id, other.parts, other.relevant) == ("z", {"like": "b"}, {"c": 2})


def test_trec(tmp_path: Path) -> None:
    topics = write(tmp_path / "topics.tsv", "q1\ta cat", "q2\tan owl", "q3\tnobody judged this")
    qrels = write(tmp_path / "qrels.txt", "q1 0 file:///x y.png 1", "q1 0 b 0", "q2 0 c 2")
    one, other = read_labelled(topics, qrels)
    assert (one.parts, one.relevant) == ({"text": "a cat"}, {"file:///x y.png": 1, "b": 0})
    assert other.relevant == {"c": 2}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "no JSON"),
        ({"text": "a"}, "relevant is None"),
        ({"text": "a", "relevant": []}, "no item is relevant"),
        ({"relevant": ["a"]}, "no query"),
        ({"txt": "a", "relevant": ["a"]}, "has txt: expected some of text"),
        ({"text": "a", "relevant": [1, 2]}, "expected a list of items"),
        ({"text": "a", "relevant": [["a"]]}, "expected a list of items"),
        ({"text": "a", "relevant": {"a": 2000000}}, "grades from 0 to 100"),
        ({"text": "a", "relevant": {"a": True}}, "grades from 0 to 100"),
        ({"text": 3, "relevant": ["a"]}, "text is 3: expected a string"),
        ("", "no labelled query"),
    ],
)
def test_lines_that_are_refused(tmp_path: Path, line: object, said: str) -> None:
    with pytest.raises(BadQuery, match=said):
        read_labelled(write(tmp_path / "q.jsonl", line))


def test_trec_that_is_refused(tmp_path: Path) -> None:
    topics = write(tmp_path / "topics.tsv", "q1\ta cat")
    with pytest.raises(BadQuery, match="does not have"):
        read_labelled(topics, write(tmp_path / "qrels.txt", "q9 0 a 1"))
    with pytest.raises(BadQuery, match=r"qrels\.txt:1"):
        read_labelled(topics, write(tmp_path / "qrels.txt", "q1 a"))


def test_a_live_index_is_measured(tmp_path: Path, album: Path) -> None:
    index_paths([album], db=str(tmp_path / "db"), model="hash")
    service = SearchService(str(tmp_path / "db"))
    cat, owl = (service.search(text).hits[0] for text in ("the cat sleeps on the sofa", "we saw an owl"))
    path = write(
        tmp_path / "q.jsonl",
        {"id": "found", "text": "the cat sleeps on the sofa", "relevant": [cat.id]},
        {"id": "by uri", "text": "we saw an owl", "relevant": [owl.uri]},
        {"id": "lost", "text": "the cat sleeps on the sofa", "relevant": ["no such item"]},
    )
    report = evaluate(service, read_labelled(path))
    assert report.metrics["Success@1"] == pytest.approx(2 / 3)
    assert report.metrics["RR@10"] == pytest.approx(2 / 3)
    assert report.misses == ("lost",)
    assert report.unknown == ("no such item",)
    twice = write(tmp_path / "q.jsonl", {"text": "we saw an owl", "relevant": [owl.id, owl.uri]})
    assert evaluate(service, read_labelled(twice)).metrics["nDCG@10"] == 1.0
