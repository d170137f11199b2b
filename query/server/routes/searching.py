"""POST /v1/collections/{collection}/search, and many at once."""

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
from oneword.query.mixing import Question
from oneword.query.server import payload
from oneword.query.server.catalogue import Served
from oneword.query.server.guard.access import needs
from oneword.query.server.listing import Listing, Pieces, check_size, length, listed
from oneword.query.server.pictures import check_used
from oneword.query.server.problem import Problem
from oneword.query.server.questions import QueriesIn, QueryIn, adopted
from oneword.query.server.response import dumped
from oneword.query.server.schemas import PROBLEMS, ResultOut, ResultsOut, json_or_files
from oneword.query.server.state import Clock, State, state_of, tell_stage
from oneword.query.server.together import together
from oneword.storage import CollectionNotFound, SpaceMismatch, StorageError

router = APIRouter(prefix="/v1/collections/{collection}", tags=["search"])

AT_ONCE = 4
"""Queries of one batch that are searched for at the same time, once they are embedded: what they find is in memory."""


@router.post(
    "/search",
    dependencies=[needs("read")],
    response_model=ResultOut,
    responses=PROBLEMS,
    openapi_extra=json_or_files(QueryIn, "query"),
)
async def search(request: Request, collection: str) -> Response:
    """Find items by text, picture, picture and edit, stored item, vector, or any weighted mix of them."""
    clock, state = Clock(), state_of(request)
    sent = await payload.read(request, QueryIn, "query")
    query = adopted(sent.body, sent.uploads)
    check_used(sent.uploads, (text for text, _ in query.pictures()))
    served = await state.catalogue.get(collection)
    try:
        result = await _answered(request, served, query, sent.uploads, clock)
    except (SpaceMismatch, CollectionNotFound):  # another may have taken its name since it was opened
        renewed = await state.catalogue.renewed(served)
        if renewed is None:
            raise
        result = await _answered(request, renewed, query, sent.uploads, clock)
    return Listing(result)


@router.post(
    "/search:batch",
    dependencies=[needs("read")],
    response_model=ResultsOut,
    responses=PROBLEMS,
    openapi_extra=json_or_files(QueriesIn, "queries"),
)
async def search_batch(request: Request, collection: str) -> Response:
    """Answer several queries of one version; one that cannot be answered does not fail the others."""
    state = state_of(request)
    sent = await payload.read(request, QueriesIn, "queries")
    check_used(sent.uploads, (text for query in sent.body.queries for text, _ in query.pictures()))
    served = await state.catalogue.current(collection)
    version = await state.workers.run("search", lambda: served.collection.version)

    turns, size = asyncio.Semaphore(AT_ONCE), 0

    async def one(place: int, query: QueryIn, stack: ExitStack) -> Pieces:
        nonlocal size
        result = await answered(place, query)
        size = check_size(size + length(result))
        stack.enter_context(state.held.counted(length(result)))
        return result

    async def answered(place: int, query: QueryIn) -> Pieces:
        pinned = query if query.version is not None else query.model_copy(update={"version": version})
        try:
            return await _answered(request, served, pinned, sent.uploads, Clock(), turns)
        except (Problem, EngineError, StorageError, QueryError) as error:
            problem = Problem.of(error)
            problem.field = f"queries[{place}]" + (f".{problem.field}" if problem.field else "")
            return [dumped({"error": problem.as_dict()})]

    with ExitStack() as stack:
        results = await together(one(place, query, stack) for place, query in enumerate(sent.body.queries))
        return Listing(listed("results", results, {"version": version}))


async def _answered(
    request: Request,
    served: Served,
    asked: QueryIn,
    uploads: Mapping[str, bytes],
    clock: Clock,
    turns: asyncio.Semaphore | None = None,
) -> Pieces:
    """The result in JSON. turns: of those that are searched for at the same time."""
    state, began = state_of(request), clock.ms
    _check_view(served, asked.view)
    named = asked.pictures()
    if named:
        async with state.pictures.read(named, uploads) as pictures:
            question = Question.of(asked.query([one.image for one in pictures]))
            embedded = await _embedded(state, served, question)
    else:
        question = Question.of(asked.query([]))
        embedded = await _embedded(state, served, question)
    if question.query.explain:
        await state.catalogue.batcher(served)
    encode_ms = clock.ms - began

    def written() -> tuple[float, Pieces]:
        result = served.service.answer(question, embedded, encode_ms=encode_ms)
        timings = {"encode_ms": encode_ms, "search_ms": result.search_ms, "total_ms": clock.ms}
        rest = result.about() | {"timings": {name: round(ms, 3) for name, ms in timings.items()}}
        with_payload = "payload" in question.query.include
        return result.search_ms, listed("hits", (hit.as_dict(payload=with_payload) for hit in result), rest)

    async with turns or nullcontext():
        search_ms, document = await state.workers.run("search", written)
    tell_stage(request, "encode", encode_ms)
    tell_stage(request, "search", search_ms)
    return document


def _check_view(served: Served, name: str | None) -> None:
    """A name that is neither built in nor the collection's might be read as a file's."""
    if name not in (None, served.service.view.name, *views.BUILT_IN):
        raise Problem(
            422,
            "bad_view",
            f"no view is called {str(name)[:60]!r}",
            remedy=f"Leave it out, or give {served.service.view.name!r}, the collection's.",
            field="view",
        )
    served.service.check_view(name)


async def _embedded(state: State, served: Served, question: Question) -> dict[int, Any]:
    if not question.inputs:
        return {}
    batcher = await state.catalogue.batcher(served)
    vectors = await batcher.embed(list(question.inputs.values()), served.service.view, Side.QUERY)
    for vector in vectors:
        if isinstance(vector, EngineError):
            raise vector
    return dict(zip(question.inputs, vectors, strict=True))
