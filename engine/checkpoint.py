"""Finds and checks the files of a checkpoint, and identifies their content.

It reads JSON and safetensors headers only, so that a wrong folder is reported without loading torch.
"""

import hashlib
import json
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from oneword.engine import hub
from oneword.engine.config import CODE
from oneword.engine.errors import ModelNotFound, WrongCheckpoint

ARCHITECTURES = {
    "llava_next": "LLaVA-NeXT, as E5-V",
    "llava_onevision": "LLaVA-OneVision",
    "qwen2_vl": "Qwen2-VL",
    "qwen2_5_vl": "Qwen2.5-VL",
    "qwen3_vl": "Qwen3-VL",
    "internvl": "InternVL",
    "idefics3": "SmolVLM, Idefics 3",
    "smolvlm": "SmolVLM 2",
    "gemma3": "Gemma 3",
    "clip": "CLIP",
    "siglip": "SigLIP, SigLIP 2",
    "siglip2": "SigLIP 2 NaFlex",
    "metaclip_2": "MetaCLIP 2",
    "open_clip": "a folder with open_clip_config.json",
    "sentence-transformers": "a folder with modules.json",
    "cross-encoder": "a reranker, as sentence-transformers' CrossEncoder loads it",
}
"""What a `config.json` says of the models that can be loaded, as `model_type`, and what people call them."""

LLAVA_NEXT = ("llava_next",)
PROMPTED = (
    *("llava_onevision", "qwen2_vl", "qwen2_5_vl", "qwen3_vl", "internvl", "idefics3", "smolvlm", "gemma3"),
    "llava_next",
)
DUAL = ("clip", "siglip", "siglip2", "metaclip_2")
OPEN_CLIP = ("open_clip",)
MODULAR = ("sentence-transformers",)
CROSS_ENCODER = ("cross-encoder",)
ALL = (*PROMPTED, *DUAL, *OPEN_CLIP, *MODULAR)
LOADED_BY = {
    "llava-next": LLAVA_NEXT,
    "prompted": PROMPTED,
    "dual": DUAL,
    "open-clip": OPEN_CLIP,
    "modular": MODULAR,
}
"""Architectures by the loader that a known model's description names."""


def loader_of(architecture: str) -> str:
    """Returns the loader of a model that is not known by name."""
    return next(loader for loader, architectures in LOADED_BY.items() if architecture in architectures)


BLOCKS, BLOCK = 64, 64 * 1024
"""The digest reads this number of evenly spaced blocks, of this number of bytes, of each weights file."""

OPEN_CLIP_CONFIG = "open_clip_config.json"

_INDEX, _SINGLE = "model.safetensors.index.json", "model.safetensors"
_DESCRIBED = ["*.json", "*.jinja", "*.model", "merges.txt"]
_OPEN_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "model.safetensors")
_WANTED = [*_DESCRIBED, "*.safetensors"]
_ELSEWHERE = {"onnx", "openvino"}
"""Folders of other runtimes' copies."""

_TOKENIZERS = ("tokenizer.json", "tokenizer.model")
_PROCESSORS = ("preprocessor_config.json", "processor_config.json")
_DESCRIPTIONS = (
    *("config.json", "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json"),
    *("added_tokens.json", "preprocessor_config.json", "processor_config.json", "oneword.json"),
    OPEN_CLIP_CONFIG,
)


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A complete checkpoint on disk.

    Args:
        model: as asked for: a hub id or a folder.
        architecture: one of `ARCHITECTURES`.
        folder: with the files.
        commit: of a hub model; None for a folder.
        weights: the safetensors files.
    """

    model: str
    architecture: str
    folder: Path
    commit: str | None
    weights: tuple[Path, ...]

    def revision(self) -> str:
        """Returns the hub's commit, or a digest of the files, which does not change when a folder is moved."""
        return self.commit or digest(self.folder, self.weights)

    def template(self) -> str | None:
        """Returns the chat template of an `oneword.json` in the folder, if any.

        Raises:
            WrongCheckpoint: the file is malformed.
        """
        path = self.folder / "oneword.json"
        if not path.exists():
            return None
        template = read_json(path, self.model).get("template")
        if not isinstance(template, str) or template.count("{}") != 1:
            raise WrongCheckpoint(f'{path}: "template" is {template!r}: expected a string with one {{}}')
        return template


def find(
    model: str | Checkpoint,
    revision: str | None = None,
    *,
    weights: bool = True,
    expected: Sequence[str] = LLAVA_NEXT,
    fresh: bool = False,
    code: bool = False,
) -> Checkpoint:
    """Finds a folder, or a hub model in the local cache or else on the hub.

    Args:
        model: a Hugging Face id, a folder, or one that was found already, which is returned.
        expected: accepted architectures.
        weights: whether the weights are needed, or only the prompts and settings.
        fresh: ask the hub first, which may have a newer revision than the cache.
        code: the model's own code is wanted, too, and will be run.

    Raises:
        ModelNotFound: neither in the cache nor on the hub, or a revision of a folder was asked for.
        WrongCheckpoint: of another architecture, or incomplete.
    """
    if isinstance(model, Checkpoint):
        return model
    path = Path(model).expanduser()
    if path.is_dir():
        if revision is not None:
            raise ModelNotFound(f"{path} is a folder, which has no revision {revision!r}: drop --revision")
        return check(model, path, None, weights=weights, expected=expected, code=code)
    if path.exists() or model.startswith((".", "/", "~")) or model.count("/") != 1:
        raise ModelNotFound(
            f"no folder {model!r}: expected one with a checkpoint ({_described(expected)}), or a "
            "Hugging Face id (OWNER/NAME)"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    patterns = (_WANTED if weights else _DESCRIBED) + (["*.py"] if code else [])

    def cached() -> Checkpoint:
        folder = Path(snapshot_download(model, revision=revision, allow_patterns=patterns, local_files_only=True))
        return check(model, folder, folder.name, weights=weights, expected=expected, code=code)

    wrong: WrongCheckpoint | None = None
    try:
        if not fresh:
            return cached()
    except WrongCheckpoint as error:  # if only incomplete: the hub may have the rest
        wrong = error
    except (HFValidationError, OSError):
        pass
    how = f"oneword models pull {model}" + (f" --revision {revision}" if revision else "")
    if why := hub.trouble():
        raise wrong or ModelNotFound(f"model {model!r} is not in the local cache, and {why}; then run: {how}")
    try:
        folder = Path(snapshot_download(model, revision=revision, allow_patterns=patterns, etag_timeout=hub.TIMEOUT))
    except Exception as error:  # the hub's client raises some twenty kinds, its transport more
        if wrong is not None:
            raise wrong from error
        raise ModelNotFound(
            f"model {model!r} is not in the local cache, and {hub.refusal(error, model, revision)}"
        ) from error
    return check(model, folder, folder.name, weights=weights, expected=expected, code=code)


def check(
    model: str,
    folder: Path,
    commit: str | None,
    *,
    weights: bool = True,
    expected: Sequence[str] = LLAVA_NEXT,
    code: bool = False,
) -> Checkpoint:
    """Checks every file name, every JSON, and the header and length of every weights file.

    Args:
        weights: whether the weights must be there.
        code: whether modules of the model's own are accepted.
    """
    if CROSS_ENCODER[0] in expected:
        return _cross_encoder(model, folder, commit, weights=weights, code=code)
    if _is_modular(folder) and MODULAR[0] in expected:
        return _modular(model, folder, commit, weights=weights, code=code)
    config = folder / "config.json"
    kind = read_json(config, model).get("model_type") if config.is_file() else None
    if kind not in expected and OPEN_CLIP[0] in expected and (folder / OPEN_CLIP_CONFIG).is_file():
        return _open_clip(model, folder, commit, weights=weights)
    if not config.is_file():
        raise WrongCheckpoint(
            f"{folder}: no config.json: expected a checkpoint in transformers' format ({_described(expected)})"
        )
    if kind not in expected:
        raise WrongCheckpoint(f"{model}: is a {kind!r} checkpoint: expected {_described(expected)}")
    joint = folder / _PROCESSORS[1]
    seen = (folder / _PROCESSORS[0]).is_file() or (joint.is_file() and "image_processor" in read_json(joint, model))
    read = any((folder / name).is_file() for name in _TOKENIZERS)
    for what, there, names in (("tokenizer", read, _TOKENIZERS), ("image processor", seen, _PROCESSORS)):
        if not there:
            raise WrongCheckpoint(f"{model}: no {what} in {folder}: expected {' or '.join(names)}")
    try:
        files = tuple(_weights(model, folder))
    except WrongCheckpoint:
        if weights:
            raise
        files = ()
    for path in files:
        _check_length(path)
    return Checkpoint(model=model, architecture=str(kind), folder=folder, commit=commit, weights=files)


def _is_modular(folder: Path) -> bool:
    """Whether sentence-transformers describes the model better than `config.json`.

    A checkpoint of our training has a `modules.json`, too, beside an `oneword.json`.
    """
    return (folder / "modules.json").is_file() and not (folder / "oneword.json").is_file()


def _open_clip(model: str, folder: Path, commit: str | None, *, weights: bool) -> Checkpoint:
    """Checks the weights' name, header and length."""
    read_json(folder / OPEN_CLIP_CONFIG, model)
    files = tuple(folder / name for name in _OPEN_WEIGHTS if (folder / name).is_file())[:1]
    if weights and not files:
        raise _no_weights(model, folder, " or ".join(_OPEN_WEIGHTS))
    for file in files:
        _check_length(file)
    return Checkpoint(model=model, architecture=OPEN_CLIP[0], folder=folder, commit=commit, weights=files)


def _no_weights(model: str, folder: Path, expected: str) -> WrongCheckpoint:
    return WrongCheckpoint(
        f"{model}: weights are missing in {folder}: expected {expected}; other formats are not read, because they can "
        "run code"
    )


def _modular(model: str, folder: Path, commit: str | None, *, weights: bool, code: bool) -> Checkpoint:
    """Checks the modules' names, which are code to be run, and the header and length of every weights file."""
    path = folder / "modules.json"
    try:
        types = [str(module["type"]) for module in json.loads(path.read_bytes())] or [""]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise WrongCheckpoint(f"{model}: {path} is not a list of modules ({error!r})") from error
    foreign = [name for name in types if not name.startswith("sentence_transformers.")]
    if foreign and not (code and all(foreign)):
        raise WrongCheckpoint(
            f"{model}: {path} names the module {foreign[0]!r}: expected modules of sentence-transformers; "
            f"code that comes with a model is run only if {CODE} names it"
        )
    files = tuple(sorted(file for file in folder.rglob("*.safetensors") if not _ELSEWHERE & {*file.parts}))
    if weights and not files:
        raise _no_weights(model, folder, "safetensors files")
    for file in files:
        _check_length(file)
    return Checkpoint(model=model, architecture=MODULAR[0], folder=folder, commit=commit, weights=files)


def _cross_encoder(model: str, folder: Path, commit: str | None, *, weights: bool, code: bool) -> Checkpoint:
    """Checks it as a model of modules, or as a single one with a `config.json`."""
    if _is_modular(folder):
        return replace(_modular(model, folder, commit, weights=weights, code=code), architecture=CROSS_ENCODER[0])
    if not (folder / "config.json").is_file():
        raise WrongCheckpoint(f"{folder}: no config.json and no modules.json: expected {_described(CROSS_ENCODER)}")
    read_json(folder / "config.json", model)
    files = tuple(_weights(model, folder)) if weights else ()
    for file in files:
        _check_length(file)
    return Checkpoint(model=model, architecture=CROSS_ENCODER[0], folder=folder, commit=commit, weights=files)


def _described(architectures: Sequence[str]) -> str:
    return ", ".join(f"{name!r} ({ARCHITECTURES[name]})" for name in architectures)


def read_json(path: Path, model: str) -> dict[str, Any]:
    """Returns a JSON object. Raises `WrongCheckpoint` if the file is none."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise WrongCheckpoint(f"{model}: {path} cannot be read as JSON: {error}") from error
    if not isinstance(value, dict):
        raise WrongCheckpoint(f"{model}: {path} holds a {type(value).__name__}: expected a JSON object")
    return value


def _weights(model: str, folder: Path) -> Iterator[Path]:
    if (folder / _INDEX).is_file():
        shards = read_json(folder / _INDEX, model).get("weight_map", {})
        names = sorted(set(shards.values()))
    else:
        names = [_SINGLE]
    absent = [name for name in names if not (folder / name).is_file()]
    if absent or not names:
        shown = ", ".join(absent[:3]) + (f" and {len(absent) - 3} more" if len(absent) > 3 else "")
        raise _no_weights(model, folder, shown or "safetensors files")
    yield from (folder / name for name in names)


def _header(path: Path) -> bytes:
    """Returns the safetensors header: 8 bytes of length, then JSON."""
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        header = file.read(min(length, 100_000_000))
    if len(start) < 8 or len(header) < length:
        raise WrongCheckpoint(f"{path}: ends within its header, after {path.stat().st_size:,} bytes: copy it again")
    return start + header


def _check_length(path: Path) -> None:
    header = _header(path)
    try:
        tensors = {name: entry for name, entry in json.loads(header[8:]).items() if name != "__metadata__"}
        expected = len(header) + max((entry["data_offsets"][1] for entry in tensors.values()), default=0)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WrongCheckpoint(f"{path}: is not a safetensors file ({error!r})") from error
    if (size := path.stat().st_size) != expected:
        raise WrongCheckpoint(f"{path}: has {size:,} bytes, its header promises {expected:,}: copy it again")


def digest(folder: Path, weights: tuple[Path, ...]) -> str:
    """Returns the SHA-256 (hex, first 40 digits) over descriptions and the weights' sizes, headers and samples."""
    sha = hashlib.sha256()

    def add(part: bytes) -> None:
        sha.update(len(part).to_bytes(8, "big"))
        sha.update(part)

    names = [name for name in _DESCRIPTIONS if (folder / name).is_file()]
    if _is_modular(folder):
        described = [path for kind in ("*.json", "*.py") for path in folder.rglob(kind)]
        names = sorted({*names, *(str(path.relative_to(folder)) for path in described)})
    for name in names:
        add(name.encode())
        add((folder / name).read_bytes())
    for path in weights:
        size = path.stat().st_size
        add(f"{path.relative_to(folder)} {size}".encode())
        add(_header(path))
        with path.open("rb") as file:
            for block in range(BLOCKS):
                file.seek(max(0, size - BLOCK) * block // (BLOCKS - 1))
                add(file.read(BLOCK))
    return sha.hexdigest()[:40]
