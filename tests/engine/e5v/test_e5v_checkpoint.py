"""What is wrong with a checkpoint is said; what is right with it has a name that moves with the files."""

import json
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import oneword.engine.e5v
from oneword.engine import Text, encode, views
from oneword.engine import checkpoint as checkpoints
from oneword.engine.e5v import load_e5v
from oneword.engine.encoder import Encoder
from oneword.engine.errors import DeviceUnavailable, MissingDependency, ModelNotFound, WrongCheckpoint
from oneword.engine.prompted.tokens import LLAMA_3
from tests.tiny import make_checkpoint


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copy")


def edit(path, **changes):
    settings = json.loads(path.read_text())
    path.write_text(json.dumps(settings | changes))


def edit_weights(folder, change):
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def key(weights, end):
    (name,) = (name for name in weights if name.endswith(end))
    return name


def test_no_such_folder(tmp_path):
    with pytest.raises(ModelNotFound, match="no folder"):
        load_e5v(str(tmp_path / "none"))
    with pytest.raises(ModelNotFound, match=r"no folder '\./none'"):
        load_e5v("./none")
    with pytest.raises(ModelNotFound, match="is a folder, which has no revision 'v1'"):
        load_e5v(str(tmp_path), revision="v1")


def test_a_hub_model_that_is_not_cached(monkeypatch):
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    def unreachable(*_, **__):
        raise LocalEntryNotFoundError("no connection\nand more")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    with pytest.raises(ModelNotFound, match=r"cannot be reached.*oneword models pull royokong/e5-v --revision v1$"):
        load_e5v("royokong/e5-v", revision="v1")


def test_a_cached_hub_model_needs_no_network_and_is_named_by_its_commit(folder, tmp_path, monkeypatch):
    import huggingface_hub

    commit = "0123456789abcdef0123456789abcdef01234567"
    snapshot = shutil.copytree(folder, tmp_path / "snapshots" / commit)

    def cached(model, *, local_files_only=False, **_):
        assert local_files_only
        return str(snapshot)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", cached)
    space = load_e5v("someone/model", device="cpu").space(views.DEFAULT)
    assert (space.model, space.revision) == ("someone/model", commit)


def test_an_incomplete_cached_model_is_completed_or_said(copy, monkeypatch):
    import huggingface_hub

    (copy / "model.safetensors").unlink()

    def cached(model, *, local_files_only=False, **_):
        if local_files_only:
            return str(copy)
        raise OSError("no network")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", cached)
    with pytest.raises(WrongCheckpoint, match="weights are missing"):
        load_e5v("someone/model")


def test_another_architecture(copy):
    edit(copy / "config.json", model_type="llava")
    with pytest.raises(WrongCheckpoint, match="is a 'llava' checkpoint: expected 'llava_next'"):
        load_e5v(str(copy))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("config.json", "no config.json"),
        ("tokenizer.json", "no tokenizer"),
        ("preprocessor_config.json", "no image processor"),
        ("model.safetensors", "weights are missing.*model.safetensors"),
    ],
)
def test_a_missing_file(copy, name, message):
    (copy / name).unlink()
    with pytest.raises(WrongCheckpoint, match=message):
        load_e5v(str(copy))


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "preprocessor_config.json"])
@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_file_that_is_no_json_object(copy, name, content):
    (copy / name).write_text(content)
    with pytest.raises(WrongCheckpoint):
        load_e5v(str(copy))


@pytest.mark.parametrize("kept", [0, 5, 100, -1, -1000])
def test_truncated_weights(copy, kept):
    path = copy / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(WrongCheckpoint, match=r"model\.safetensors: (ends within|has .* promises)"):
        load_e5v(str(copy))


def test_weights_that_are_no_safetensors(copy):
    (copy / "model.safetensors").write_bytes((20).to_bytes(8, "little") + b"x" * 200)
    with pytest.raises(WrongCheckpoint, match="not a safetensors file"):
        load_e5v(str(copy))


def test_missing_shards(copy):
    (copy / "model.safetensors").rename(copy / "model-00001-of-00002.safetensors")
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (copy / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    with pytest.raises(WrongCheckpoint, match=r"expected model-00002-of-00002\.safetensors"):
        load_e5v(str(copy))


def test_missing_keys(copy):
    def remove(weights):
        for name in [name for name in weights if "q_proj" in name]:
            del weights[name]

    edit_weights(copy, remove)
    with pytest.raises(WrongCheckpoint, match=r"8 weights are missing.*q_proj.* and 4 more"):
        load_e5v(str(copy))


def test_a_missing_head_is_fine_only_if_it_is_tied(copy):
    def remove(weights):
        del weights[key(weights, "lm_head.weight")]

    edit_weights(copy, remove)
    with pytest.raises(WrongCheckpoint, match="lm_head"):
        load_e5v(str(copy))
    edit(copy / "config.json", tie_word_embeddings=True)
    load_e5v(str(copy), device="cpu")


def test_weights_of_another_shape(copy):
    edit(
        copy / "config.json",
        text_config=json.loads((copy / "config.json").read_text())["text_config"] | {"intermediate_size": 100},
    )
    with pytest.raises(WrongCheckpoint, match=r"another shape|cannot be loaded"):
        load_e5v(str(copy))


def test_an_image_token_that_the_tokenizer_does_not_have(copy):
    path = copy / "tokenizer.json"
    settings = json.loads(path.read_text())
    settings["added_tokens"] = [token for token in settings["added_tokens"] if token["content"] != "<image>"]
    path.write_text(json.dumps(settings))
    config = json.loads((copy / "tokenizer_config.json").read_text())
    config.pop("image_token", None)
    (copy / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(WrongCheckpoint, match="no <image> token"):
        load_e5v(str(copy))


def test_an_image_token_of_another_id(copy):
    edit(copy / "config.json", image_token_index=7)
    with pytest.raises(WrongCheckpoint, match=r"<image> is token .* and 7 in"):
        load_e5v(str(copy))


def test_an_image_token_past_the_embedding_table(tmp_path, pictures, make_plain):
    whole, short = make_checkpoint(tmp_path / "whole"), tmp_path / "short"
    shutil.copytree(whole, short)

    def cut(weights):
        for name in (key(weights, "embed_tokens.weight"), key(weights, "lm_head.weight")):
            weights[name] = weights[name][:-1].clone()

    edit_weights(short, cut)
    text = json.loads((short / "config.json").read_text())["text_config"]
    edit(short / "config.json", text_config=text | {"vocab_size": text["vocab_size"] - 1})
    encoder = load_e5v(str(short), device="cpu")
    assert encoder.network.get_input_embeddings().weight.shape[0] == text["vocab_size"]
    vectors = encode(encoder, pictures, views.DEFAULT)
    assert np.abs(vectors - make_plain(whole)(pictures, views.DEFAULT)).max() <= 1e-5


def test_templates(copy, encoder):
    assert encoder.tokens.template == LLAMA_3
    (copy / "oneword.json").write_text(json.dumps({"template": "Q: {} A:"}))
    other = load_e5v(str(copy), device="cpu")
    assert other.tokens.template == "Q: {} A:"
    assert other.space(views.DEFAULT).fingerprint != encoder.space(views.DEFAULT).fingerprint
    for wrong in ("no place", "{} and {}", 3):
        (copy / "oneword.json").write_text(json.dumps({"template": wrong}))
        with pytest.raises(WrongCheckpoint, match=r"oneword\.json: \"template\" is"):
            load_e5v(str(copy), device="cpu")


def test_the_digest_moves_with_the_files_and_changes_with_them(folder, copy, tmp_path):
    def revision(path):
        return checkpoints.check("x", path, None).revision()

    before = revision(folder)
    moved = copy.rename(tmp_path / "elsewhere")
    assert revision(moved) == before
    (moved / "README.md").write_text("words")
    assert revision(moved) == before
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "preprocessor_config.json"):
        content = (moved / name).read_bytes()
        (moved / name).write_bytes(content + b" ")
        assert revision(moved) != before
        (moved / name).write_bytes(content)
    assert revision(moved) == before
    weights = bytearray((moved / "model.safetensors").read_bytes())
    weights[-100] ^= 1
    (moved / "model.safetensors").write_bytes(weights)
    assert revision(moved) != before


def test_the_digest_of_a_large_file_is_fast(tmp_path):
    path = tmp_path / "model.safetensors"
    size = 8 * 2**30
    header = json.dumps({"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    with path.open("wb") as file:  # sparse: takes no room
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + size)
    start = time.perf_counter()
    checkpoints._check_length(path)
    checkpoints.digest(tmp_path, (path,))
    assert time.perf_counter() - start < 5


def test_the_space(encoder, folder):
    space = encoder.space(views.DEFAULT)
    assert space.dimension == encoder.dimension == 64
    assert json.loads(json.dumps(space.as_dict())) == space.as_dict()
    assert space.fingerprint == load_e5v(str(folder), device="cpu", dtype="bf16").space(views.DEFAULT).fingerprint
    assert space.fingerprint != encoder.space(views.CIRR).fingerprint
    shorter = load_e5v(str(folder), device="cpu", max_text_tokens=32)
    assert space.fingerprint != shorter.space(views.DEFAULT).fingerprint


def test_it_is_an_encoder(encoder):
    typed: Encoder = encoder
    assert encode(typed, [], views.DEFAULT).shape == (0, 64)
    assert encode(typed, [Text(text="a dog")], views.DEFAULT).dtype == np.float32


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        ("preprocessor_config.json", {"image_grid_pinpoints": [[56, 112]]}, r"image_grid_pinpoints is \[\[56, 112\]\]"),
        (
            "preprocessor_config.json",
            {"crop_size": {"height": 28, "width": 56}},
            r"crop_size is \[28, 56\].*\[56, 56\]",
        ),
        ("preprocessor_config.json", {"size": {"shortest_edge": 28}}, r"size is \[28, 28\].*expected \[56, 56\]"),
        ("config.json", {"image_grid_pinpoints": [[56, 112], [112, 56]]}, "image_grid_pinpoints is"),
    ],
)
def test_a_processor_that_does_not_fit_is_refused_before_the_weights_are_read(copy, file, changes, message):
    edit(copy / file, **changes)
    (copy / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    with pytest.raises(WrongCheckpoint, match=message):
        load_e5v(str(copy), device="cpu")


def test_a_patch_size_that_does_not_fit(copy):
    (copy / "processor_config.json").write_text(json.dumps({"patch_size": 16}))
    with pytest.raises(WrongCheckpoint, match=r"patch_size is 16 .*: expected 14, as in"):
        load_e5v(str(copy), device="cpu")


def test_grids_that_are_no_multiples_of_a_tile(copy):
    for file in ("config.json", "preprocessor_config.json"):
        edit(copy / file, image_grid_pinpoints=[[56, 112], [100, 56]])
    with pytest.raises(WrongCheckpoint, match=r"holds \[100, 56\]: expected multiples of a tile's side, 56"):
        load_e5v(str(copy), device="cpu")


@pytest.mark.parametrize("asked", ["tpu", "cuda:99", "", "meta"])
def test_a_device_that_is_not_here(folder, asked):
    with pytest.raises(DeviceUnavailable, match=f"device '{asked}'"):
        load_e5v(str(folder), device=asked)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_cuda_where_there_is_none(folder):
    with pytest.raises(DeviceUnavailable, match="sees 0 CUDA devices"):
        load_e5v(str(folder), device="cuda")
    with pytest.raises(DeviceUnavailable, match="'int8' needs a CUDA device"):
        load_e5v(str(folder), quantize="int8")
    assert load_e5v(str(folder)).device.type == "cpu"


def test_an_unknown_dtype_or_quantization(folder):
    with pytest.raises(DeviceUnavailable, match="dtype 'fp8': expected auto, bf16, fp16, fp32"):
        load_e5v(str(folder), dtype="fp8")
    with pytest.raises(DeviceUnavailable, match="quantize 'int3': expected int8 or nf4"):
        load_e5v(str(folder), quantize="int3")


def test_transformers_not_installed(monkeypatch):
    from oneword.engine import dependencies

    monkeypatch.setattr(dependencies, "find_spec", lambda name: None if name == "transformers" else name)
    with pytest.raises(MissingDependency, match=r'needs transformers, .*pip install "oneword\[e5v\]"'):
        oneword.engine.e5v.load_e5v  # noqa: B018
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        oneword.engine.e5v.nothing  # noqa: B018


def test_importing_is_light_and_loading_is_quiet(folder):
    program = f"""
import sys
import oneword.engine.e5v, oneword.engine.checkpoint
assert "torch" not in sys.modules and "transformers" not in sys.modules
from oneword.engine import Text, encode, views
encoder = oneword.engine.e5v.load_e5v({str(folder)!r}, device="cpu")
encode(encoder, [Text(text="a dog")], views.DEFAULT)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
