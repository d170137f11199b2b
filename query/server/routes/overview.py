"""For the web page: facets of metadata, a map of vectors, and what the caller may do."""

import asyncio
from collections import Counter
from collections.abc import Callable
from importlib.metadata import version
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Query, Request
from numpy.typing import NDArray
from starlette.responses import Response

from oneword.query.items import stored_unit
from oneword.query.result import plain
from oneword.query.server.collection_route import CollectionRoute
from oneword.query.server.registry import Served, State, state_of
from oneword.query.server.response import answer
from oneword.query.server.schemas import Modality, Out, example, operation
from oneword.storage import Collection, Item

router = APIRouter(prefix="/v1", tags=["overview"], route_class=CollectionRoute)

SAMPLED = 5_000
"""Items sampled for facets."""

STRETCHES = 16
"""Places of the table to sample from, evenly spaced: adjacent items are often similar."""

MOST_VALUES = 20
"""Values listed for a field, most common first."""

NEAR = 10
"""Nearest neighbors considered for the modality gap."""

KEPT = 16
"""Overviews cached."""


class Overview:
    """A result that is computed once for all requests; cancelled when no request waits for it any more."""

    def __init__(self, task: asyncio.Task[dict[str, Any]]) -> None:
        self._task, self._waiting, self.abandoned = task, 0, False

    async def result(self) -> dict[str, Any]:
        """Waits for the result."""
        self._waiting += 1
        try:
            return await asyncio.shield(self._task)
        finally:
            self._waiting -= 1
            if not self._waiting and not self._task.done():
                self.abandoned = True
                self._task.cancel()


Vectors = NDArray[np.float32]


class MeOut(
    Out,
    json_schema_extra=example(
        key="k3y1d", scope="write", keys=True, jobs=False, fetch=True, rerank=False, max_body=33554432, version="0.1.0"
    ),
):
    """What the caller may do. key: its id; null where the service has no keys."""

    key: str | None
    scope: Literal["read", "write", "admin"]
    keys: bool
    jobs: bool
    fetch: bool
    rerank: bool
    max_body: int
    version: str


class ValueOut(Out):
    """A value, and the number of sampled items that have it."""

    value: str | bool
    count: int


class FacetOut(Out):
    """A field. items: the number of sampled items that have it."""

    name: str
    kind: Literal["string", "number", "bool", "time", "list of strings"]
    items: int
    min: float | str | None = None
    max: float | str | None = None
    values: list[ValueOut] | None = None


class _Sampled(Out):
    sampled: int
    total: int
    version: int


class FacetsOut(
    _Sampled,
    json_schema_extra=example(
        fields=[
            {"name": "year", "kind": "number", "items": 900, "min": 1999, "max": 2026},
            {"name": "tags", "kind": "list of strings", "items": 300, "values": [{"value": "pets", "count": 120}]},
        ],
        sampled=1200,
        total=1200,
        version=7,
    ),
):
    """The fields that filters can use."""

    fields: list[FacetOut]


class PointOut(Out):
    """An item on the map."""

    id: str
    x: float
    y: float
    modality: Modality
    uri: str
    text: str | None = None


class GapOut(Out):
    """The gap between texts and images: the distance of their means (0 to 2), and how often the ten nearest are of the
    other modality, relative to chance (1: no gap)."""

    centroid_distance: float
    cross_modal_neighbors: float


class MapOut(
    _Sampled,
    json_schema_extra=example(
        points=[{"id": "8674693222888d6c", "x": 0.31, "y": -0.12, "modality": "image", "uri": "file:///cat.jpg"}],
        gap={"centroid_distance": 0.52, "cross_modal_neighbors": 0.9},
        explained=[0.11, 0.07],
        sampled=1000,
        total=1200,
        version=7,
    ),
):
    """A sample of vectors in two dimensions. explained: the share of variance of each dimension."""

    points: list[PointOut]
    gap: GapOut | None
    explained: list[float]


@router.get("/me", **operation("read"))
async def me(request: Request) -> MeOut:
    """What the caller's key may do, and what the service offers."""
    state = state_of(request)
    principal = request.scope["state"]["principal"]
    keys = state.config.keys_file is not None
    return MeOut(
        key=principal.id if keys else None,
        scope=principal.scope,
        keys=keys,
        jobs=state.jobs is not None,
        fetch=state.config.fetch,
        rerank=state.config.rerank is not None,
        max_body=state.config.max_body,
        version=version("oneword"),
    )


@router.get("/collections/{collection}/facets", **operation("read", out=FacetsOut))
async def facets(request: Request, collection: str) -> Response:
    """The fields that filters can use, with their values and ranges in a sample."""
    state = state_of(request)
    served = await state.collections.get(collection)
    return answer(await _kept(state, served, "facets", lambda: facets_of(served.collection)))


@router.get("/collections/{collection}/map", **operation("read", out=MapOut))
async def map_(request: Request, collection: str, sample: Annotated[int, Query(ge=2, le=2000)] = 1000) -> Response:
    """A sample of vectors in two dimensions (principal components), and the gap between texts and images."""
    state = state_of(request)
    served = await state.collections.get(collection)
    return answer(await _kept(state, served, sample, lambda: map_of(served.collection, sample)))


async def _kept(state: State, served: Served, what: object, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The overview of the current version, from the cache or shared with a running request."""
    snapshot = await state.workers.run("search", served.collection.snapshot)
    key = (served.collection.name, snapshot.created, snapshot.version, what)

    def forget() -> None:
        if state.overviews.get(key) is kept:
            del state.overviews[key]

    kept: Overview | None = state.overviews.get(key)
    if kept is None or kept.abandoned:
        task = asyncio.get_running_loop().create_task(state.workers.run("overview", work))
        kept = state.overviews[key] = Overview(task)
        task.add_done_callback(lambda done: forget() if done.cancelled() or done.exception() else None)
        while len(state.overviews) > KEPT:
            state.overviews.popitem(last=False)
    return await kept.result()


def facets_of(collection: Collection) -> dict[str, Any]:
    """The fields that filters can use, as JSON."""
    items, total, version_ = sampled(collection, SAMPLED, vectors=False)
    kinds = dict(collection.info().metadata_keys)
    rows = [{**item.metadata, "width": item.width, "height": item.height} for item in items]
    kinds |= {name: "number" for name in ("width", "height") if name not in kinds and any(row[name] for row in rows)}
    fields = [
        _facet(name, kind, [row[name] for row in rows if row.get(name) is not None]) for name, kind in kinds.items()
    ]
    return {"fields": fields, "sampled": len(items), "total": total, "version": version_}


def map_of(collection: Collection, sample: int) -> dict[str, Any]:
    """The map, as JSON."""
    items, total, version_ = sampled(collection, sample, vectors=True)
    places, explained = (
        projected(np.stack([stored_unit(item) for item in items])) if items else (np.empty((0, 2)), [0.0, 0.0])
    )
    return {
        "points": [
            {
                "id": item.id,
                "x": round(float(x), 5),
                "y": round(float(y), 5),
                "modality": item.modality,
                "uri": item.uri,
            }
            | ({"text": item.text[:200]} if item.text else {})
            for item, (x, y) in zip(items, places, strict=True)
        ],
        "gap": gap_of(items),
        "explained": explained,
        "sampled": len(items),
        "total": total,
        "version": version_,
    }


def sampled(collection: Collection, count: int, *, vectors: bool) -> tuple[list[Item], int, int]:
    """Items from evenly spaced places, the total number of items, and the version."""
    total, version_ = collection.count(), collection.version
    if total <= count:
        items, _ = collection.page(limit=count, vectors=vectors, version=version_)
        return items, total, version_
    stretches = min(STRETCHES, count)
    items = []
    for n in range(stretches):
        first, end = count * n // stretches, count * (n + 1) // stretches  # places in the sample
        offset = first + n * (total - count) // stretches
        stretch, _ = collection.page(offset=offset, limit=end - first, vectors=vectors, version=version_)
        items += stretch
    return items, total, version_


def projected(vectors: Vectors) -> tuple[NDArray[np.float64], list[float]]:
    """Projects vectors, float32 (n, d), on their two principal components, (n, 2); and their shares of variance."""
    centered = vectors.astype(np.float64) - vectors.mean(axis=0)
    values, directions = np.linalg.eigh(centered @ centered.T)  # (n, n): n is less than d for large models
    values, directions = np.maximum(values[::-1][:2], 0), directions[:, ::-1][:, :2]
    # Signs are arbitrary: fix them, so that the same sample always gives the same map.
    signs = np.sign(directions[np.abs(directions).argmax(axis=0), range(directions.shape[1])])
    places = directions * signs * np.sqrt(values)
    whole = float((centered**2).sum()) or 1.0
    shares = [round(float(value) / whole, 4) for value in values]
    missing = 2 - places.shape[1]
    return np.pad(places, ((0, 0), (0, missing))), shares + [0.0] * missing


def gap_of(items: list[Item]) -> dict[str, float] | None:
    """The distance between the modalities; None if there is only one.

    centroid_distance: between the means of unit vectors, 0 to 2. cross_modal_neighbors: how often the nearest
    neighbors are of the other modality, relative to chance: 1 means no gap.
    """
    texts = np.array([item.modality == "text" for item in items], dtype=bool)
    if not texts.any() or texts.all() or len(items) <= NEAR:
        return None
    vectors = np.stack([stored_unit(item) for item in items])
    distance = float(np.linalg.norm(vectors[texts].mean(axis=0) - vectors[~texts].mean(axis=0)))
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -np.inf)
    nearest = np.argpartition(-similarity, NEAR, axis=1)[:, :NEAR]
    other = (texts[nearest] != texts[:, None]).mean(axis=1)
    expected = np.where(texts, np.count_nonzero(~texts), np.count_nonzero(texts)) / (len(items) - 1)
    return {
        "centroid_distance": round(distance, 4),
        "cross_modal_neighbors": round(float(other.mean() / expected.mean()), 4),
    }


def _facet(name: str, kind: str, values: list[Any]) -> dict[str, Any]:
    facet: dict[str, Any] = {"name": name, "kind": kind, "items": len(values)}
    if not values:
        return facet
    if kind in ("number", "time"):
        bounds = plain({"min": min(values), "max": max(values)})
        return facet | bounds
    flat = [one for value in values for one in value] if kind == "list of strings" else values
    counted = Counter(flat).most_common(MOST_VALUES)
    return facet | {"values": [{"value": value, "count": count} for value, count in counted]}
