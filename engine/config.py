"""How a model runs."""

import os
from dataclasses import dataclass, replace

MAX_PIECES = 16
"""Images and texts of a composed input. Our own choice: a model's context holds fewer large images."""

MAX_PIXELS = 89_478_485
"""Default pixel cap: above which Pillow warns of a decompression bomb, 256 MiB of RGB."""

MOST_PIXELS = 400_000_000
"""Highest allowed pixel cap; twice a large photograph of today's cameras."""

CODE = "ONEWORD_TRUST_REMOTE_CODE"
"""The environment variable with the names, separated by commas, of models whose own code may be run."""


def runs_code(model: str) -> bool:
    """Returns whether the environment allows a model to run the code that comes with it."""
    return model in (name.strip() for name in os.environ.get(CODE, "").split(","))


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """Which model, and where and how it runs.

    Args:
        model: "auto", "basic", "mini", "hash", "e5-v", another known name, a Hugging Face id, a checkpoint folder,
            or the URL of a server, see `oneword.engine.remote`.
        device: "auto", "cpu", "cuda" or "cuda:N".
        dtype: "auto", "fp32", "bf16" or "fp16".
        quantize: None, "int8" or "nf4" (E5-V on CUDA only).
        compile: fuse the operations of a network's layers with `torch.compile`. The first batches take a minute longer.
        preprocessing: of images: "standard", or "as-published", which puts tiles together as when E5-V was measured
            (E5-V and its kin only; see `oneword.engine.e5v.assembly`). Part of the space.
        batch_size: maximum inputs in one forward pass; None lets the model fill its token budget.
        max_tokens_per_batch: that budget: maximum tokens in one forward pass, padding included (E5-V, CLIP);
            a longer input goes alone. None: by the device's free memory.
        revision: of a Hugging Face id: a branch, tag or commit; None: the newest.
        dimensions: length to truncate vectors to, for models trained for that; None keeps them whole.
        trust_remote_code: run the code that comes with a model of sentence-transformers, which can do anything that you
            can. The environment may name such models, too (`CODE`); a request or a collection cannot.
        from_data: the model's name was read from a collection, which anyone may have made: a server's address among
            such names is contacted only if the environment allows it, see `oneword.engine.remote`.
    """

    model: str = "auto"
    device: str = "auto"
    dtype: str = "auto"
    quantize: str | None = None
    compile: bool = False
    preprocessing: str = "standard"
    batch_size: int | None = None
    max_tokens_per_batch: int | None = None
    revision: str | None = None
    dimensions: int | None = None
    trust_remote_code: bool = False
    from_data: bool = False

    @classmethod
    def of(cls, model: "str | EngineConfig") -> "EngineConfig":
        """Returns a configuration from a model's name, or the given one."""
        return model if isinstance(model, cls) else cls(model=str(model))

    def for_space(self, model: str, revision: str | None = None) -> "EngineConfig":
        """Returns the configuration with "auto" replaced by the model of a collection.

        Args:
            revision: of the collection's space; used unless the configuration has one.
        """
        if self.model != "auto":
            return self
        commit = revision.partition("+")[0] if revision else None  # "+" begins what was done to the weights
        return replace(self, model=model, from_data=True, revision=self.revision or commit)
