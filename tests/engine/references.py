"""Each format's own library, used as its documentation says, one input at a time: what the vectors must equal."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import normalize

from oneword.engine import Input, Interleaved, Side, views
from oneword.engine.dependencies import quiet
from oneword.engine.inputs import pieces
from oneword.engine.modular import interleaves
from oneword.engine.prompted.prompts import prompted

Reference = Callable[[Input, Side], np.ndarray]
"""A unit vector, float32 (d,)."""


def summed(text: Callable[[str], torch.Tensor], image: Callable[[Any], torch.Tensor]) -> Reference:
    """Two towers: documents and composed queries are the sum of the unit vectors."""

    @torch.no_grad()
    def vector(item: Input, side: Side) -> np.ndarray:
        found = [normalize(text(piece) if isinstance(piece, str) else image(piece.pixels)) for piece, _ in pieces(item)]
        return normalize(sum(found, torch.zeros(1)))[0].numpy()

    return vector


def dual(folder: Path) -> Reference:
    """transformers' `get_text_features` and `get_image_features`."""
    from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

    with quiet():
        tokenizer = AutoTokenizer.from_pretrained(folder)
        processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
        model = AutoModel.from_pretrained(folder).eval()
    siglip = type(model).__name__.startswith("Siglip")
    padding = {"padding": "max_length", "max_length": 64} if siglip else {"padding": True}

    def text(words: str) -> torch.Tensor:
        words = words.lower() if siglip else words  # as SigLIP 2 was trained
        batch = tokenizer([words], truncation=True, return_tensors="pt", **padding)
        return model.get_text_features(**batch).pooler_output

    return summed(
        text, lambda pixels: model.get_image_features(**processor(images=[pixels], return_tensors="pt")).pooler_output
    )


def open_clip(folder: Path) -> Reference:
    """open_clip's `encode_text` and `encode_image`."""
    import open_clip as library

    model, _, preprocess = library.create_model_and_transforms(f"local-dir:{folder}")
    tokenizer = library.get_tokenizer(f"local-dir:{folder}")
    model.eval()
    return summed(
        lambda words: model.encode_text(tokenizer([words])),
        lambda pixels: model.encode_image(preprocess(pixels)[None]),
    )


def modular(folder: Path) -> Reference:
    """sentence-transformers' `encode_query` and `encode_document`; a sum where the model does not take both."""
    from sentence_transformers import SentenceTransformer

    with quiet():
        model = SentenceTransformer(str(folder), device="cpu")

    def vector(item: Input, side: Side) -> np.ndarray:
        ask = model.encode_query if side is Side.QUERY else model.encode_document
        given: list[Any] = [piece if isinstance(piece, str) else piece.pixels for piece, _ in pieces(item)]
        if isinstance(item, Interleaved) and interleaves(model.processor):
            content = [
                {"type": "text", "text": one} if isinstance(one, str) else {"type": "image", "image": one}
                for one in given
            ]
            given = [[{"role": "user", "content": content}]]
        elif len(given) == 2 and model.supports(("image", "text")):
            given = [{"image": given[0], "text": given[1]}]
        total = sum(ask([one], normalize_embeddings=True)[0] for one in given)
        return np.asarray(total / np.linalg.norm(total))

    return vector


def chat(folder: Path, *, auto: bool = False) -> Reference:
    """transformers' chat template, processor and model; the last layer's state of the last token.

    Args:
        auto: load the processor by `AutoProcessor`, which needs torchvision for most, but for its images by Pillow;
            else without the part for videos.
    """
    from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoProcessor

    from oneword.engine.checkpoint import PROMPTED, find
    from oneword.engine.pretrained import configuration
    from oneword.engine.prompted.loading import processor as built

    with quiet():
        if auto:
            processor = AutoProcessor.from_pretrained(folder)
            processor.image_processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
        else:
            checkpoint = find(str(folder), expected=PROMPTED)
            processor = built(checkpoint, configuration(checkpoint))
        model = AutoModelForImageTextToText.from_pretrained(folder).eval()

    @torch.no_grad()
    def vector(item: Input, side: Side) -> np.ndarray:
        prompt, texts, images = prompted(item, views.DEFAULT, side)
        if isinstance(item, Interleaved):  # spelled out, as a person would
            written = [one if isinstance(one, str) else views.IMAGE for one in item.pieces]
            prompt = "\n".join([*written, "Summary above image and text in one word: "])
        for one in texts:
            prompt = prompt.replace(views.SENTENCE, one, 1)
        left = iter(images)
        content: list[dict[str, Any]] = [
            {"type": "image", "image": next(left).pixels} if piece == views.IMAGE else {"type": "text", "text": piece}
            for piece in re.split(f"({views.IMAGE})", prompt)
            if piece
        ]
        inputs = processor.apply_chat_template(
            [{"role": "user", "content": content}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )
        return normalize(model(**inputs, output_hidden_states=True).hidden_states[-1][:, -1])[0].numpy()

    return vector


def e5v(folder: Path) -> Reference:
    """transformers' LLaVA-NeXT in E5-V's template."""
    from tests.engine.e5v.conftest import plain_encoder

    plain = plain_encoder(folder)
    return lambda item, side: plain([item], views.DEFAULT, side)[0]
