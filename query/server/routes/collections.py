"""Collections: create, list, describe and drop; verify and build their ANN index; their quarantine."""

import logging
from itertools import chain, islice
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query, Request
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from starlette.responses import Response

import oneword.engine.views as views
from oneword.engine.catalog import SHIPPED
from oneword.engine.declared import is_declared
from oneword.engine.encoder import Side
from oneword.engine.errors import EngineError
from oneword.engine.inputs import Text
from oneword.engine.unrelated import PHRASES
from oneword.query.server import requests
from oneword.query.server.collection_route import CollectionRoute
from oneword.query.server.problem import Problem
from oneword.query.server.registry import Served, State, state_of
from oneword.query.server.requests import Body, Name
from oneword.query.server.schemas import (
    BuildingOut,
    CollectionsOut,
    DuplicatesOut,
    QuarantineOut,
    VersionsOut,
    operation,
)
from oneword.storage import CollectionInfo, CollectionNotFound, IndexCheck, MissingFaiss, StorageError
from oneword.storage.info import By

log = logging.getLogger(__name__)

router = APIRouter(prefix="/v1/collections", tags=["collections"], route_class=CollectionRoute)


class CollectionIn(Body):
    """A collection to create."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "photos"}, {"name": "dresses", "view": "default"}]}
    )

    name: Annotated[Name, Field(examples=["photos"])]
    model: Annotated[Name | None, Field(description="Default: the service's.")] = None
    view: Annotated[Name, Field(description="A built-in view.", examples=["default"])] = "default"


@router.get("", **operation("read"))
async def all_collections(request: Request) -> CollectionsOut:
    """All collections."""
    state = state_of(request)
    names = await state.workers.run("search", state.collections.store.collections)
    found, damaged = [], []
    for name in names:
        try:
            served = await state.collections.get(name)
            found.append(await state.workers.run("search", served.collection.summary))
        except CollectionNotFound:  # dropped meanwhile
            state.collections.forget(name)
        except StorageError:
            damaged.append(name)
            state.collections.forget(name)
    return CollectionsOut(collections=found, damaged=damaged)


@router.post("", status_code=201, **operation("admin", CollectionIn))
async def create(request: Request, response: Response) -> CollectionInfo:
    """Create an empty collection for a model and a view."""
    state = state_of(request)
    body = await requests.read(request, CollectionIn)
    _check_model(state, body.model)
    if body.view not in views.BUILT_IN:
        known = ", ".join(views.BUILT_IN)
        raise Problem(
            "bad_view", f"no view is called {body.view[:60]!r}", remedy=f"Expected one of {known}.", field="view"
        )
    batcher = await state.models.get(body.model or state.config.model.model)
    space = batcher.encoder.space(views.get(body.view)).as_dict()
    await state.workers.run("write", state.collections.store.create, body.name, space)
    state.collections.forget(body.name)
    served = await state.collections.get(body.name)
    response.headers["Location"] = f"/v1/collections/{body.name}"
    return await state.workers.run("search", served.collection.info)


@router.get("/{collection}", **operation("read"))
async def describe(request: Request, collection: str) -> CollectionInfo:
    """Details of a collection."""
    state = state_of(request)
    served = await state.collections.get(collection)
    return await state.workers.run("search", served.collection.info)


@router.delete("/{collection}", status_code=204, **operation("admin"))
async def drop(request: Request, collection: str) -> Response:
    """Delete a collection and all of its items, permanently."""
    state = state_of(request)
    await state.workers.run("write", state.collections.store.drop, collection)
    state.collections.forget(collection)
    return Response(status_code=204)


@router.post("/{collection}/verify", **operation("admin"))
async def verify(request: Request, collection: str) -> IndexCheck:
    """Compare the ANN index with the table, and measure its recall."""
    state = state_of(request)
    served = await state.collections.get(collection)
    check = await state.workers.run("slow", served.collection.verify)
    if check is None:
        detail = f"collection {collection!r} has no ANN index: searches compare every vector, which is exact"
        raise Problem("no_index", detail, remedy=f"POST /v1/collections/{collection}/build builds one.")
    return check


@router.post("/{collection}/build", status_code=202, **operation("admin"))
async def build(request: Request, collection: str) -> BuildingOut:
    """Start to rebuild the ANN index, and to learn what scores mean; searches go on meanwhile."""
    state = state_of(request)
    served = await state.collections.get(collection)
    keeper = await state.workers.run("slow", served.collection.index_keeper)
    if keeper is None:
        raise MissingFaiss(collection)
    known = await state.workers.run("slow", lambda: keeper.confidence(served.collection.snapshot()))
    texts = None if known is not None and known.unrelated is not None else await _unrelated(state, served)

    def begun() -> bool:
        return keeper.build_aside(served.collection.snapshot(), unrelated=lambda: texts) is not None

    return BuildingOut(building=await state.workers.run("slow", begun))


async def _unrelated(state: State, served: Served) -> NDArray[np.float32] | None:
    """Vectors of unrelated texts by the collection's model; None, with a warning, where it cannot embed them."""
    try:
        batcher = await state.collections.batcher(served)
        texts = [Text(text=phrase) for phrase in PHRASES]
        vectors = await batcher.embed(texts, served.service.view, Side.QUERY)
    except EngineError as error:
        log.warning("collection %r: hits by texts get no confidence: %s", served.collection.name, error)
        return None
    made = [vector for vector in vectors if not isinstance(vector, EngineError)]
    return np.stack(made) if made else None


@router.get("/{collection}/duplicates", **operation("read"))
async def duplicates(
    request: Request,
    collection: str,
    by: By = "pixels",
    threshold: Annotated[float | None, Query(ge=0.5, le=1)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> DuplicatesOut:
    """Exact and near copies among the images; it takes seconds for each 10,000. Nothing is deleted."""
    state = state_of(request)
    served = await state.collections.get(collection)
    groups = await state.workers.run("overview", served.collection.duplicates, by, threshold)
    return DuplicatesOut(groups=groups[:limit], total=len(groups))


@router.get("/{collection}/quarantine", **operation("read"))
async def quarantine(
    request: Request, collection: str, limit: Annotated[int, Query(ge=1, le=1000)] = 100
) -> QuarantineOut:
    """Inputs of indexing jobs that could not be indexed, and why."""
    state = state_of(request)
    await state.collections.get(collection)

    def read() -> QuarantineOut:
        held = state.collections.store.quarantine(collection)
        entries = islice(chain.from_iterable(held.batches()), limit)
        return QuarantineOut(quarantined=list(entries), total=held.count())

    return await state.workers.run("search", read)


@router.get("/{collection}/versions", **operation("read"))
async def versions(request: Request, collection: str) -> VersionsOut:
    """The versions that are kept, oldest first; a search can be of any of them."""
    state = state_of(request)
    served = await state.collections.get(collection)
    return VersionsOut(versions=await state.workers.run("search", served.collection.versions))


def _check_model(state: State, name: str | None) -> None:
    """Only the service's models, those shipped with it, and declared spaces: others may be paths, downloads or URLs."""
    insisted = state.config.model.model
    allowed = {"auto", insisted, *state.models.batchers, *(SHIPPED if insisted == "auto" else ())}
    if name is not None and name not in allowed and not (insisted == "auto" and is_declared(name)):
        raise Problem(
            "bad_model",
            f"model {name[:100]!r} is not served here",
            remedy=f"Expected one of {', '.join(sorted(allowed))}, or vectors:NAME:DIMENSIONS.",
            field="model",
        )
