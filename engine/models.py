"""Loads a model by name."""

import logging
from dataclasses import replace
from pathlib import Path

from oneword.engine.availability import choose
from oneword.engine.catalog import PACKAGES, SHIPPED, describe, descriptions, miniature
from oneword.engine.config import EngineConfig, runs_code
from oneword.engine.declared import PREFIX, Declared, is_declared
from oneword.engine.dependencies import require
from oneword.engine.encoder import Encoder
from oneword.engine.errors import DeviceUnavailable, ModelError, ModelNotFound, UntrustedModel
from oneword.engine.remote.name import is_remote
from oneword.engine.truncation import Truncated, split

log = logging.getLogger(__name__)


def load(config: EngineConfig | str = "auto") -> Encoder:
    """Loads a model, by name or as configured.

    Raises:
        ModelNotFound: no such name, folder or checkpoint.
        WrongCheckpoint: of no architecture that can be loaded, or incomplete.
        MissingDependency: an extra is not installed.
        DeviceUnavailable: no such device or dtype here.
        DeviceOutOfMemory: the weights do not fit.
        ModelError: a setting that the model cannot have.
        RemoteUnavailable: the model is a server's, which cannot be reached or is of another kind.
    """
    config = EngineConfig.of(config)
    name = choose()[0] if config.model == "auto" else config.model
    if name.startswith(PREFIX):
        return Declared(name)
    folder = not is_remote(name) and Path(name).expanduser().is_dir()
    if not folder and not is_remote(name):
        name, dimensions = split(name)
        if dimensions := config.dimensions or dimensions:
            whole = replace(config, model=name, dimensions=None)
            return Truncated(load(whole), dimensions)
    if folder and config.dimensions:
        raise ModelError(f"dimensions {config.dimensions}: model {name!r} has vectors of one length: drop --dimensions")
    for what, most in (("batch size", config.batch_size), ("max_tokens_per_batch", config.max_tokens_per_batch)):
        if most is not None and most < 1:
            raise ModelError(f"{what} {most}: expected at least 1")
    revision = config.revision if _is_of_hub(name) else None
    if config.revision and not revision and not config.from_data:  # a space has a digest for any model
        raise ModelError(
            f"revision {config.revision!r}: model {name!r} is not from the hub, and only those have revisions: drop "
            "--revision; a server's is named after its model (http://HOST:8000/v1#MODEL@REVISION)"
        )
    if is_remote(name):
        return _remote(name, config)
    if name in ("basic", "hash"):
        _refuse_settings(name, config)
    if name == "hash":
        from oneword.engine.hashing import HashEncoder

        return HashEncoder()
    if name == "basic":
        from oneword.engine.basic import load_basic

        return load_basic(device=config.device, dtype=config.dtype)
    return _of_checkpoint(name, config, revision)


def _of_checkpoint(name: str, config: EngineConfig, revision: str | None) -> Encoder:
    """Loads a folder or a hub model as the architecture that its files declare."""
    known = describe(name)
    extra = known.extra if known else "models"
    require(*PACKAGES[extra], what=f"the model {name!r}", extra=extra)
    from oneword.engine.checkpoint import ALL, LOADED_BY, find, loader_of
    from oneword.engine.devices import Placement

    code = (config.trust_remote_code and not config.from_data) or runs_code(known.name if known else name)
    if name == "mini":
        checkpoint = find(str(miniature()))
    else:
        checkpoint = find(_checkpoint(name), revision, expected=LOADED_BY[known.loader] if known else ALL, code=code)
    loader = known.loader if known else loader_of(checkpoint.architecture)
    if known is None:
        log.info("model %s: by its files %s, loaded by %s", name, checkpoint.architecture, LOADS[loader])
    placement: Placement = {
        "device": config.device,
        "dtype": config.dtype,
        "max_batch": config.batch_size,
        "max_tokens_per_batch": config.max_tokens_per_batch,
        "compile": config.compile,
    }
    if loader == "llava-next":
        from oneword.engine.e5v import load_e5v

        return load_e5v(
            checkpoint,
            quantize=config.quantize,
            name="mini" if name == "mini" else None,
            preprocessing=config.preprocessing,
            **placement,
        )
    _refuse_settings(name, config)
    if loader == "modular":
        from oneword.engine.modular import load_modular

        return load_modular(checkpoint, code=code, **placement)
    if loader == "open-clip":
        from oneword.engine.openclip import load_open_clip

        return load_open_clip(checkpoint, **placement)
    if loader == "prompted":
        from oneword.engine.prompted.loading import load_prompted

        return load_prompted(checkpoint, known=known, **placement)
    from oneword.engine.dual.loading import load_dual

    return load_dual(checkpoint, **placement)


LOADS = {
    "llava-next": "transformers, by prompt, as E5-V",
    "prompted": "transformers, by prompt",
    "dual": "transformers, as two towers",
    "open-clip": "open_clip",
    "modular": "sentence-transformers",
}
"""What loads a checkpoint, by the name of its loader."""


def _refuse_settings(name: str, config: EngineConfig) -> None:
    """Raises for settings that only LLaVA-NeXT models have, and for those that a shipped model lacks."""
    if config.compile and name in ("basic", "hash"):
        raise DeviceUnavailable(f"model {name!r} cannot be compiled: drop --compile")
    if config.quantize:
        raise DeviceUnavailable(f"model {name!r} cannot be quantized ({config.quantize}): drop --quantize")
    _refuse_preprocessing(name, config)


def _refuse_preprocessing(name: str, config: EngineConfig) -> None:
    if config.preprocessing != "standard":
        raise ModelError(f"preprocessing {config.preprocessing!r}: model {name!r} has its own: expected standard")


def check_name(name: str) -> None:
    """Raises ModelNotFound for what cannot be a model's name, before anything is loaded."""
    if name != "auto" and name not in SHIPPED and not is_remote(name) and not is_declared(name):
        _checkpoint(split(name)[0])


def _is_of_hub(name: str) -> bool:
    return name not in SHIPPED and not is_remote(name) and not Path(name).expanduser().is_dir()


def _remote(url: str, config: EngineConfig) -> Encoder:
    """A model on another machine, which has its own device."""
    from oneword.engine.remote import RemoteConfig, load_remote

    _refuse_preprocessing(url, config)
    if config.quantize or config.compile or config.dtype != "auto" or config.device != "auto":
        raise DeviceUnavailable(
            f"device {config.device!r}, dtype {config.dtype!r}, quantize {config.quantize!r}, compile "
            f"{config.compile}: a model on another machine runs as its server was started: drop --device, --dtype, "
            "--quantize and --compile"
        )
    remote = RemoteConfig.of_environment(config.batch_size)
    if config.from_data and not remote.trusts(url):
        raise UntrustedModel(url)
    return load_remote(url, remote, dimensions=config.dimensions)


def _checkpoint(name: str) -> str:
    """Returns a Hugging Face id unchanged, or the absolute path of a folder."""
    if known := describe(name):
        return known.name
    folder = Path(name).expanduser()
    if folder.is_dir():
        return str(folder.resolve())
    if folder.exists() or name.count("/") != 1 or name.startswith((".", "/", "~")):
        names = ", ".join(model.aliases[0] if model.aliases else model.name for model in descriptions())
        raise ModelNotFound(
            f"no model is called {name!r}: expected auto, {names}, another Hugging Face id (OWNER/NAME), "
            "an existing folder with a checkpoint (LLaVA-NeXT, CLIP, SigLIP), or the URL of a server (http://HOST:8000/v1)"
        )
    return name
