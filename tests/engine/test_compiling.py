"""`torch.compile` of a network's layers."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch._inductor import config as inductor

from benchmarks.drawn import kinds
from oneword.engine import EngineConfig, encode, load, views
from oneword.engine.compiling import layers
from oneword.engine.errors import DeviceUnavailable
from tests.engine.dual.checkpoints import clip

pytestmark = [
    pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:torch"),
]


def test_same_vectors_of_compiled_layers_whatever_the_batch(tmp_path: Path) -> None:
    clip(tmp_path / "clip")
    inputs = kinds()
    plain, compiled = (load(EngineConfig(model=str(tmp_path / "clip"), compile=way)) for way in (False, True))
    graphs = torch._dynamo.utils.counters["stats"]
    before = graphs["unique_graphs"]
    right, found = (encode(one, inputs, views.DEFAULT) for one in (plain, compiled))
    assert np.abs(right - found).max() <= 1e-5
    made = graphs["unique_graphs"] - before
    assert made > 0
    alone = np.concatenate([encode(compiled, [one], views.DEFAULT) for one in inputs])
    assert np.abs(right - alone).max() <= 1e-5
    assert graphs["unique_graphs"] - before <= made + 2  # one row is a case of its own in each tower, and no other is


def test_layers_are_those_of_stacks_once_each() -> None:
    inner = torch.nn.ModuleList([torch.nn.Linear(1, 1)])
    block = torch.nn.Sequential(torch.nn.Linear(1, 1), inner)
    network = torch.nn.Sequential(
        torch.nn.ModuleList([block, block]), torch.nn.Linear(1, 1), torch.nn.Sequential(inner)
    )
    assert layers(network) == [block, block, *inner]


def test_no_compiler_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clip(tmp_path / "clip")
    monkeypatch.setattr(inductor.cpp, "cxx", (None, "no-such-compiler"))
    monkeypatch.setattr(inductor, "force_disable_caches", True)
    torch.compiler.reset()
    with pytest.raises(DeviceUnavailable, match=r"torch\.compile does not work on cpu .*drop --compile"):
        load(EngineConfig(model=str(tmp_path / "clip"), compile=True))


@pytest.mark.parametrize("model", ["basic", "hash", "http://localhost:9/v1"])
def test_models_that_cannot_be_compiled(model: str) -> None:
    with pytest.raises(DeviceUnavailable, match=r"drop .*--compile"):
        load(EngineConfig(model=model, compile=True))
