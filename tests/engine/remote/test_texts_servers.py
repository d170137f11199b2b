"""Models of sentence-transformers on vLLM, Infinity and Text Embeddings Inference: the vectors of the model run here.

The servers are stand-ins that run the library itself on the strings that they are sent.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sentence_transformers", minversion="6")

from sentence_transformers import SentenceTransformer

from oneword.engine import Side, Text, encode, load, views
from oneword.engine.dependencies import quiet
from oneword.engine.errors import ModelError, RemoteUnavailable
from oneword.engine.modular import ModularEncoder, load_modular
from tests.engine.dual.checkpoints import siglip2
from tests.engine.modular.folders import pair, texts

from .conftest import OnewordService, Status, answer
from .test_oneword_server import noise

TEXTS = [
    Text(text=one) for one in ("a dog", "A red bicycle, at the harbour!", "the night train " * 40, "ünïcödé 世界 [SEP]")
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return texts(tmp_path_factory.mktemp("served") / "texts")


@pytest.fixture(scope="module")
def here(folder: Path) -> ModularEncoder:
    return load_modular(str(folder), device="cpu")


@pytest.fixture(scope="module")
def there(folder: Path) -> SentenceTransformer:
    with quiet():
        return SentenceTransformer(str(folder), device="cpu")


class TextServer(OnewordService):
    """vLLM's way: the folder as `root`, special tokens counted. `prefix`: what it was started to put before texts."""

    specials, prefix = True, ""

    def __init__(self, model: SentenceTransformer, folder: Path) -> None:
        super().__init__(model, "texts")
        self.folder = folder

    def models(self) -> Any:
        return {"object": "list", "data": [{"id": self.name, "object": "model", "root": str(self.folder)}]}

    def embeddings(self, body: dict[str, Any]) -> Any:
        given = [self.prefix + one for one in body["input"]]
        ids = self.encoder.tokenizer(given, add_special_tokens=self.specials)["input_ids"]
        if max(map(len, ids)) > 48:
            raise Status(413, {"error": {"message": "`inputs` must have less than 48 tokens"}})
        vectors = self.encoder.encode(given, prompt="")
        return answer(self.name, vectors, body) | {"usage": {"prompt_tokens": sum(map(len, ids))}}


class Infinity(TextServer):
    """Its id is what it loaded; special tokens are not counted."""

    specials = False

    def models(self) -> Any:
        return {"object": "list", "data": [{"id": str(self.folder), "object": "model", "owned_by": "infinity"}]}


class Tei(TextServer):
    """No list of models; `/info` at its root."""

    pooling = "mean"

    def get(self, path: str) -> Any:
        if path != "/info":
            raise Status(404, {"message": "Not Found"})
        about = {"model_id": str(self.folder), "model_sha": None, "max_input_length": 48, "version": "1.8.2"}
        return about | {"model_type": {"embedding": {"pooling": self.pooling}}}


@pytest.mark.parametrize("kind", [TextServer, Infinity, Tei])
def test_equals_local(serve: Any, kind: type[TextServer], there: Any, here: ModularEncoder, folder: Path) -> None:
    service = kind(there, folder)
    remote = load(serve(service))
    for side in Side:
        expected = encode(here, TEXTS, views.DEFAULT, side)
        assert np.abs(encode(remote, TEXTS, views.DEFAULT, side) - expected).max() <= 1e-5
    assert remote.space(views.DEFAULT).fingerprint == here.space(views.DEFAULT).fingerprint
    assert (remote.dimension, remote.chunk_tokens) == (here.dimension, here.chunk_tokens)
    assert remote.tokenizer == here.tokenizer
    assert {one.split()[0] for body in service.bodies for one in body["input"]} == {"query:", "passage:"}
    with pytest.raises(ModelError, match="asked for texts only"):
        encode(remote, [noise(8, 8)], views.DEFAULT)


def test_a_server_with_a_prompt_of_its_own_is_refused(serve: Any, there: Any, folder: Path) -> None:
    service = TextServer(there, folder)
    service.prefix = "query: "
    with pytest.raises(RemoteUnavailable, match=r"counts \d+ tokens, expected \d+: .*without a prompt of its own"):
        load(serve(service))


def test_what_cannot_be_equal_is_refused(serve: Any, there: Any, folder: Path, tmp_path: Path) -> None:
    service = Tei(there, folder)
    service.pooling = "cls"
    with pytest.raises(RemoteUnavailable, match=r"pools by 'cls', the model by 'mean'.*oneword serve"):
        load(serve(service))
    copy = shutil.copytree(folder, tmp_path / "copy")
    modules = json.loads((copy / "modules.json").read_text())
    modules[1]["type"] = (
        "sentence_transformers.sentence_transformer.modules.weighted_layer_pooling.WeightedLayerPooling"
    )
    (copy / "modules.json").write_text(json.dumps(modules))
    for made, message in (
        (copy, "has a module WeightedLayerPooling, which this server does not run"),
        (siglip2(tmp_path / "siglip2"), "a model of siglip on this server.*oneword serve"),
        (
            pair(tmp_path / "pair"),
            "of another space; run `oneword serve`|would not be those of the model run here; run `oneword serve`",
        ),
    ):
        with pytest.raises(RemoteUnavailable, match=message):
            load(serve(TextServer(there, made)))


def test_onewords_own_server_serves_any_of_them(serve: Any, here: ModularEncoder, tmp_path: Path) -> None:
    seeing = load(str(siglip2(tmp_path / "siglip2")))
    for encoder, inputs in ((here, TEXTS), (seeing, [*TEXTS, noise(64, 48)])):
        remote = load(serve(OnewordService(encoder, "any", any_view=False)))
        for side in Side:
            expected = encode(encoder, inputs, views.DEFAULT, side)
            assert np.abs(encode(remote, inputs, views.DEFAULT, side) - expected).max() <= 1e-5
        assert remote.space(views.DEFAULT).fingerprint == encoder.space(views.DEFAULT).fingerprint
