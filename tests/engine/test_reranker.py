"""Rerankers give what sentence-transformers' `CrossEncoder` gives, used as its documentation says."""

import json
import shutil
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
from sentence_transformers import CrossEncoder

from oneword.engine.dependencies import quiet
from oneword.engine.errors import ModelNotFound, WrongCheckpoint
from oneword.engine.reranker import ROWS, Reranker, load_reranker
from tests.engine.rerankers import reading, seeing
from tests.tiny import sentences

NEVER = lambda: False  # noqa: E731


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reading(tmp_path_factory.mktemp("reranker") / "reading")


@pytest.fixture(scope="module")
def sees(tmp_path_factory: pytest.TempPathFactory) -> Reranker:
    return load_reranker(str(seeing(tmp_path_factory.mktemp("reranker") / "seeing")), device="cpu")


def library(reranker: Reranker) -> CrossEncoder:
    """The same folder, loaded by the library alone."""
    with quiet():
        return CrossEncoder(reranker.name, device="cpu")


def test_scores_and_order_are_the_librarys(folder: Path) -> None:
    reranker = load_reranker(str(folder), device="cpu")
    documents = list(dict.fromkeys(sentences(3 * ROWS)))
    found = reranker.scores("a dog on the sofa", documents, NEVER)
    assert found is not None
    plain = library(reranker)
    assert found == pytest.approx(plain.predict([("a dog on the sofa", one) for one in documents]).tolist(), abs=1e-5)
    order = sorted(range(len(documents)), key=lambda place: -found[place])
    assert order == [one["corpus_id"] for one in plain.rank("a dog on the sofa", documents)]
    assert len({round(one, 4) for one in found}) > ROWS, "or the order means nothing"


def test_images_alone_and_with_words(sees: Reranker) -> None:
    red, blue = (PIL.Image.new("RGB", (40, 30), color) for color in ("red", "blue"))
    given: list[Any] = ["a dog", red, {"image": blue, "text": "a cat"}]
    assert [sees.readable(*one) for one in ((["a dog"], []), ([], [red]), (["a cat"], [blue]))] == given
    expected = library(sees).predict([("two small cats", one) for one in given])
    assert sees.scores("two small cats", given, NEVER) == pytest.approx(expected.tolist(), abs=1e-5)
    asked = sees.readable(["the sofa of this", "in the room of this"], [red, blue])
    assert asked == {"image": [red, blue], "text": "the sofa of this\nin the room of this"}
    assert sees.scores(asked, given, NEVER) == pytest.approx(
        library(sees).predict([(asked, one) for one in given]).tolist(), abs=1e-5
    )


def test_a_model_of_texts_reads_captions_only(folder: Path) -> None:
    reranker = load_reranker(str(folder), device="cpu")
    red = PIL.Image.new("RGB", (4, 4), "red")
    assert (reranker.sees, reranker.readable(["a cat"], [red]), reranker.readable([], [red])) == (False, "a cat", None)


def test_it_ends_between_two_batches(folder: Path) -> None:
    reranker = load_reranker(str(folder), device="cpu")
    answers = iter([False, True])
    assert reranker.scores("a dog", sentences(3 * ROWS), lambda: next(answers)) is None


def test_what_is_no_reranker_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(WrongCheckpoint, match="gives 3 scores for a pair: expected a reranker"):
        load_reranker(str(reading(tmp_path / "labels", labels=3)), device="cpu")
    with pytest.raises(WrongCheckpoint, match=r"no config.json and no modules.json.*CrossEncoder"):
        load_reranker(str(tmp_path), device="cpu")
    with pytest.raises(ModelNotFound, match="no folder 'nosuch'"):
        load_reranker("nosuch", device="cpu")
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(WrongCheckpoint, match="other formats are not read, because they can run code"):
        load_reranker(str(copy), device="cpu")
    foreign = [{"idx": 0, "name": "0", "path": "", "type": "evil.Module"}]
    (copy / "modules.json").write_text(json.dumps(foreign))
    with pytest.raises(WrongCheckpoint, match=r"names the module 'evil\.Module'"):
        load_reranker(str(copy), device="cpu")
