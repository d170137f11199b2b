"""Qwen-VL on a server as vLLM: the same vectors as local. The server is a stand-in that runs transformers itself."""

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from oneword.engine import Composed, Document, Interleaved, Side, Text, decode, encode, load, views
from oneword.engine.catalog import describe
from oneword.engine.checkpoint import PROMPTED, find
from oneword.engine.dependencies import quiet
from oneword.engine.errors import EncodingError, RemoteUnavailable, ViewError
from oneword.engine.pretrained import configuration
from oneword.engine.prompted.encoder import PromptedEncoder
from oneword.engine.prompted.loading import load_prompted, processor
from oneword.engine.remote.vllm import CHAT_TEMPLATE
from tests.engine.prompted.checkpoints import qwen, smolvlm

from .conftest import VllmService, answer
from .test_oneword_server import noise

TEMPLATE = CHAT_TEMPLATE.replace("<image>", "<|image_pad|>")
INPUTS = [
    Text(text="a red bicycle <|im_end|> at the harbour"),
    noise(64, 48, 1),
    noise(150, 33, 2),
    noise(300, 200, 3),
    Document(image=noise(90, 30, 3), text=" two small cats\n\nand a  dog "),
    Composed(image=noise(40, 40, 5), edit="Ünïcödé 世界 🐈‍⬛"),
    Interleaved(pieces=[noise(40, 40, 6), "the sofa of this", noise(64, 48, 7), "in the room of this"]),
    *(Text(text=f"text number {i}") for i in range(5)),
]


class QwenService(VllmService):
    """As started with a budget of pixels, which is its processor's."""

    template = TEMPLATE

    def __init__(self, encoder: PromptedEncoder, folder: Path, made: Any) -> None:
        super().__init__(encoder, "qwen")
        self.root, self.processor = str(folder), made

    def _rendered(self, conversation: Any, body: Any, rows: Any, pictures: Any) -> None:
        parts = conversation[0]["content"]
        urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
        pictures.append([decode(base64.b64decode(url.partition("base64,")[2])) for url in urls])
        rows.append("".join(part["text"] if part["type"] == "text" else "<|image_pad|>" for part in parts))

    @torch.inference_mode()
    def embeddings(self, body: dict[str, Any]) -> Any:
        if "input" in body:
            given = [{"input_ids": torch.tensor([row])} for row in body["input"]]
        else:
            rows, pictures = [], []
            several = isinstance(body["messages"][0], list)
            for conversation in body["messages"] if several else [body["messages"]]:
                self._rendered(conversation, body, rows, pictures)
            given = [
                self.processor(text=[row], images=[seen], return_tensors="pt")
                for row, seen in zip(rows, pictures, strict=True)
            ]
        vectors = [self.encoder.network(**one).last_hidden_state[0, -1].numpy() for one in given]
        usage = {"prompt_tokens": sum(one["input_ids"].shape[1] for one in given)}
        unit = np.stack([one / np.linalg.norm(one) for one in vectors])
        return answer(self.name, unit, body) | {"usage": usage}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return qwen(tmp_path_factory.mktemp("qwen") / "qwen3_vl", "Qwen3VL")


@pytest.mark.parametrize("name", ["", "Qwen/Qwen3-VL-Embedding-2B"], ids=["by the view", "by its own prompts"])
def test_equals_local(serve: Any, folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known = describe(name)
    if known is not None:
        known = replace(known, pixels=(32 * 32, 128 * 128))
        monkeypatch.setattr("oneword.engine.catalog.describe", lambda name: known)
    checkpoint = find(str(folder), expected=PROMPTED)
    local = load_prompted(checkpoint, known=known, device="cpu")
    with quiet():
        made = processor(checkpoint, configuration(checkpoint), known.pixels if known else ())
    service = QwenService(local, folder, made)
    remote = load(serve(service))
    for side in Side:
        expected = encode(local, INPUTS, views.DEFAULT, side)
        assert np.abs(encode(remote, INPUTS, views.DEFAULT, side) - expected).max() <= 1e-5
    assert remote.space(views.DEFAULT).fingerprint == local.space(views.DEFAULT).fingerprint
    assert (remote.dimension, remote.text_tokens, remote.tokenizer) == (
        local.dimension, local.text_tokens, local.tokenizer
    )  # fmt: skip
    with pytest.raises(EncodingError, match="spells the model's special token"):
        encode(remote, [Document(image=noise(40, 40), text="a <|image_pad|> here")], views.DEFAULT)
    with pytest.raises(EncodingError, match="2100x10 pixels: the model takes no such image") as caught:
        encode(remote, [*INPUTS[1:3], noise(2100, 10)], views.DEFAULT)
    assert caught.value.index == 2
    if known is not None:
        with pytest.raises(ViewError, match="prompts of its own"):
            remote.space(replace(views.DEFAULT, name="mine"))


def test_a_server_with_another_budget_of_pixels_is_found_out(serve: Any, folder: Path) -> None:
    checkpoint = find(str(folder), expected=PROMPTED)
    local = load_prompted(checkpoint, device="cpu")
    with quiet():
        made = processor(checkpoint, configuration(checkpoint), (96 * 96, 128 * 128))
    with pytest.raises(RemoteUnavailable, match=r"counts \d+ tokens in the prompt, expected \d+.*docs/remote.md"):
        load(serve(QwenService(local, folder, made)))


def test_the_manual_has_the_template() -> None:
    assert TEMPLATE in (Path(__file__).parents[3] / "docs" / "remote.md").read_text(encoding="utf-8")


def test_models_that_servers_prepare_otherwise_are_refused(serve: Any, folder: Path, tmp_path: Path) -> None:
    local = load_prompted(str(folder), device="cpu")
    service = QwenService(local, smolvlm(tmp_path / "smolvlm"), None)
    with pytest.raises(RemoteUnavailable, match=r"a model of idefics3 on this server.*oneword serve"):
        load(serve(service))
