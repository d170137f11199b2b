"""Which of the known models can be used on this machine, and which one `auto` is."""

import os
from dataclasses import dataclass
from importlib.util import find_spec

from oneword.engine.catalog import MINIATURE, Description, describe, descriptions
from oneword.engine.config import CODE, runs_code
from oneword.engine.errors import ModelNotFound

VARIABLE = "ONEWORD_MODEL"
"""Environment variable that names the model `auto` is."""

ON_CPU = 2e9
"""Bytes of weights up to which a model is chosen for a CPU: those that embed a few images a second there."""

ROOM = 1.2
"""GPU memory needed for each byte of weights, for the weights and a batch; our own choice."""


@dataclass(frozen=True, kw_only=True)
class Availability:
    """A known model on this machine.

    Args:
        model: its description.
        missing: what keeps it from being used, each with its remedy; empty if it can be used now.
    """

    model: Description
    missing: tuple[str, ...]


def availability() -> list[Availability]:
    """Returns each known model with what is missing to use it here. Loads none of them."""
    return [Availability(model=model, missing=missing(model)) for model in descriptions()]


def missing(model: Description) -> tuple[str, ...]:
    """Returns what keeps a model from being used here, each with its remedy; empty if it can be used now."""
    lacking = list(model.missing_packages())
    if model.name == "mini" and not MINIATURE.is_dir():
        lacking.append("part of the repository: run it in a checkout")
    if model.code and not runs_code(model.name):
        lacking.append(f"comes with code of its own, which you must allow ({CODE}={model.name})")
    if model.extra and is_installed("torch"):
        lacking += _missing_room(model)
    if not model.shipped and not is_cached(model.name):
        short = model.aliases[0] if model.aliases else model.name
        lacking.append(f"weights not downloaded (oneword models pull {short}, {model.size / 1e9:.1f} GB)")
    return tuple(lacking)


def choose() -> tuple[str, str]:
    """Returns what `auto` is here, and why.

    In this order: what the environment names; the first known model whose weights are in the local cache and that runs
    well here; the shipped `basic`.

    Raises:
        ModelNotFound: not even `basic` can be used.
    """
    if (named := os.environ.get(VARIABLE, "").strip()) and named != "auto":
        return named, f"{VARIABLE} names it"
    for model in descriptions():
        if model.sees and not model.shipped and is_cached(model.name) and not missing(model):
            return model.name, "its weights are here, and it is the best of those that run well on this machine"
    basic = describe("basic")
    assert basic is not None
    if lacking := missing(basic):
        raise ModelNotFound(f"no model can be used here. basic: {'; '.join(lacking)}")
    best = next(model for model in descriptions() if model.loader == "dual")
    hint = f"oneword models pull {best.aliases[0]} ({best.size / 1e9:.1f} GB, {best.license})"
    return basic.name, f"no better model has been downloaded; {hint} finds much more"


def is_installed(package: str) -> bool:
    """Returns whether a package can be imported, without importing it."""
    return find_spec(package) is not None


def is_cached(name: str) -> bool:
    """Returns whether a hub's model is in the local cache, weights and all."""
    if not is_installed("huggingface_hub"):
        return False
    from huggingface_hub import try_to_load_from_cache

    def there(file: str) -> bool:
        return isinstance(try_to_load_from_cache(name, file), str)

    described = ("config.json", "open_clip_config.json")
    weights = ("model.safetensors", "model.safetensors.index.json", "open_clip_model.safetensors")
    return any(map(there, described)) and any(map(there, weights))


def _missing_room(model: Description) -> list[str]:
    """A large model needs a GPU, and room on it."""
    if model.size <= ON_CPU:
        return []
    import torch

    short = model.aliases[0]
    if not torch.cuda.is_available():
        memory = f"{4 * model.parameters / 1e9:.0f} GB of memory in fp32"
        return [f"no CUDA GPU (on the CPU it works, slowly: --model {short} --device cpu, {memory})"]
    free, _ = torch.cuda.mem_get_info()
    if free < (needed := ROOM * model.memory):
        remedy = " (--quantize nf4)" if model.loader == "llava-next" else ""
        return [f"{free / 2**30:.0f} GiB of GPU memory free, {needed / 2**30:.0f} needed{remedy}"]
    return []
