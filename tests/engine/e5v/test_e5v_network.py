"""A network is complete, on its device, quantized where it should be, and what prevents that is called by its name."""

import pytest
import torch
from transformers import AutoConfig, LlavaNextForConditionalGeneration

from oneword.engine import devices
from oneword.engine.checkpoint import check
from oneword.engine.devices import KEPT, pick_attention
from oneword.engine.e5v import load_e5v
from oneword.engine.e5v.network import check_quantized, load_network, quantized_layers
from oneword.engine.errors import DeviceOutOfMemory, DeviceUnavailable, MissingDependency, ModelError, WrongCheckpoint

CUDA = torch.device("cuda", 0)
DECODER = 14  # linear layers: seven in each of two
ALL = 3 * 6 + 2 + DECODER + 1  # with three vision layers, the projector and the head


def meta(folder):
    with torch.device("meta"):
        return LlavaNextForConditionalGeneration(AutoConfig.from_pretrained(folder))


def test_names_that_are_kept_leave_the_decoder_alone(folder):
    from transformers.quantizers.quantizers_utils import should_convert_module

    linear = [name for name, module in meta(folder).named_modules() if isinstance(module, torch.nn.Linear)]
    assert len(linear) == ALL
    chosen = [name for name in linear if should_convert_module(name, list(KEPT))]
    assert len(chosen) == DECODER
    assert all(name.startswith("model.language_model.") for name in chosen)
    network = meta(folder)
    assert all(network.get_submodule(name) for name in KEPT)  # none of them fits nothing


def test_what_was_quantized_is_compared(folder):
    network = meta(folder)
    with pytest.raises(ModelError, match=rf"{DECODER}, such as .*the decoder's {DECODER} linear layers"):
        check_quantized(network)
    for name, module in network.named_modules():
        if isinstance(module, torch.nn.Linear) and name.startswith("model.language_model."):
            module.__class__ = type("Linear4bit", (torch.nn.Linear,), {"__module__": "bitsandbytes.nn.modules"})
    check_quantized(network)
    network.model.multi_modal_projector.linear_1.__class__ = type(network.model.language_model.layers[0].mlp.up_proj)
    with pytest.raises(ModelError, match=r"1, such as model\.multi_modal_projector\.linear_1"):
        check_quantized(network)


@pytest.mark.parametrize("kind", ["nf4", "int8"])
def test_bitsandbytes_takes_the_decoder_and_nothing_else(folder, kind):
    pytest.importorskip("bitsandbytes")
    bits = devices.bits(kind, torch.float32)
    network = load_network(check("x", folder, None), torch.device("cpu"), torch.float32, bits)
    assert len(quantized_layers(network)) == DECODER
    bits.llm_int8_skip_modules = ["lm_head", "vision_tower", "multi_modal_projector"]
    with pytest.raises(ModelError, match="quantizing chose the wrong layers"):
        load_network(check("x", folder, None), torch.device("cpu"), torch.float32, bits)


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (torch.OutOfMemoryError("CUDA out of memory.\nmore"), DeviceOutOfMemory, r"do not fit cpu .*--quantize nf4"),
        (torch.AcceleratorError("CUDA error: out of memory"), DeviceOutOfMemory, "do not fit cpu"),
        (torch.AcceleratorError("CUDA error: no kernel image"), DeviceUnavailable, "a GPU that torch .* was built for"),
        (MemoryError(), DeviceOutOfMemory, "this machine's memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate"), DeviceOutOfMemory, "this machine's memory"),
        (ImportError("Using bitsandbytes needs: pip install"), MissingDependency, "missing or broken: Using bits"),
        (ValueError("what is this"), WrongCheckpoint, "cannot be loaded: what is this"),
    ],
    ids=str,
)
def test_failures_by_their_names(folder, monkeypatch, error, kind, message):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(LlavaNextForConditionalGeneration, "from_pretrained", fail)
    with pytest.raises(kind, match=message):
        load_e5v(str(folder), device="cpu")


def test_memory_that_really_runs_out(folder, monkeypatch):
    def grown(*_, **__):
        config = AutoConfig.from_pretrained(folder)
        config.text_config.intermediate_size = 2**40  # layers of 256 TiB
        return LlavaNextForConditionalGeneration(config)

    monkeypatch.setattr(LlavaNextForConditionalGeneration, "from_pretrained", grown)
    with pytest.raises(DeviceOutOfMemory, match="this machine's memory"):
        load_e5v(str(folder), device="cpu")


@pytest.mark.parametrize(
    ("capability", "dtype", "installed", "expected"),
    [
        ((9, 0), torch.bfloat16, True, "flash_attention_2"),
        ((8, 0), torch.float16, True, "flash_attention_2"),
        ((7, 5), torch.float16, True, "sdpa"),
        ((9, 0), torch.float32, True, "sdpa"),
        ((9, 0), torch.bfloat16, False, "sdpa"),
    ],
)
def test_flash_attention_only_where_it_runs(monkeypatch, capability, dtype, installed, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(devices, "find_spec", lambda name: installed or None)
    assert pick_attention(CUDA, dtype) == expected
    assert pick_attention(torch.device("cpu"), dtype) == "sdpa"
