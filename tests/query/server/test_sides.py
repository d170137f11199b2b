"""A model with a prompt for queries and one for documents, from the index to REST: each side where it belongs."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sentence_transformers", minversion="6")

from oneword.engine import Encoder, Side, Text, encode, load, views
from oneword.indexer import index_paths
from oneword.query.service import SearchService
from oneword.storage import Item, Store
from tests import forkserver
from tests.engine.modular.folders import texts

ASKED = "a cat on the sofa"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return load(str(texts(tmp_path_factory.mktemp("model") / "sided")))


@pytest.fixture(scope="module")
def notes(model: Encoder, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    db = str(tmp_path_factory.mktemp("sided"))
    index_paths([folder / name for name in ("cat.txt", "owl.txt", "dog.txt")], db=db, model=model)
    return db


def vector(model: Encoder, text: str, side: Side) -> Any:
    (found,) = encode(model, [Text(text=text)], views.DEFAULT, side)
    return found


def scores(model: Encoder, asked: Any, items: list[Item]) -> dict[str, float]:
    return {one.id: float(vector(model, one.text or "", Side.GALLERY) @ asked) for one in items}


def test_each_side_where_it_belongs(model: Encoder, notes: str, start: Any, tmp_path: Path) -> None:
    query = vector(model, ASKED, Side.QUERY)
    document = vector(model, ASKED, Side.GALLERY)
    assert np.abs(query - document).max() > 0.01
    items = [one for batch in Store(notes).open("default").scan(vectors=True) for one in batch]
    for one in items:
        assert np.allclose(one.vector, vector(model, one.text or "", Side.GALLERY), atol=1e-3), "stored as a document"

    local, served = SearchService(notes), start("--db", notes)

    def same(asked: Any, found: Any, among: list[Item]) -> None:
        assert {one["id"]: one["score"] for one in found} == pytest.approx(scores(model, asked, among), abs=2e-3)

    same(query, [hit.as_dict() for hit in local.search(ASKED)], items)
    same(query, served.search({"text": ASKED})["hits"], items)
    first, *others = items
    liked = vector(model, first.text or "", Side.GALLERY)
    same(liked, [hit.as_dict() for hit in local.search(like=first.id)], others)
    same(liked, served.search({"like": first.id})["hits"], others)

    added = served.post("/collections/default/items", {"items": [{"id": "new", "text": ASKED}]})
    assert added.status_code == 200
    stored = Store(notes).open("default").get(["new"], vectors=True)["new"]
    assert np.allclose(stored.vector, document, atol=1e-3), "what is added is a document, too"

    for asked, expected in (({}, document), ({"input_type": "document"}, document), ({"input_type": "query"}, query)):
        answer = served.post("/embeddings", {"model": model.name, "input": ASKED, **asked}).json()
        assert np.allclose(answer["data"][0]["embedding"], expected, atol=1e-5), asked

    labelled = tmp_path / "queries.jsonl"
    nearest = max(scores(model, query, [*items, stored]).items(), key=lambda one: one[1])[0]
    labelled.write_text(json.dumps({"text": ASKED, "relevant": [nearest]}), encoding="utf-8")
    command = ["-m", "oneword", "eval", "live", "--queries", labelled, "--db", notes, "--json"]
    said = forkserver.run(command, check=True)
    assert json.loads(said.stdout)["metrics"]["Success@1"] == 1
