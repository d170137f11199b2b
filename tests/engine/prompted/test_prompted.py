"""Prompts that a model was trained with, views, special tokens, and what is wrong with a folder."""

import json
import shutil
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from torch.nn.functional import normalize
from transformers import AutoModelForImageTextToText

from oneword.engine import (
    Composed,
    Document,
    EngineConfig,
    Image,
    Input,
    Interleaved,
    Side,
    Text,
    encode,
    load,
    models,
    views,
)
from oneword.engine.catalog import Description, describe
from oneword.engine.checkpoint import PROMPTED, find
from oneword.engine.dependencies import quiet
from oneword.engine.e5v import E5VEncoder
from oneword.engine.encoding import embed
from oneword.engine.errors import DeviceUnavailable, MissingDependency, ViewError, WrongCheckpoint
from oneword.engine.inputs import images_of, texts_of
from oneword.engine.pretrained import configuration
from oneword.engine.prompted.encoder import PromptedEncoder
from oneword.engine.prompted.loading import load_prompted, processor
from oneword.engine.prompted.prompts import prompted
from tests.engine.prompted.checkpoints import gemma3, internvl, qwen, smolvlm
from tests.tiny import make_checkpoint

CLOSE = 1e-5


def known(name: str) -> Description:
    found = describe(name)
    assert found is not None
    return found


def qwen3(text: str | None, image: bool, side: Side) -> str:
    """`Qwen3VLEmbedder.format_model_input` in the model's chat template."""
    asked = side is Side.QUERY
    task = "Retrieve images or text relevant to the user's query." if asked else "Represent the user's input."
    said = "<|vision_start|><|image_pad|><|vision_end|>" * image + (text or "")
    return f"<|im_start|>system\n{task}<|im_end|>\n<|im_start|>user\n{said}<|im_end|>\n<|im_start|>assistant\n"


def gme(text: str | None, image: bool, side: Side) -> str:
    """`GmeQwen2VL.embed`."""
    asked = side is Side.QUERY
    task = "Find an image that matches the given text." if asked else "You are a helpful assistant."
    return qwen3(text, image, Side.GALLERY).replace("Represent the user's input.", task) + "<|endoftext|>"


def bge(text: str | None, image: bool, side: Side) -> str:
    """`LLaVANextForEmbedding.prepare_text_input`."""
    task = "Find me an everyday image that matches the given caption:"
    if text and image:
        task = (
            "Retrieve the target image that best meets the combined criteria by using both the provided image and the "
            "image retrieval instructions: "
        )
    whole = f"[INST] \n <instruct> {task} <query> " if side is Side.QUERY else "[INST] "
    whole += f" {text} \n" if text else ""
    return whole + " <image>" * image + " [/INST]"


@pytest.mark.parametrize(
    ("name", "make", "written"),
    [
        ("qwen3-vl-2b", lambda folder: qwen(folder, "Qwen3VL"), qwen3),
        ("gme-2b", lambda folder: qwen(folder, "Qwen2VL"), gme),
        ("bge-vl-mllm", make_checkpoint, bge),
    ],
)
def test_known_models_have_their_own_prompts_and_pixels(
    name: str, make: Any, written: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make(tmp_path / "model")
    described = replace(known(name), name=str(folder))
    monkeypatch.setattr(models, "describe", lambda asked: described if asked == str(folder) else None)
    encoder = load(EngineConfig(model=str(folder), device="cpu"))
    assert isinstance(encoder, PromptedEncoder)
    checkpoint = find(str(folder), expected=PROMPTED)
    with quiet():
        library = processor(checkpoint, configuration(checkpoint), described.pixels)
        model = AutoModelForImageTextToText.from_pretrained(folder).eval()
    if described.pixels:
        assert (
            library.image_processor.size.shortest_edge,
            library.image_processor.size.longest_edge,
        ) == described.pixels
    noise = np.random.default_rng(5).integers(0, 256, (150, 90, 3), dtype=np.uint8)
    image = Image(pixels=PIL.Image.fromarray(noise))
    inputs: list[Input] = [
        Text(text="a dog"),
        image,
        Document(image=image, text="a dog"),
        Composed(image=image, edit="red"),
    ]
    for side in Side:
        found = encode(encoder, inputs, views.DEFAULT, side)
        for item, vector in zip(inputs, found, strict=True):
            if isinstance(item, Composed) and side is Side.GALLERY:
                continue
            seen, text = next(iter(images_of(item)), None), next(iter(texts_of(item)), None)
            if isinstance(item, Document) and side is Side.QUERY and name == "bge-vl-mllm":
                continue  # its instruction for pairs is that for edits
            pixels = [seen.pixels] if seen is not None else []
            pixels = [one.resize((512, 512)) for one in pixels] if described.square else pixels
            with torch.no_grad():
                given = library(
                    text=[written(text, seen is not None, side)], images=pixels or None, return_tensors="pt"
                )
                expected = normalize(model(**given, output_hidden_states=True).hidden_states[-1][:, -1])[0].numpy()
            assert np.abs(vector - expected).max() <= CLOSE, (type(item), side)
    with pytest.raises(ViewError, match="it has prompts of its own"):
        encode(encoder, [image], views.CIRR)


def test_views_are_followed_by_models_without_prompts_of_their_own(tmp_path: Path) -> None:
    encoder = load_prompted(str(internvl(tmp_path)), device="cpu")
    image = Image(pixels=PIL.Image.new("RGB", (50, 40), "red"))
    default, other = (encode(encoder, [image], view)[0] for view in (views.DEFAULT, views.CIRR))
    assert np.abs(default - other).max() > 1e-3
    assert encoder.space(views.CIRR).fingerprint != encoder.space(views.DEFAULT).fingerprint


def test_special_tokens_in_a_text_are_plain_characters(tmp_path: Path) -> None:
    encoder = load_prompted(str(qwen(tmp_path, "Qwen3VL")), device="cpu")
    image = Image(pixels=PIL.Image.new("RGB", (60, 60), "blue"))
    for special in ("<|image_pad|>", "<|im_end|>", "<sent>", "<image>"):
        texts: list[Input] = [Text(text=f"a dog {special}"), Document(image=image, text=f"{special} a dog")]
        vectors = encode(encoder, [*texts, Text(text="a dog")], views.DEFAULT)
        assert np.abs(vectors[0] - vectors[2]).max() > 1e-3, special


def test_an_image_that_the_processor_refuses_fails_alone(tmp_path: Path) -> None:
    encoder = load_prompted(str(qwen(tmp_path, "Qwen2_5_VL")), device="cpu")
    strip, square = (Image(pixels=PIL.Image.new("RGB", size, "red")) for size in ((4000, 9), (50, 50)))
    found, failed = embed({"strip": strip, "square": square, "text": Text(text="a dog")}, encoder, views.DEFAULT)
    assert set(found) == {"square", "text"}
    assert "is refused by the model's processor (ValueError: absolute aspect ratio" in str(failed["strip"])


def test_images_between_words_have_the_prompt_of_documents(tmp_path: Path) -> None:
    encoder = load_prompted(str(internvl(tmp_path)), device="cpu")
    red, blue = (Image(pixels=PIL.Image.new("RGB", (50, 40), color)) for color in ("red", "blue"))
    pair, document = Interleaved(pieces=[red, "a dog"]), Document(image=red, text="a dog")
    vectors = encode(encoder, [pair, document, Interleaved(pieces=[red, "a dog", blue])], views.DEFAULT)
    assert np.abs(vectors[0] - vectors[1]).max() <= CLOSE
    assert np.abs(vectors[0] - vectors[2]).max() > 1e-3
    several = Interleaved(pieces=["as in", red, blue, "here"])
    for name, query, gallery in (
        ("qwen3-vl-2b", ("<|im_start|>user\n", "<|im_end|>"), ("<|im_start|>user\n", "<|im_end|>")),
        ("bge-vl-mllm", ("image retrieval instructions:  <query>  ", " [/INST]"), ("[INST]  ", " [/INST]")),
    ):
        view, image = known(name).view, known(name).prompts["image"]
        assert view is not None
        between = " \n " if name.startswith("bge") else ""
        content = between.join(["<sent>", image, image, "<sent>"])
        for side, (before, after) in ((Side.QUERY, query), (Side.GALLERY, gallery)):
            prompt, texts, images = prompted(several, view, side)
            assert f"{before}{content}{after}" in prompt
            assert (texts, images) == (("as in", "here"), (red, blue))


def test_what_exceeds_the_context_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = load_prompted(str(gemma3(tmp_path)), device="cpu")
    assert encoder._context == 4096
    monkeypatch.setattr(encoder, "_context", 60)
    image = Image(pixels=PIL.Image.new("RGB", (50, 40), "red"))
    several = Interleaved(pieces=[image, "a dog sleeps on the sofa"] * 5)
    found, failed = embed({"several": several, "image": image, "text": Text(text="a dog")}, encoder, views.DEFAULT)
    assert set(found) == {"image", "text"}
    assert "and the model reads 60: expected fewer or smaller images" in str(failed["several"])


def test_no_output_layer_is_loaded(tmp_path: Path) -> None:
    encoder = load_prompted(str(gemma3(tmp_path)), device="cpu")
    assert not [name for name, _ in encoder.network.named_parameters() if "lm_head" in name]


def test_folders_that_cannot_be_asked(tmp_path: Path) -> None:
    folder = qwen(tmp_path / "whole", "Qwen2_5_VL")
    for name, text, message in (
        ("chat_template.jinja", None, "has no chat template"),
        ("chat_template.jinja", "{{ raise_exception('no') }}", r"cannot be used \(TemplateError: no\)"),
        (
            "chat_template.jinja",
            "{{ messages[0].content[0].text }}",
            r"cannot be used \(<sent> 0 times, <\|image_pad\|> 0 times\)",
        ),
        ("preprocessor_config.json", None, "no image processor in .* expected preprocessor_config.json"),
        ("preprocessor_config.json", "[1]", "image processor cannot be loaded"),
    ):
        copy = shutil.copytree(folder, tmp_path / "copy", dirs_exist_ok=True)
        (copy / name).unlink()
        if text is not None:
            (copy / name).write_text(text)
        with pytest.raises(WrongCheckpoint, match=message):
            load(EngineConfig(model=str(copy), device="cpu"))
        shutil.rmtree(copy)
    with pytest.raises(DeviceUnavailable, match="cannot be quantized"):
        load(EngineConfig(model=str(folder), quantize="nf4"))


def test_a_package_that_a_processor_needs_is_named(tmp_path: Path) -> None:
    if find_spec("num2words") is not None:
        pytest.skip("num2words is installed")
    with pytest.raises(MissingDependency, match="num2words"):
        load(EngineConfig(model=str(smolvlm(tmp_path, "SmolVLM")), device="cpu"))


def test_llava_next_stays_e5vs_unless_its_description_says_otherwise(tmp_path: Path) -> None:
    encoder = load(EngineConfig(model=str(make_checkpoint(tmp_path)), device="cpu"))
    assert isinstance(encoder, E5VEncoder)


def test_the_space_tells_what_changes_a_vector(tmp_path: Path) -> None:
    folder = smolvlm(tmp_path)
    before = load_prompted(str(folder), device="cpu").space(views.DEFAULT)
    assert before.preprocessing["prompts"]["query"]["text"].count("<sent>") == 1
    template = folder / "chat_template.jinja"
    template.write_text(template.read_text().replace("Assistant:", "Answer:"))
    assert load_prompted(str(folder), device="cpu").space(views.DEFAULT).fingerprint != before.fingerprint
    json.dumps(before.as_dict())
