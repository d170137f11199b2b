"""What scores mean for a collection: how high the best hits score of queries that nothing in it fits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from oneword.storage.item import Modality

Asked: TypeAlias = Literal["text", "image"]
"""What a query is made of: texts alone, or images alone."""

FILE = "confidence.npz"
MODALITIES: tuple[Modality, ...] = ("image", "text")
OWN = 512
"""The collection's own images that are searched by, evenly spaced."""
FEWEST = 16
"""Own images below which confidence would come in steps of more than 6 %, so there is none by image."""
ROWS = 2**18
"""Rows that are compared, evenly spaced; of more, the best one is a little higher."""
RELATED = 32
"""Nearest items of an own image among which the largest gap between two scores is looked for: those above it are taken
for related to the image, and what is below it for what a search finds where nothing fits."""
CHUNK = 8192  # rows compared at a time


@dataclass(frozen=True)
class Scale:
    """Best scores of unrelated queries of one kind, ascending float32 (n,), by the modality of the items."""

    best: Mapping[Modality, NDArray[np.float32]]

    def of(self, modality: Modality, score: float) -> float | None:
        """The share of unrelated queries whose best hit of that modality scores lower; None: not known."""
        if (best := self.best.get(modality)) is None:
            return None
        return float(np.searchsorted(best, np.float32(score)) / len(best))

    def floor(self, least: float) -> float:
        """A score that no item of at least this confidence is below."""
        at = [(best, math.ceil(least * len(best)) - 1) for best in self.best.values()]
        return min(float(best[place]) if place >= 0 else -math.inf for best, place in at)


@dataclass(frozen=True, kw_only=True)
class Confidence:
    """The scales of a collection.

    Args:
        fingerprint: of the space of its vectors.
        scales: by what is asked.
        unrelated: vectors of texts that it was measured with, float16 (m, d), for the next time; None: none.
    """

    fingerprint: str
    scales: Mapping[Asked, Scale]
    unrelated: NDArray[np.float16] | None = field(default=None, repr=False)

    @classmethod
    def measure(
        cls, vectors: NDArray[np.float16], images: NDArray[np.bool_], unrelated: NDArray[np.floating] | None, space: str
    ) -> Confidence:
        """The scales of n items.

        Args:
            vectors: float16 (n, d).
            images: bool (n,), which items are images; the others are texts.
            unrelated: vectors (m, d) of texts that nothing in the collection is likely to fit.
            space: the fingerprint of the vectors' space.
        """
        rows = np.linspace(0, len(vectors) - 1, min(len(vectors), ROWS)).astype(np.int64)
        own = (there := rows[images[rows]])[np.linspace(0, len(there) - 1, min(len(there), OWN)).astype(np.int64)]
        found: dict[Asked, dict[Modality, NDArray[np.float32]]] = {"text": {}, "image": {}}
        for modality in MODALITIES:
            among = rows[images[rows] == (modality == "image")]
            if unrelated is not None and len(unrelated) and len(among):
                found["text"][modality] = _best(_unit(unrelated), vectors, among, 1)[:, 0]
            if len(own) >= FEWEST and len(among) > 2:
                best = _best(_unit(vectors[own]), vectors, among, min(RELATED, len(among) - 2) + 1, own)
                gap = (best[:, :-1] - best[:, 1:]).argmax(axis=1) + 1
                found["image"][modality] = best[np.arange(len(own)), gap]
        scales = {asked: Scale({of: np.sort(best) for of, best in some.items()}) for asked, some in found.items()}
        kept = None if unrelated is None else unrelated.astype(np.float16)
        return cls(fingerprint=space, scales={asked: one for asked, one in scales.items() if one.best}, unrelated=kept)

    def save(self, folder: Path) -> None:
        """Write it beside the ANN index."""
        arrays: dict[str, NDArray[Any]] = {
            f"{asked} {of}": best for asked, one in self.scales.items() for of, best in one.best.items()
        }
        if self.unrelated is not None:
            arrays["unrelated"] = self.unrelated
        np.savez(folder / FILE, allow_pickle=False, fingerprint=np.array(self.fingerprint), **arrays)

    @classmethod
    def load(cls, folder: Path) -> Confidence | None:
        """Read it; None where an earlier release built the index.

        Raises:
            OSError, ValueError, KeyError: it cannot be read.
        """
        if not (folder / FILE).exists():
            return None
        with np.load(folder / FILE) as stored:
            arrays = dict(stored)
        kinds: tuple[Asked, ...] = ("text", "image")
        scales = {
            asked: Scale({of: arrays[f"{asked} {of}"] for of in MODALITIES if f"{asked} {of}" in arrays})
            for asked in kinds
        }
        return cls(
            fingerprint=str(arrays["fingerprint"]),
            scales={asked: one for asked, one in scales.items() if one.best},
            unrelated=arrays.get("unrelated"),
        )


def _best(
    queries: NDArray[np.float32],
    vectors: NDArray[np.float16],
    among: NDArray[np.int64],
    count: int,
    own: NDArray[np.int64] | None = None,
) -> NDArray[np.float32]:
    """The `count` best cosines of unit queries (q, d) among some rows, float32 (q, count), highest first.

    own: the row that each query is, which is left out.
    """
    best = np.full((len(queries), count), -1.0, np.float32)
    for start in range(0, len(among), CHUNK):
        rows = among[start : start + CHUNK]
        scores = queries @ _unit(vectors[rows]).T
        if own is not None:
            scores[own[:, None] == rows] = -1.0
        best = np.partition(np.concatenate([best, scores], axis=1), -count, axis=1)[:, -count:]
    return np.sort(best, axis=1)[:, ::-1]


def _unit(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    single = np.asarray(vectors, np.float32)
    unit: NDArray[np.float32] = single / np.linalg.norm(single, axis=1, keepdims=True)
    return unit
