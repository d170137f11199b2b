"""POST /v1/collections/{collection}/search, and a batch of queries."""

import asyncio
from collections.abc import Mapping
from contextlib import ExitStack, nullcontext
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from oneword.engine import views
from oneword.engine.encoder import Side
from oneword.engine.errors import EngineError
from oneword.query.errors import QueryError
from oneword.query.mixing import PreparedQuery
from oneword.query.result import SearchResult
from oneword.query.server import requests
from oneword.query.server.collection_route import MOVED, CollectionRoute
from oneword.query.server.images import check_used
from oneword.query.server.listing import Listing, Pieces, check_size, length, listed
from oneword.query.server.problem import Problem
from oneword.query.server.queries import QueriesIn, QueryIn, adopted
from oneword.query.server.registry import Served, State, Stopwatch, record_stage, state_of
from oneword.query.server.response import dumped
from oneword.query.server.schemas import ResultOut, ResultsOut, operation
from oneword.query.server.threads import gather
from oneword.storage import StorageError

router = APIRouter(prefix="/v1/collections/{collection}", tags=["search"], route_class=CollectionRoute)

AT_ONCE = 4
"""Queries of one batch that are searched concurrently, once they are embedded: their results are in memory."""


@router.post("/search", **operation("read", QueryIn, files="query", out=ResultOut))
async def search(request: Request, collection: str) -> Response:
    """Find items by text, image, image and edit, stored item, vector, or any weighted mix of them."""
    stopwatch, state = Stopwatch(), state_of(request)
    body, uploads = await requests.read_with_files(request, QueryIn, "query")
    query = adopted(body, uploads)
    check_used(uploads, (one.text for one in query.pictures()))
    served = await state.collections.opened(collection)
    return Listing(await _answer(request, served, query, uploads, stopwatch))


@router.post("/search:batch", **operation("read", QueriesIn, files="queries", out=ResultsOut))
async def search_batch(request: Request, collection: str) -> Response:
    """Answer several queries on one version; a query that fails does not fail the others."""
    state = state_of(request)
    body, uploads = await requests.read_with_files(request, QueriesIn, "queries")
    check_used(uploads, (one.text for query in body.queries for one in query.pictures()))
    served = await state.collections.get(collection)
    version = await state.workers.run("search", lambda: served.collection.version)
    slots, size = asyncio.Semaphore(AT_ONCE), 0

    async def one(place: int, query: QueryIn) -> Pieces:
        nonlocal size
        pinned = query if query.version is not None else query.model_copy(update={"version": version})
        try:
            result = await _answer(request, served, pinned, uploads, Stopwatch(), slots)
        except (Problem, EngineError, StorageError, QueryError) as error:
            if isinstance(error, MOVED) and await state.collections.replaced(collection, served):
                raise  # all of them are asked again, so that they are of one collection
            problem = Problem.of(error)
            problem.field = f"queries[{place}]" + (f".{problem.field}" if problem.field else "")
            result = [dumped({"error": problem.as_dict()})]
        size = check_size(size + length(result))
        memory.enter_context(state.memory.counted(length(result)))
        return result

    with ExitStack() as memory:
        results = await gather(one(place, query) for place, query in enumerate(body.queries))
        return Listing(listed("results", results, {"version": version}))


async def _answer(
    request: Request,
    served: Served,
    query: QueryIn,
    uploads: Mapping[str, bytes],
    stopwatch: Stopwatch,
    slots: asyncio.Semaphore | None = None,
) -> Pieces:
    """The result as JSON. slots: limits how many queries are searched at a time."""
    state, began = state_of(request), stopwatch.ms
    _check_view(served, query.view)
    async with state.images.read(query.pictures(), uploads) as images:
        prepared = PreparedQuery.of(query.query([one.image for one in images]))
        if prepared.inputs:
            batcher = await state.collections.batcher(served)
            prepared = prepared.reading(await batcher.read([*prepared.inputs.values()]))
        embedded = await _embedded(state, served, prepared)
    if prepared.query.explain:
        await state.collections.batcher(served)
    encode_ms = stopwatch.ms - began

    def answer() -> tuple[SearchResult, Pieces]:
        served.check()
        result = served.service.answer(prepared, embedded, encode_ms=encode_ms)
        return result, _written(result, payload="payload" in prepared.query.include, total_ms=stopwatch.ms)

    async with slots or nullcontext():
        result, written = await state.workers.run("rerank" if prepared.query.rerank else "search", answer)
    record_stage(request, "encode", encode_ms)
    record_stage(request, "search", result.search_ms)
    return written


def _written(result: SearchResult, *, payload: bool, total_ms: float) -> Pieces:
    about = result.about()
    timings = {**about["timings"], "total_ms": round(total_ms, 3)}
    return listed("hits", (hit.as_dict(payload=payload) for hit in result), {**about, "timings": timings})


def _check_view(served: Served, name: str | None) -> None:
    """Only built-in views and the collection's own: any other name might be read as the path of a file."""
    if name not in (None, served.service.view.name, *views.BUILT_IN):
        raise Problem(
            "bad_view",
            f"no view is called {str(name)[:60]!r}",
            remedy=f"Leave it out, or give {served.service.view.name!r}, the collection's.",
            field="view",
        )
    served.service.check_view(name)


async def _embedded(state: State, served: Served, prepared: PreparedQuery) -> dict[int, Any]:
    if not prepared.inputs:
        return {}
    batcher = await state.collections.batcher(served)
    vectors = await batcher.embed(list(prepared.inputs.values()), served.service.view, Side.QUERY)
    for vector in vectors:
        if isinstance(vector, EngineError):
            raise vector
    return dict(zip(prepared.inputs, vectors, strict=True))
