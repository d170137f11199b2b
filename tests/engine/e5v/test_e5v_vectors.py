"""The same vector as plain transformers gives, whatever else is in the batch."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from oneword.engine import Composed, Document, Side, Text, encode, views
from oneword.engine.batches import Budget
from oneword.engine.e5v import load_e5v
from oneword.engine.errors import DeviceOutOfMemory
from tests.tiny import make_checkpoint

SAME = 1e-5  # largest absolute difference between two unit vectors in fp32; seen: 3e-7


@pytest.fixture(scope="module")
def mixed(pictures):
    """Every kind of input, texts short and long, pictures of all tile counts."""
    return [
        Text(text="a dog"),
        *pictures,
        Text(text="In this picture, the night train turns away from the harbour at dawn! " * 6),
        Document(image=pictures[0], text="two small cats"),
        Document(image=pictures[3], text="an empty chair was left under the kitchen table"),
        Composed(image=pictures[2], edit="make it red"),
        Composed(image=pictures[1], edit="at night, with seven children"),
        Text(text="Ünïcödé 世界 🐈‍⬛ and  two spaces "),
    ]


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("view", views.BUILT_IN.values(), ids=lambda view: view.name)
def test_equals_plain_transformers(encoder, plain, mixed, view, side):
    expected = plain(mixed, view, side)
    assert np.abs(encode(encoder, mixed, view, side) - expected).max() <= SAME
    # The comparison means something only if different inputs end up apart.
    likeness = expected @ expected.T - 2 * np.eye(len(mixed))
    assert likeness.max() < 0.9995


@pytest.mark.parametrize("kind", ["text", "image", "document", "composed"])
def test_equals_plain_transformers_one_at_a_time(encoder, plain, mixed, kind):
    chosen = [item for item in mixed if type(item).__name__.lower() == kind]
    assert chosen
    for item in chosen:
        expected = plain([item], views.DEFAULT, Side.GALLERY)
        assert np.abs(encode(encoder, [item], views.DEFAULT) - expected).max() <= SAME


def test_depends_on_nothing_else_in_the_batch(encoder, mixed, monkeypatch):
    alone = np.concatenate([encode(encoder, [item], views.DEFAULT) for item in mixed])
    assert np.abs(encode(encoder, mixed, views.DEFAULT) - alone).max() <= SAME
    for tokens in (1, 150, 400, 100_000):
        monkeypatch.setattr(encoder, "budget", Budget(tokens=tokens))
        order = random.Random(tokens).sample(range(len(mixed)), len(mixed))
        shuffled = encode(encoder, [mixed[i] for i in order], views.DEFAULT)
        assert np.abs(shuffled - alone[order]).max() <= SAME
    twice = encode(encoder, [mixed[0], mixed[1], mixed[0]], views.DEFAULT)
    assert np.abs(twice - alone[[0, 1, 0]]).max() <= SAME


def test_one_batch_holds_texts_and_pictures_of_different_tile_counts(encoder, mixed, plain):
    batch = encoder.prepare(mixed, views.DEFAULT, Side.GALLERY)
    assert batch.ids.shape[0] == len(mixed)
    assert batch.tiles.dtype == torch.uint8
    counts = [encoder.image_processor.tiles.count((int(w), int(h))) for h, w in batch.sizes]
    assert set(counts) == {3, 4, 5}
    assert len(batch.tiles) == sum(counts)  # no tile of zeros is computed
    raw = encoder.finish(encoder.forward(batch))
    unit = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    assert np.abs(unit - plain(mixed, views.DEFAULT)).max() <= SAME


def test_the_sides_differ_only_where_the_prompts_do(encoder, pictures):
    view = replace(views.DEFAULT, name="sided", query=replace(views.DEFAULT.query, image="<image>\nName its colour: "))
    query, gallery = (encode(encoder, [pictures[0], Text(text="a dog")], view, side) for side in Side)
    assert np.abs(query[0] - gallery[0]).max() > 0.01
    assert np.abs(query[1] - gallery[1]).max() <= SAME


def test_no_logits_no_mask_and_no_unused_vision_layer(encoder, folder, monkeypatch):
    def forbidden(*_, **__):
        raise AssertionError("logits were computed")

    monkeypatch.setattr(encoder.network.lm_head, "forward", forbidden)
    assert len(encoder.network.model.vision_tower.encoder.layers) == 2  # of 3: feature layer -2
    assert encoder.network.lm_head.weight.shape[0] > 0  # it stays: words can be read through it
    encode(encoder, [Text(text="a dog")], views.DEFAULT)


@pytest.mark.parametrize("layer", [-1, -3, 1, 3, [-2, -1]])
def test_other_vision_layers_are_exact_too(tmp_path, pictures, make_plain, layer):
    make_checkpoint(tmp_path, vision_feature_layer=layer)
    vectors = encode(load_e5v(str(tmp_path), device="cpu"), pictures, views.DEFAULT)
    assert np.abs(vectors - make_plain(tmp_path)(pictures, views.DEFAULT)).max() <= SAME


def test_bf16_is_close_to_fp32(encoder, folder, mixed):
    half = load_e5v(str(folder), device="cpu", dtype="bf16")
    assert half.dtype == torch.bfloat16
    cosine = (encode(half, mixed, views.DEFAULT) * encode(encoder, mixed, views.DEFAULT)).sum(axis=1)
    assert cosine.min() > 0.99


def test_memory_that_does_not_suffice_halves_batches(encoder, mixed, monkeypatch):
    expected = encode(encoder, mixed, views.DEFAULT)
    whole, sizes = encoder._forward, []

    def small(batch):
        sizes.append(len(batch.ids))
        if len(batch.ids) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1.00 GiB")
        return whole(batch)

    monkeypatch.setattr(encoder, "budget", Budget(tokens=100_000))
    monkeypatch.setattr(encoder, "_forward", small)
    assert np.abs(encode(encoder, mixed, views.DEFAULT) - expected).max() <= SAME
    assert sizes[0] == len(mixed)
    assert sorted(sizes)[-2] < len(mixed)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory.\nmore"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_one_input_that_does_not_fit_is_said(encoder, monkeypatch, error):
    def full(batch):
        raise error

    monkeypatch.setattr(encoder, "_forward", full)
    with pytest.raises(
        DeviceOutOfMemory, match=r"1 inputs of \d+ tokens .*: load the weights smaller \(--quantize nf4\)"
    ):
        encode(encoder, [Text(text="a dog")], views.DEFAULT)


def test_other_runtime_errors_pass(encoder, monkeypatch):
    def broken(batch):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(encoder, "_forward", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        encode(encoder, [Text(text="a dog")], views.DEFAULT)


@pytest.mark.gpu
def test_cuda_agrees_with_the_cpu(encoder, folder, mixed):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    expected = encode(encoder, mixed, views.DEFAULT)
    full = encode(load_e5v(str(folder), device="cuda", dtype="fp32"), mixed, views.DEFAULT)
    assert np.abs(full - expected).max() <= 1e-3
    half = encode(load_e5v(str(folder), device="cuda"), mixed, views.DEFAULT)
    assert (half * expected).sum(axis=1).min() > 0.99
