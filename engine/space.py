"""The embedding space: what two vectors must share for their dot product to have a meaning."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from oneword.engine.views import View

LIBRARIES = ("torch", "transformers", "tokenizers", "sentence-transformers", "open_clip_torch", "pillow")
"""Packages whose releases may move a vector a little."""


@cache
def libraries() -> dict[str, str]:
    """Returns the versions of those that are installed."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@dataclass(frozen=True, kw_only=True)
class Space:
    """Model, revision, view, preprocessing, dimension and normalization.

    Device and precision (fp32, bf16, fp16) are not part of it: they hardly move a vector, and an index that a GPU built
    is searched on a CPU. Quantized weights are others: the revision says so.

    Args:
        model: the model's id, as `oneword.engine.models.load` takes it (a name, a hub id, or a folder).
        revision: identifies the weights: a commit, or a digest of the files.
        view: the prompts, both sides.
        preprocessing: JSON-ready settings that change a vector (image size, tiling, text cut-off, ...).
        dimension: length of a vector.
        normalisation: always "l2" so far.
    """

    model: str
    revision: str
    view: View
    preprocessing: Mapping[str, Any]
    dimension: int
    normalisation: str = "l2"

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex, first 16 digits) over all fields but the model's id.

        The revision identifies the weights; the path of a folder does not change its vectors.
        """
        fields = {name: value for name, value in asdict(self).items() if name != "model"}
        canonical = json.dumps(fields, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    @property
    def symmetric(self) -> bool:
        """Whether a query and a document of the same content have the same vector."""
        own = self.preprocessing.get("prompts") or {}
        return (
            self.view.query == self.view.gallery
            and len(set(own.values())) <= 1
            and "Router" not in self.preprocessing.get("modules", ())
        )

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready, as kept with a collection: the fields, with `view` by name and `prompts` in full.

        `made_with`, the versions of libraries, is kept beside the fingerprint, not in it.
        """
        return {
            "fingerprint": self.fingerprint,
            "model": self.model,
            "revision": self.revision,
            "view": self.view.name,
            "prompts": self.view.as_dict(),
            "preprocessing": dict(self.preprocessing),
            "dimension": self.dimension,
            "normalisation": self.normalisation,
            "made_with": libraries(),
        }
