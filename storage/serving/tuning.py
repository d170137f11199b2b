"""How hard a search must look for a recall: measured, not guessed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]

QUESTIONS = 256  # sampled rows that serve as questions
NEIGHBOURS = 10
NOISE = 1.0
"""Length of the random part added to a sampled unit vector: questions lie as far from what is stored as a text may
from pictures (cosine 0.7 to the row they came from), and what serves them serves nearer ones."""


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How hard a search looks.

    Args:
        probes: lists that are read.
        keep: candidates, times the hits asked for, that are compared in full.
        exact_share: allowed rows up to this share of all are all compared, because lists would come up short.
    """

    probes: int
    keep: int
    exact_share: float = 0.02

    def over(self, share: float, lists: int) -> Effort:
        """As hard as it takes where only a share of the rows is allowed: as many allowed rows are looked at."""
        return replace(self, probes=min(lists, ceil(self.probes / share)))

    def parameters(self, selector: Any = None) -> Any:
        """As FAISS takes them."""
        import faiss

        inner = faiss.SearchParametersIVF(nprobe=self.probes, sel=selector)
        return faiss.IndexRefineSearchParameters(k_factor=self.keep, base_index_params=inner)


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """The least effort that reaches the goal, and what it reaches."""

    effort: Effort | None
    recall: float


def tune(index: Any, vectors: Vectors, goal: float, lists: int) -> Tuned:
    """Raises the effort until sampled questions find the goal's share of their ten nearest.

    Args:
        index: IVF with refinement, filled with `vectors` (n, d).
        lists: how many there are.
    """
    asked = questions(vectors)
    truth = exact(vectors, asked)
    tried = Tuned(effort=None, recall=-1.0)
    for probes, keep in _ladder(lists):
        effort = Effort(probes=probes, keep=keep)
        _, found = index.search(asked, NEIGHBOURS, params=effort.parameters())
        recall = float(np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found.tolist(), truth, strict=True)]))
        tried = Tuned(effort=effort, recall=recall)
        if recall >= goal:
            break
    return tried


def questions(vectors: Vectors) -> Vectors:
    """Sampled rows with noise, float32 (m, d), of unit length."""
    draw = np.random.default_rng(0)
    rows = draw.choice(len(vectors), min(QUESTIONS, len(vectors)), replace=False)
    noise = draw.standard_normal((len(rows), vectors.shape[1])).astype(np.float32)
    noise *= NOISE / np.linalg.norm(noise, axis=1, keepdims=True)
    asked = vectors[np.sort(rows)] + noise
    unit: Vectors = asked / np.linalg.norm(asked, axis=1, keepdims=True)
    return unit


def exact(vectors: Vectors, asked: Vectors) -> list[list[int]]:
    """The ten nearest rows of each question, all compared, a block at a time."""
    best_scores = np.full((len(asked), 0), -np.inf, dtype=np.float32)
    best_rows = np.empty((len(asked), 0), dtype=np.int64)
    for start in range(0, len(vectors), 16384):
        scores = asked @ vectors[start : start + 16384].T
        rows = np.broadcast_to(np.arange(start, start + scores.shape[1]), scores.shape)
        scores, rows = np.hstack([best_scores, scores]), np.hstack([best_rows, rows])
        keep = np.argsort(-scores, axis=1)[:, :NEIGHBOURS]
        best_scores, best_rows = np.take_along_axis(scores, keep, 1), np.take_along_axis(rows, keep, 1)
    found: list[list[int]] = best_rows.tolist()
    return found


def _ladder(lists: int) -> list[tuple[int, int]]:
    """(probes, keep), from little effort to all."""
    steps = [(2, 4), (4, 4), (8, 4), (8, 8), (16, 8), (32, 8), (32, 16), (64, 16), (128, 32), (256, 32), (512, 64)]
    return [step for step in steps if step[0] < lists] + [(lists, 64)]
