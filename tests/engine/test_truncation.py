"""Vectors are cut for models that were trained for it, and a collection remembers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from oneword.engine import EngineConfig, Text, encode, load, truncation, views
from oneword.engine.catalog import describe
from oneword.engine.errors import ModelError
from oneword.indexer import index_paths
from oneword.query.service import SearchService

TEXTS = [Text(text=text) for text in ("a dog sleeps on the sofa", "two small cats run", "the night train waits")]


@pytest.fixture(autouse=True)
def _trained(monkeypatch: pytest.MonkeyPatch) -> None:
    known = describe("hash")
    assert known is not None
    monkeypatch.setattr(truncation, "describe", lambda name: replace(known, truncations=(64, 128)))


def test_the_first_numbers_normalized() -> None:
    whole, cut = (encode(load(EngineConfig(model="hash", dimensions=d)), TEXTS, views.DEFAULT) for d in (None, 64))
    expected = whole[:, :64] / np.linalg.norm(whole[:, :64], axis=1, keepdims=True)
    assert np.abs(cut - expected).max() < 1e-6


def test_another_length_is_another_space_with_a_name_that_loads_it() -> None:
    cut = load(EngineConfig(model="hash", dimensions=64))
    again = load("hash:64")
    assert (again.name, again.dimension) == ("hash:64", 64)
    spaces = {encoder.space(views.DEFAULT).fingerprint for encoder in (cut, again, load("hash"), load("hash:128"))}
    assert len(spaces) == 3


def test_lengths_it_was_not_trained_for_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match=r"dimensions 65: model 'hash' was not trained .* expected one of 64, 128"):
        load(EngineConfig(model="hash", dimensions=65))
    monkeypatch.setattr(truncation, "describe", lambda name: None)
    with pytest.raises(ModelError, match="drop --dimensions"):
        load(EngineConfig(model="hash", dimensions=64))


def test_a_collection_remembers(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("a red bicycle")
    db = str(tmp_path / "db")
    index_paths([tmp_path / "note.txt"], db=db, model=EngineConfig(model="hash", dimensions=64))
    service = SearchService(db)
    assert service.encoder.dimension == 64
    assert service.search("a red bicycle").hits[0].score == pytest.approx(1, abs=1e-5)
