"""Models in the format of sentence-transformers: a `modules.json`, and their own prompts for queries and documents.

Text models, and multimodal ones such as Qwen3-VL-Embedding, whose vectors are those that `encode_query` and
`encode_document` return. Legend: n inputs, d dimensions.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from oneword.engine import views
from oneword.engine.batches import Budget, Cost
from oneword.engine.batches import plan as batches_of
from oneword.engine.checkpoint import MODULAR, Checkpoint, find
from oneword.engine.compiling import ready
from oneword.engine.dependencies import quiet, require
from oneword.engine.devices import CPU_ENOUGH, CUDA_ENOUGH, Placement, pick, pick_attention, run
from oneword.engine.encoder import Side, Vectors
from oneword.engine.errors import EngineError, ModelError
from oneword.engine.inputs import Composed, Document, Image, Input, Interleaved, Text, pieces, texts_of
from oneword.engine.plain import plain
from oneword.engine.pretrained import named
from oneword.engine.space import Space

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

VERSION = 1
"""Raised whenever our own part of the way from input to vector changes one."""

ROWS = 32
"""Inputs in a forward pass: sentence-transformers' default."""

CHARACTERS = 4
"""In a token, roughly: batches are planned by texts' characters, as sentence-transformers sorts them."""

MOST_CHARACTERS = 1_000_000
"""In a forward pass."""

CHUNK_TOKENS = 512
"""Maximum tokens of a chunk, even for models that read longer texts: the vector of a whole book finds nothing."""

DOCUMENT_PROMPTS = ("document", "passage", "corpus")
"""Names of a document's prompt, the first that a model has, as in `SentenceTransformer.encode_document`."""

Part = tuple[Any, int]
"""What the model takes, and which input it is of."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """A batch on the CPU.

    Args:
        count: n.
        groups: features for one forward pass each, with the positions of their inputs.
    """

    count: int
    groups: list[tuple[dict[str, Any], list[int]]]


class ModularEncoder:
    """A model of sentence-transformers behind the `Encoder` protocol. Made by `load_modular`."""

    def __init__(
        self, *, name: str, revision: str, model: "SentenceTransformer", device: torch.device, rows: int | None
    ) -> None:
        self.name, self.revision, self.model, self.device = name, revision, model, device
        enough = CPU_ENOUGH if device.type == "cpu" else CUDA_ENOUGH
        self.budget = Budget(tokens=MOST_CHARACTERS, rows=rows or ROWS, enough=CHARACTERS * enough)
        self.dimension = int(model.get_embedding_dimension() or 0)
        self.sees = bool(model.supports("image"))
        """Whether it takes images."""
        self._joins = self.sees and bool(model.supports(("image", "text")))
        self._interleaves = self._joins and model.supports("message") and interleaves(model.processor)
        backend = getattr(model.tokenizer, "backend_tokenizer", None)
        self.tokenizer = plain(backend.to_str(), at_start=True).to_str() if backend is not None else None
        self.text_tokens = text_tokens(model.tokenizer, model.get_max_seq_length(), self._prompt(Side.GALLERY))
        self.chunk_tokens = min(self.text_tokens or CHUNK_TOKENS, CHUNK_TOKENS)

    def space(self, view: views.View) -> Space:
        """See `Encoder.space`."""
        views.require_default(view, self.name, "it has prompts of its own")
        processor = getattr(self.model.processor, "image_processor", None) if self.sees else None
        return Space(
            model=self.name,
            revision=self.revision,
            view=view,
            preprocessing=preprocessing(
                modules=[type(module).__name__ for module in self.model],
                prompts={side: self._prompt(side) for side in Side},
                text_tokens=self.model.get_max_seq_length(),
                template=chat_template(self.model.processor),
                image_processor=type(processor).__name__ if processor is not None else None,
                joins=self._joins,
            ),
            dimension=self.dimension,
        )

    def plan(self, inputs: Sequence[Input], view: views.View, side: Side) -> list[list[int]]:  # noqa: ARG002
        """Batches of one kind of input, the longest texts first.

        Raises:
            ModelError: an image, for a model of texts.
        """
        self.space(view)
        if not self.sees and any(not isinstance(item, Text) for item in inputs):
            raise ModelError(
                f"the model {self.name!r} reads texts only: expected no images; leave them out (such as "
                "'notes/*.txt'), or take a model that sees (oneword models)"
            )
        kinds: dict[type, list[int]] = {}
        for i, item in enumerate(inputs):
            kinds.setdefault(Image if isinstance(item, Image) else type(item), []).append(i)
        batches = []
        for positions in kinds.values():
            costs = [self._cost(inputs[i]) for i in positions]
            batches += [[positions[place] for place in batch] for batch in batches_of(costs, self.budget)]
        return batches

    def _cost(self, item: Input) -> Cost:
        """In characters; what is surely cut does not count."""
        most = 2 * CHARACTERS * self.text_tokens if self.text_tokens else MOST_CHARACTERS
        return Cost(length=sum(min(len(text), most) for text in texts_of(item)) + CHARACTERS)

    def prepare(self, inputs: Sequence[Input], view: views.View, side: Side) -> Batch:  # noqa: ARG002
        """The model's own features."""
        groups: dict[str, list[Part]] = {}
        for i, item in enumerate(inputs):
            for kind, part in self._shown(item):
                groups.setdefault(kind, []).append((part, i))
        return Batch(
            count=len(inputs),
            groups=[
                (self._features([part for part, _ in parts], side), [position for _, position in parts])
                for parts in groups.values()
            ],
        )

    def _features(self, parts: list[Any], side: Side) -> dict[str, Any]:
        task = "query" if side is Side.QUERY else "document"
        return dict(self.model.preprocess(parts, prompt=self._prompt(side), task=task))

    def _shown(self, item: Input) -> Iterator[tuple[str, Any]]:
        """Yields what goes through the model for an input; where it cannot take all at once, parts to be added."""
        match item:
            case Document(image=image, text=text) | Composed(image=image, edit=text) if self._joins:
                yield "both", {"image": image.pixels, "text": text}
            case Interleaved() if self._interleaves:
                yield "message", [{"role": "user", "content": [_content(piece) for piece, _ in pieces(item)]}]
            case _:
                for piece, _ in pieces(item):
                    yield ("text", piece) if isinstance(piece, str) else ("image", piece.pixels)

    def _prompt(self, side: Side) -> str | None:
        return prompt_of(self.model.prompts, self.model.default_prompt_name, side)

    def forward(self, batch: Batch) -> Tensor:
        """float32 (n, d) on the device."""
        return run(lambda: self._forward(batch), self.device, batch.count, int(self.model.get_max_seq_length() or 0))

    @torch.inference_mode()
    def _forward(self, batch: Batch) -> Tensor:
        out = torch.zeros(batch.count, self.dimension, device=self.device)
        for features, positions in batch.groups:
            moved = {
                name: value.to(self.device, non_blocking=True) if isinstance(value, Tensor) else value
                for name, value in features.items()
            }
            vectors = F.normalize(self.model(moved)["sentence_embedding"][:, : self.dimension].float(), dim=-1)
            out.index_add_(0, torch.tensor(positions, device=self.device), vectors)
        return out

    def finish(self, raw: Tensor) -> Vectors:
        """float32 (n, d) on the CPU."""
        vectors: Vectors = raw.cpu().numpy().astype(np.float32, copy=False)
        return vectors


def interleaves(processor: Any) -> bool:
    """Returns whether a processor's chat template writes several images and texts, all of them and in their order."""
    token, marks = getattr(processor, "image_token", None), ("first words", "second words")
    content = [part for mark in marks for part in ({"type": "image"}, {"type": "text", "text": mark})]
    try:
        whole: str = processor.apply_chat_template([{"role": "user", "content": content}], tokenize=False)
    except Exception:  # a template is a program, and may fail in any way
        return False
    written = re.findall("|".join(re.escape(str(one)) for one in (token, *marks)), whole)
    return written == [part for mark in marks for part in (token, mark)]


def _content(piece: Image | str) -> dict[str, Any]:
    """Returns a part of a message, as chat templates take it."""
    return {"type": "text", "text": piece} if isinstance(piece, str) else {"type": "image", "image": piece.pixels}


def preprocessing(
    *,
    modules: Sequence[str],
    prompts: Mapping[Side, str | None],
    text_tokens: int | None,
    template: str | None,
    image_processor: str | None = None,
    joins: bool = False,
) -> dict[str, Any]:
    """What decides over a vector beside the weights, JSON-ready."""
    return {
        "version": VERSION,
        "modules": list(modules),
        "prompts": {side.value: prompt for side, prompt in prompts.items()},
        "text_tokens": text_tokens,
        "chat_template": template,
        "image_processor": image_processor,
        "joins": joins,
    }


def prompt_of(prompts: Mapping[str, str | None], default: str | None, side: Side) -> str | None:
    """Returns a side's prompt, by the names that `SentenceTransformer.encode_query` and `encode_document` look for."""
    names = ("query",) if side is Side.QUERY else DOCUMENT_PROMPTS
    name = next((name for name in names if name in prompts), default)
    return prompts.get(name) if name is not None else None


def text_tokens(tokenizer: Any, limit: int | None, prompt: str | None) -> int | None:
    """Returns the tokens of a text that are left beside its prompt and special tokens; None without a limit."""
    read = getattr(tokenizer, "backend_tokenizer", None)
    if not limit or read is None:
        return int(limit) if limit else None
    alone = len(read.encode("a", add_special_tokens=False).ids)
    return max(1, int(limit) - len(read.encode(f"{prompt or ''}a").ids) + alone)


def chat_template(processor: Any) -> str | None:
    """Returns a digest of it: a folder's revision is one of its JSON and weights."""
    written = getattr(processor, "chat_template", None)
    return hashlib.sha256(str(written).encode()).hexdigest()[:16] if written else None


def load_modular(
    model: str | Checkpoint,
    *,
    revision: str | None = None,
    code: bool = False,
    **placement: Unpack[Placement],
) -> ModularEncoder:
    """Loads a model that sentence-transformers saved.

    Args:
        model: a Hugging Face id, a folder with a `modules.json`, or one found already.
        revision: of a hub model: a branch, tag or commit.
        code: run the code that comes with the model; else a model with some is refused.
        placement: see `Placement`.

    Raises:
        ModelNotFound, WrongCheckpoint, MissingDependency, DeviceUnavailable
        DeviceOutOfMemory: the weights do not fit.
    """
    place, number = pick(placement)
    checkpoint = find(model, revision, expected=MODULAR, code=code)
    require("sentence_transformers", what=f"the model {checkpoint.model!r}", extra="sentence-transformers")
    from sentence_transformers import SentenceTransformer

    # Only where it is not the default, which each architecture takes as far as it can.
    flash = {"attn_implementation": kind} if (kind := pick_attention(place, number)) != "sdpa" else {}
    try:
        with quiet():
            loaded: Any = SentenceTransformer(
                str(checkpoint.folder),
                device=str(place),
                local_files_only=not code,  # a model's code may lie elsewhere on the hub
                trust_remote_code=code,
                model_kwargs={"dtype": number, "use_safetensors": True, **flash},
            )
            loaded = ready(loaded, placement, place)
    except EngineError:
        raise
    except Exception as error:  # a malformed file may raise anything
        raise named(error, checkpoint.model, place) from error
    return ModularEncoder(
        name=checkpoint.model,
        revision=checkpoint.revision(),
        model=loaded,
        device=place,
        rows=placement.get("max_batch"),
    )
