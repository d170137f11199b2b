"""`serve --rerank`: the operator's reranker, and no other."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import oneword
from oneword.cli import app
from oneword.engine.config import EngineConfig
from tests.engine.rerankers import reading
from tests.tiny import sentences

SEARCH = "/collections/default/search"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reading(tmp_path_factory.mktemp("reranker") / "reading")


def test_over_rest_and_from_python(serve: Any, folder: Path, tmp_path: Path) -> None:
    db = tmp_path / "db"
    with oneword.connect(db) as database:
        database.collection(model="hash").upsert([{"id": one, "text": one} for one in dict.fromkeys(sentences(20))])
        here = database.collection().search("a dog", limit=6, rerank=str(folder), rerank_depth=5)
    service = serve(db=db, rerank=str(folder), model=EngineConfig(device="cpu"))
    assert service.get("/me").json()["rerank"] is True
    query = {"text": "a dog", "limit": 6, "rerank": "auto", "rerank_depth": 5}
    found = service.search(query)
    assert [hit["id"] for hit in found["hits"]] == [hit.id for hit in here]
    assert [hit.get("rerank_score") for hit in found["hits"]] == pytest.approx(
        [None if hit.rerank_score is None else round(hit.rerank_score, 6) for hit in here], abs=1e-4
    )
    assert (found["reranked"]["model"], found["reranked"]["judged"]) == (str(folder), 5)
    late = service.search({**query, "text": "the night train", "rerank_seconds": 0})
    assert late["reranked"] | {"ms": 0} == {"model": str(folder), "judged": 0, "reason": "the deadline passed", "ms": 0}
    assert late["hits"] == service.search({"text": "the night train", "limit": 6})["hits"]
    other = service.post(SEARCH, {**query, "rerank": "other/model"})
    assert (other.status_code, other.json()["code"]) == (422, "bad_query")
    with oneword.connect(service.url) as database:
        there = database.collection().search("a dog", limit=6, rerank="auto", rerank_depth=5)
    assert [hit.id for hit in there] == [hit.id for hit in here]
    assert there.reranked is not None
    assert (there.reranked.judged, there.reranked.reason) == (5, None)


def test_several_workers_are_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["serve", "--db", str(tmp_path / "db"), "--rerank", "a/b", "--workers", "2"])
    assert done.exit_code == 2
    assert "--workers 1" in done.output
