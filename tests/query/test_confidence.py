"""`--min-confidence`: from Python, the command line and in words."""

import json
from pathlib import Path

import numpy as np
import pytest

import oneword
from oneword import cli
from oneword.engine.unrelated import PHRASES
from oneword.query import Query, SearchService, Text, Vector
from oneword.query.result import Hit, SearchResult
from oneword.query.table import show
from oneword.storage import BadSearch

TEXTS = [
    f"{animal} number {n} on the {place}" for n, animal in enumerate(["cat", "cow"] * 5) for place in ("sofa", "field")
]


@pytest.fixture
def searching() -> SearchService:
    with oneword.connect("db") as db:
        animals = db.collection("default", model="hash")
        animals.upsert({"id": str(n), "text": text} for n, text in enumerate(TEXTS))
        animals.build()
    return SearchService("db")


def test_the_phrases_are_many_and_each_is_one_of_its_own() -> None:
    assert len(PHRASES) == len(set(PHRASES)) == 300
    assert all(phrase == phrase.strip() and len(phrase.split()) < 10 for phrase in PHRASES)


def test_what_fits_is_found_and_what_does_not_is_not(
    searching: SearchService, capsys: pytest.CaptureFixture[str]
) -> None:
    (hit,) = searching.search(TEXTS[3], min_confidence=0.95, limit=1)
    assert (hit.text, hit.confidence) == (TEXTS[3], 1)
    nothing = searching.search("a violin on a music stand", min_confidence=0.95)
    assert (len(nothing), nothing.total) == (0, None)
    assert cli.run(["search", "a violin", "--db", "db", "--min-confidence", "0.95", "--no-daemon", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["hits"] == []
    assert cli.run(["search", "a violin", "--db", "db", "--min-confidence", "1.5", "--no-daemon"]) == 2


def test_the_scale_is_that_of_what_is_asked(searching: SearchService) -> None:
    assert searching.search(like="3").hits[0].confidence is not None
    values = np.ones(searching.collection.dimension)
    mixed = Query(parts=(Text(text="a cat"), Vector(values=values)), min_confidence=0.5)
    with pytest.raises(BadSearch, match="min_score"):
        searching.search(mixed)
    with pytest.raises(BadSearch, match="min_score"):
        searching.search("a cat", keywords="cat", min_confidence=0.5)


def test_the_terminal_tells(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def shown(*confidences: float | None) -> str:
        hits = tuple(Hit(id="a", score=0.3, confidence=one, modality="text") for one in confidences)
        result = SearchResult(hits=hits, version=1, encode_ms=1, search_ms=1, model="hash", collection="default")
        show(result)
        return capsys.readouterr().out

    assert "Nothing fits well" in shown(0.7, 0.3)
    assert "?" in shown(0.9, 0.3)
    assert "Nothing fits" not in shown(0.9, 0.3)
    assert "?" not in shown(None)
    assert "Nothing fits" not in shown(None)
