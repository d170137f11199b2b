"""One small checkpoint for all tests of `oneword.engine.e5v`, and plain transformers to compare with."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch

from oneword.engine import Composed, Document, Image, Input, Interleaved, Side, Text, View
from oneword.engine.dependencies import quiet
from oneword.engine.e5v import E5VEncoder, load_e5v
from oneword.engine.inputs import images_of
from tests.tiny import make_checkpoint

TEMPLATE = (
    "<|start_header_id|>user<|end_header_id|>\n\n{}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n \n"
)
Plain = Callable[..., np.ndarray]
SIZES = [(640, 480), (100, 100), (300, 40), (20, 300), (57, 113), (56, 56)]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="session")
def encoder(folder: Path) -> E5VEncoder:
    return load_e5v(str(folder), device="cpu")


@pytest.fixture(scope="session")
def pictures() -> list[Image]:
    """Random pictures of mixed shapes: three, four and five tiles."""
    noise = np.random.default_rng(7)
    return [
        Image(pixels=PIL.Image.fromarray(noise.integers(0, 256, (height, width, 3), dtype=np.uint8)))
        for width, height in SIZES
    ]


@pytest.fixture(scope="session")
def plain(folder: Path) -> Plain:
    return plain_encoder(folder)


@pytest.fixture(scope="session")
def make_plain() -> Callable[[Path], Plain]:
    return plain_encoder


def plain_encoder(folder: Path) -> Plain:
    """Plain transformers, used as its documentation and E5-V's reference do: left padding, whole model."""
    processor, model = plain_parts(folder)

    def encode(inputs: Sequence[Input], view: View, side: Side = Side.GALLERY) -> np.ndarray:
        prompts = [TEMPLATE.format(whole_prompt(item, view, side)) for item in inputs]
        images = [image for item in inputs for image in images_of(item)]
        batch = processor(
            images=[image.pixels for image in images] or None, text=prompts, padding=True, return_tensors="pt"
        )
        with torch.no_grad():
            states = model(**batch, output_hidden_states=True).hidden_states[-1][:, -1]
        return torch.nn.functional.normalize(states, dim=-1).numpy()

    return encode


def plain_parts(folder: Path) -> tuple[Any, Any]:
    from transformers import (
        AutoTokenizer,
        LlavaNextForConditionalGeneration,
        LlavaNextImageProcessorPil,
        LlavaNextProcessor,
    )

    with quiet():
        tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
        tokenizer.pad_token = tokenizer.eos_token
        processor = LlavaNextProcessor(
            image_processor=LlavaNextImageProcessorPil.from_pretrained(folder),
            tokenizer=tokenizer,
            patch_size=14,
            vision_feature_select_strategy="default",
            num_additional_image_tokens=1,
        )
        return processor, LlavaNextForConditionalGeneration.from_pretrained(folder).eval()


def whole_prompt(item: Input, view: View, side: Side) -> str:
    prompts = view.query if side is Side.QUERY else view.gallery
    match item:
        case Text():
            return prompts.text.replace("<sent>", item.text)
        case Image():
            return prompts.image
        case Document():
            return prompts.document.replace("<sent>", item.text)
        case Composed():
            return prompts.composed.replace("<sent>", item.edit)
        case Interleaved():
            written = [one if isinstance(one, str) else "<image>" for one in item.pieces]
            return "\n".join([*written, "Summary above image and text in one word: "])
