"""Near copies among the images of a collection: by their pixels, as thumbnails have them, or by their vectors.

By pixels: images whose perceptual hashes differ in few bits are compared as 16 x 16 gray pixels, also with up to 10 %
of either cropped off. So copies may differ in size, quality, brightness, contrast, color, sharpness and by small marks,
but not mirrored or turned. The hash is the signs of 64 low frequencies: Zauner, "Implementation and Benchmarking of
Perceptual Image Hash Functions", 2010.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from oneword.storage.cancellation import check
from oneword.storage.errors import BadSearch
from oneword.storage.info import By, Copies, Copy
from oneword.storage.schema import vectors_of
from oneword.storage.table import Table

THRESHOLDS: dict[By, float] = {"pixels": 0.93, "meaning": 0.97}
"""Least correlation of pixels (benchmarks/copies.py), and cosine similarity of vectors."""

SIDE = 32  # pixels that a thumbnail is reduced to
BITS_APART = 18  # of 64; of 99 % of the copies in benchmarks/copies.py
PLAIN = 4.0  # standard deviation, of 255, of an image that has nothing to compare
ALIGNED = 16  # pixels of a side that is compared
CROPS = (0.0, 0.05, 0.1)  # of the side, half at either end
CROPPED = 0.2  # most that cropping costs of a coarse correlation, in 99 of 100
MOST_PIXELS = 2**22  # of a thumbnail; an imported one may be anything
AT_ONCE = 512  # thumbnails that a process decodes
SHORT = 64  # directions in which vectors are compared first
ROUNDING = 1e-3  # of float16 vectors
BLOCK = (64, 4096)  # rows and columns that are compared at a time, in a core's cache
BLOCKS = 1024  # that are compared before the next look at whether to go on
AHEAD = 16  # batches that wait for their looks
IMAGES = "modality = 'image' and thumbnail is not null"

Pairs = NDArray[np.int64]
Rows = NDArray[np.int64]


def duplicates(table: Table, by: By = "pixels", threshold: float | None = None) -> list[Copies]:
    """Groups of copies, the largest group first; nothing is deleted.

    Near copies are linked, so two of a group may be less alike than the threshold. Exact copies are groups of their
    own, of which the first is in a group of near copies if it has any.

    Args:
        threshold: least correlation or cosine similarity, 0 to 1; None: `THRESHOLDS`.

    Raises:
        BadSearch: the threshold or `by` is out of range.
    """
    if by not in THRESHOLDS:
        raise BadSearch(f"by {by!r}: expected {' or '.join(THRESHOLDS)}")
    least = THRESHOLDS[by] if threshold is None else threshold
    if not 0.5 <= least <= 1:
        raise BadSearch(f"threshold {least:g}: expected 0.5 to 1")
    columns = ["id", "uri", "image_hash", "width", "height", "thumbnail", *["vector"] * (by == "meaning")]
    found: list[Copy] = []
    hashes: list[str] = []
    looks: list[_Looks] = []
    vectors: list[NDArray[np.float16]] = []
    for batch, look in _looks(table.rows(columns, where=IMAGES, batch_size=AT_ONCE)):
        rows = batch.select(columns[:5]).to_pylist()
        hashes += [row.pop("image_hash") or row["id"] for row in rows]
        found += [Copy(**row) for row in rows]
        looks.append(look)
        if by == "meaning":
            vectors.append(vectors_of(batch))
    if not found:
        return []
    look = _Looks.joined(looks)
    size = np.array([(one.width or 0) * (one.height or 0) for one in found], np.int64)
    best = np.lexsort((np.array([one.id for one in found]), -look.sharpness, -size))  # best first
    _, first, same = np.unique(np.array(hashes)[best], return_index=True, return_inverse=True)
    exact = np.split(best[np.argsort(same, kind="stable")], np.cumsum(np.bincount(same))[:-1])
    rest = best[np.sort(first)]  # one of each, best first
    if by == "pixels":
        near = look.linked(rest, least)
    else:
        near = _linked_vectors(np.concatenate(vectors)[rest].astype(np.float32), least)
    groups = [(True, rows) for rows in exact if len(rows) > 1] + [(False, rest[places]) for places in near]
    copies = [Copies(exact=equal, items=tuple(found[row] for row in rows)) for equal, rows in groups]
    return sorted(copies, key=lambda group: (-len(group.items), group.items[0].id))


@dataclass(frozen=True, kw_only=True)
class _Looks:
    """What n images look like.

    Args:
        bits: uint64 (n,), which of the 8 x 8 lowest frequencies but the constant ones are above their median.
        crops: float16 (n, c, p), gray pixels for each of CROPS, less their mean, of unit length; 0: nothing to compare.
        sharpness: float32 (n,), mean difference of neighboring pixels.
    """

    bits: NDArray[np.uint64]
    crops: NDArray[np.float16]
    sharpness: NDArray[np.float32]

    @classmethod
    def of(cls, thumbnails: Sequence[bytes]) -> _Looks:
        pixels = np.zeros((len(thumbnails), 2 * SIDE, 2 * SIDE), np.float32)
        for row, data in enumerate(thumbnails):
            # An image that Pillow cannot read is not compared.
            with suppress(OSError, ValueError, SyntaxError), PIL.Image.open(io.BytesIO(data)) as image:
                if image.width * image.height <= MOST_PIXELS:
                    image.draft("L", pixels.shape[1:])
                    pixels[row] = np.asarray(image.convert("L").resize(pixels.shape[1:], PIL.Image.Resampling.BILINEAR))
        neighbors = [np.abs(np.diff(pixels, axis=axis)).mean(axis=(1, 2)) for axis in (1, 2)]
        gray = pixels.reshape(-1, SIDE, 2, SIDE, 2).mean(axis=(2, 4), dtype=np.float32)
        frequencies = _both_ways(gray, _COSINES).reshape(len(gray), 64)
        above = frequencies > np.median(frequencies, axis=1, keepdims=True)
        crops = np.stack([_both_ways(gray, shrink).reshape(len(gray), -1) for shrink in _SHRINK], axis=1)
        crops -= crops.mean(axis=2, keepdims=True)
        crops /= np.maximum(np.linalg.norm(crops, axis=2, keepdims=True), 1e-6)
        crops[gray.std(axis=(1, 2)) < PLAIN] = 0
        return cls(
            bits=np.packbits(above, axis=1).view(np.uint64)[:, 0],
            crops=crops.astype(np.float16),
            sharpness=sum(neighbors),
        )

    @classmethod
    def joined(cls, some: Sequence[_Looks]) -> _Looks:
        return cls(**{one.name: np.concatenate([getattr(each, one.name) for each in some]) for one in fields(cls)})

    def linked(self, rows: Rows, least: float) -> list[Rows]:
        """Groups of the rows, as places in them, that correlate at least so much."""
        bits, crops = self.bits[rows], self.crops[rows]
        # Pixels of 2 x 2 together: a ninth of the time, which is enough where images are unlike.
        half = ALIGNED // 2
        coarse = crops[:, 0].reshape(-1, half, 2, half, 2).mean(axis=(2, 4), dtype=np.float32).reshape(-1, half**2)
        coarse /= np.maximum(np.linalg.norm(coarse, axis=1, keepdims=True), 1e-6)

        def near(start: int, column: int) -> Pairs:
            apart = bits[start : start + BLOCK[0], None] ^ bits[None, column : column + BLOCK[1]]
            pairs = _pairs(np.bitwise_count(apart) <= BITS_APART, start, column)
            alike = np.einsum("mp,mp->m", coarse[pairs[:, 0]], coarse[pairs[:, 1]])
            pairs = pairs[alike >= least - CROPPED]
            one, other = crops[pairs[:, 0]].astype(np.float32), crops[pairs[:, 1]].astype(np.float32)
            # Either whole with the other whole or cropped.
            alike = np.maximum(
                np.einsum("mp,mcp->mc", one[:, 0], other).max(axis=1, initial=0),
                np.einsum("mcp,mp->mc", one, other[:, 0]).max(axis=1, initial=0),
            )
            same: Pairs = pairs[alike >= least]
            return same

        return _linked(near, len(rows))


def _both_ways(images: NDArray[np.float32], matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """matrix (s, SIDE) times each image (n, SIDE, SIDE) times its transpose: (n, s, s), transposed."""
    half: NDArray[np.float32] = (images.reshape(-1, SIDE) @ matrix.T).reshape(len(images), SIDE, -1).swapaxes(1, 2)
    both: NDArray[np.float32] = (half.reshape(-1, SIDE) @ matrix.T).reshape(len(images), len(matrix), -1)
    return both


def _shrinking(crop: float) -> NDArray[np.float32]:
    """What averages SIDE pixels, less those cropped, into ALIGNED: (ALIGNED, SIDE)."""
    edges = SIDE * (crop / 2 + (1 - crop) * np.arange(ALIGNED + 1) / ALIGNED)
    covered = np.minimum(edges[1:, None], np.arange(SIDE) + 1) - np.maximum(edges[:-1, None], np.arange(SIDE))
    shrinking: NDArray[np.float32] = np.maximum(covered, 0).astype(np.float32)
    return shrinking


_SHRINK = [_shrinking(crop) for crop in CROPS]
_COSINES = np.cos(np.pi / SIDE * np.arange(1, 9)[:, None] * (np.arange(SIDE) + 0.5)).astype(np.float32)


def _looks(batches: Iterable[Any]) -> Iterator[tuple[Any, _Looks]]:
    """Each batch of rows with its looks, from processes: Pillow holds the interpreter lock much of the time."""
    import loky

    pool: Any
    try:
        pool = loky.get_reusable_executor(timeout=10)
    except (AssertionError, ImportError, OSError):  # no process can be started here
        pool = ThreadPoolExecutor(1)
    waiting = deque[tuple[Any, Any]]()
    for batch in batches:
        check()
        waiting.append((batch, pool.submit(_Looks.of, batch["thumbnail"].to_pylist())))
        if len(waiting) > AHEAD:
            before, look = waiting.popleft()
            yield before, look.result()
    yield from ((batch, look.result()) for batch, look in waiting)


def _linked_vectors(vectors: NDArray[np.float32], least: float) -> list[Rows]:
    """Groups of vectors (n, d) whose cosine is at least that: compared in SHORT random directions first."""
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True) if len(vectors) else vectors
    short, margin = vectors, 0.0
    if vectors.shape[1] > 2 * SHORT:
        directions = np.random.default_rng(0).normal(size=(vectors.shape[1], SHORT)).astype(np.float32)
        short = vectors @ directions
        short /= np.linalg.norm(short, axis=1, keepdims=True)
        margin = 4 * (1 - least**2) / SHORT**0.5  # four standard deviations

    def near(start: int, column: int) -> Pairs:
        scores = short[start : start + BLOCK[0]] @ short[column : column + BLOCK[1]].T
        pairs = _pairs(scores >= least - margin - ROUNDING, start, column)
        cosines = np.einsum("md,md->m", vectors[pairs[:, 0]], vectors[pairs[:, 1]])
        same: Pairs = pairs[cosines >= least - ROUNDING]
        return same

    return _linked(near, len(short))


def _pairs(near: NDArray[np.bool_], start: int, column: int) -> Pairs:
    """The pairs (m, 2) of a block that begins there, the first row smaller."""
    row, place = np.divmod(np.flatnonzero(near), near.shape[1])  # many times as quick as argwhere
    pairs: Pairs = np.stack([row + start, place + column], axis=1)
    return pairs[pairs[:, 0] < pairs[:, 1]]


def _linked(near: Callable[[int, int], Pairs], count: int) -> list[Rows]:
    """The groups of `count` rows, each ascending, that pairs link.

    near: the pairs of the block that begins at a row and a column; called in threads.
    """
    parent = list(range(count))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = row = parent[parent[row]]
        return row

    blocks = [(row, column) for row in range(0, count, BLOCK[0]) for column in range(row, count, BLOCK[1])]
    with ThreadPoolExecutor() as threads:
        for some in (blocks[at : at + BLOCKS] for at in range(0, len(blocks), BLOCKS)):
            check()
            for pairs in threads.map(lambda block: near(*block), some):
                for one, other in pairs.tolist():
                    low, high = sorted((root(one), root(other)))
                    parent[high] = low
    roots = np.array([root(row) for row in range(count)], np.int64)
    order = np.argsort(roots, kind="stable")
    cuts = np.flatnonzero(np.diff(roots[order])) + 1
    return [group for group in np.split(order, cuts) if len(group) > 1]
