"""What is wrong with a dual encoder's folder is said; what is right with it is loaded, stored and searched."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from oneword.cli import run
from oneword.engine import EngineConfig, Image, Text, encode, load, views
from oneword.engine.dual.encoder import DualEncoder
from oneword.engine.dual.loading import load_dual
from oneword.engine.e5v import load_e5v
from oneword.engine.errors import DeviceUnavailable, EncodingError, ModelError, WrongCheckpoint

Maker = dict[str, Callable[[Path], Path]]


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(folder, tmp_path / "copy")


def edit(path: Path, **changes: Any) -> None:
    settings = json.loads(path.read_text())
    path.write_text(json.dumps(settings | changes))


def test_the_name_of_a_folder_is_enough(folder: Path, encoder: DualEncoder, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        found = load(EngineConfig(model=str(folder), device="cpu", batch_size=3))
    architecture = json.loads((folder / "config.json").read_text())["model_type"]
    assert f"model {folder}: by its files {architecture}, loaded by transformers, as two towers" in caplog.messages
    assert isinstance(found, DualEncoder)
    assert found.budget.rows == 3
    inputs = [Text(text="a dog"), Text(text="seven children")]
    assert np.abs(encode(found, inputs, views.DEFAULT) - encode(encoder, inputs, views.DEFAULT)).max() == 0
    assert found.space(views.DEFAULT).fingerprint == encoder.space(views.DEFAULT).fingerprint


def test_what_is_missing_is_named(copy: Path) -> None:
    for name, message in (
        ("model.safetensors", "weights are missing .* model.safetensors"),
        ("tokenizer.json", "no tokenizer .* expected tokenizer.json"),
        ("preprocessor_config.json", "no image processor"),
        ("config.json", "no config.json: expected a checkpoint"),
    ):
        aside = (copy / name).rename(copy / "aside")
        with pytest.raises(WrongCheckpoint, match=message):
            load(EngineConfig(model=str(copy), device="cpu"))
        aside.rename(copy / name)


def test_parts_of_two_checkpoints_are_refused(copy: Path, folder: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    config["text_config"]["vocab_size"] = 20
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(WrongCheckpoint, match=r"the tokenizer gives token .*, the text tower 20"):
        load_dual(str(copy), device="cpu")
    shutil.copy(folder / "config.json", copy / "config.json")
    settings = copy / "preprocessor_config.json"
    if "max_num_patches" in json.loads(settings.read_text()):
        edit(settings, patch_size=4)
    else:
        edit(settings, size={"height": 64, "width": 64}, do_center_crop=False)
    with pytest.raises(WrongCheckpoint, match=r"makes tiles of .* pixels: expected .* as in config.json"):
        load_dual(str(copy), device="cpu")


def test_settings_that_cannot_be_followed(make: Maker, tmp_path: Path) -> None:
    folder = make["siglip2"](tmp_path / "siglip2")
    edit(folder / "preprocessor_config.json", do_normalize=False)
    with pytest.raises(WrongCheckpoint, match="do_normalize is False: expected True"):
        load_dual(str(folder), device="cpu")


def test_weights_that_lack_some(copy: Path) -> None:
    weights = load_file(copy / "model.safetensors")
    name = next(name for name in weights if "text_model" in name)
    del weights[name]
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WrongCheckpoint, match=f"1 weights are missing .*{name}"):
        load_dual(str(copy), device="cpu")


def test_weights_that_are_not_numbers_fail_each_input(copy: Path, images: list[Image]) -> None:
    weights = load_file(copy / "model.safetensors")
    name = next(name for name in weights if "text_model" in name and weights[name].ndim == 2)
    weights[name] = weights[name] * float("nan")
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    found = load_dual(str(copy), device="cpu")
    with pytest.raises(EncodingError, match=r"input 1 \(Text\) got a vector of length nan"):
        encode(found, [images[0], Text(text="a dog")], views.DEFAULT)


def test_options_that_it_has_not(folder: Path) -> None:
    with pytest.raises(DeviceUnavailable, match="cannot be quantized"):
        load(EngineConfig(model=str(folder), quantize="nf4"))
    with pytest.raises(ModelError, match="has its own: expected standard"):
        load(EngineConfig(model=str(folder), preprocessing="as-published"))


def test_another_loader_refuses_it(folder: Path) -> None:
    with pytest.raises(WrongCheckpoint, match=r"expected 'llava_next' \(LLaVA-NeXT, as E5-V\)"):
        load_e5v(str(folder), device="cpu")


def test_indexed_and_searched(
    make: Maker, tmp_path: Path, images: list[Image], capfd: pytest.CaptureFixture[str]
) -> None:
    folder, pictures = make["clip"](tmp_path / "clip"), tmp_path / "pictures"
    pictures.mkdir()
    for number, image in enumerate(images[:4]):
        image.pixels.save(pictures / f"{number}.png")
    (pictures / "note.txt").write_text("a red bicycle")
    db = str(tmp_path / "db")

    def oneword(*arguments: str) -> str:
        capfd.readouterr()
        assert run([*arguments, "--db", db]) == 0, capfd.readouterr().err
        return capfd.readouterr().out

    oneword("index", str(pictures), "--model", str(folder), "--device", "cpu")
    found = json.loads(oneword("search", "--image", str(pictures / "2.png"), "--json", "-k", "1"))
    assert found["hits"][0]["uri"].endswith("2.png")
    assert found["hits"][0]["score"] == pytest.approx(1, abs=1e-5)
    found = json.loads(oneword("search", "a red bicycle", "--json", "-k", "1"))
    assert found["hits"][0]["uri"].endswith("note.txt")


def test_an_argument_that_there_is_not(folder: Path) -> None:
    with pytest.raises(TypeError, match=r"\['devise'\]: expected device, dtype"):
        load_dual(str(folder), devise="cpu")  # type: ignore[call-arg]
