"""benchmarks/gpu.py at a small size on the CPU: that it runs, and that its arithmetic is right."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from transformers import CLIPVisionConfig, LlamaConfig, LlavaNextConfig

from tests import forkserver

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "gpu.py"
DRAWN = SCRIPT.with_name("drawn.py")


@pytest.fixture(scope="module")
def drawn() -> ModuleType:
    spec = importlib.util.spec_from_file_location("drawn", DRAWN)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_section_runs_or_says_why_not(tmp_path: Path) -> None:
    command = [SCRIPT, "--small", "--out", tmp_path / "gpu.json"]
    done = forkserver.run(command, also=forkserver.MODELS, cwd=tmp_path, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads((tmp_path / "gpu.json").read_text())
    assert json.loads(done.stdout.splitlines()[-1]) == found
    assert found["failed"] == []
    assert found["parity"]["met"]
    assert found["parity"]["full"]["unlike_cosine"] < 0.9, "else equal vectors would say nothing"
    assert {name for name in found if isinstance(found[name], dict) and "skipped" in found[name]} <= {
        "quantized",
        "faiss",
    }
    assert len(found["training"]["loss"]) == 2
    assert (tmp_path / "gpu.profile.txt").stat().st_size > 1000


def test_what_is_done_is_kept_when_time_is_up(tmp_path: Path) -> None:
    command = [SCRIPT, "--small", "--limit", 3, "--out", tmp_path / "gpu.json"]
    forkserver.run(command, also=forkserver.MODELS, cwd=tmp_path, timeout=120)
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert "torch" in found["machine"]
    assert found["faiss"]["skipped"] == "no time is left"


def test_operations_of_an_image_at_full_size(drawn: ModuleType) -> None:
    """640x480 is 5 tiles and 2,340 tokens: 13.96 GFLOP a token and 0.62 of attention, 1.83 TFLOP in the tower's 23
    layers, 0.12 in the projector: worked out by hand, 36.5 TFLOP."""
    config = LlavaNextConfig(
        text_config=LlamaConfig(
            hidden_size=4096,
            intermediate_size=14336,
            num_hidden_layers=32,
            num_attention_heads=32,
            num_key_value_heads=8,
        ),
        vision_config=CLIPVisionConfig(
            hidden_size=1024,
            intermediate_size=4096,
            num_hidden_layers=23,
            num_attention_heads=16,
            image_size=336,
            patch_size=14,
        ),
    )
    assert drawn.work(config, 2370, 5) == pytest.approx(36.5e12, rel=0.02)
    assert drawn.work(config, 50, 0) == pytest.approx(0.70e12, rel=0.02)
