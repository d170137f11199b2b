"""The application: routes, errors, and the layers around them."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp

from oneword.engine.errors import EngineError
from oneword.engine.models import check_name
from oneword.query.errors import QueryError
from oneword.query.jobs import Indexing
from oneword.query.server.config import ServerConfig
from oneword.query.server.guard.exposure import check_exposed
from oneword.query.server.guard.gate import Gate
from oneword.query.server.guard.guard import Guard
from oneword.query.server.guard.outermost import speaks_openai
from oneword.query.server.guard.outflow import Outflow
from oneword.query.server.keys.keys import Keys
from oneword.query.server.payload import problem_of
from oneword.query.server.problem import Problem
from oneword.query.server.routes import (
    collections,
    embeddings,
    health,
    items,
    media,
    overview,
    pages,
    reference,
    searching,
)
from oneword.query.server.routes.jobs import job_routes
from oneword.query.server.schemas import PROBLEMS, complete_openapi
from oneword.query.server.state import State, state_of
from oneword.query.server.telemetry import Telemetry
from oneword.query.server.tracing import OpenTelemetry, Tracer
from oneword.storage import CollectionNotFound, SpaceMismatch, StorageError

log = logging.getLogger(__name__)

ROUTERS = (
    searching.router,
    media.router,  # media first: an id may hold a slash
    items.router,
    collections.router,
    overview.router,
    pages.router,
    reference.router,
    embeddings.router,
    health.router,
)


def application(config: ServerConfig, indexing: Indexing | None = None) -> tuple[ASGIApp, State]:
    """The service as an ASGI application, with all of its layers, and its state.

    From the outside in: telemetry, guard (who may call, and how much they may send), outflow (how much is held for
    them to read), gate (how many, how long), routes.

    Args:
        indexing: makes jobs, for which the configuration says where they may read from; None: there are none.

    Raises:
        KeyFileError: the file of keys cannot be used.
        Exposed: strangers could reach it, and there are no keys.
        ModelNotFound: there can be no model of that name.
    """
    check_exposed(config)
    check_name(config.model.model)
    keys = Keys.load(config.keys_file) if config.keys_file is not None else None
    state, tracer = State.of(config, indexing), OpenTelemetry(config.otlp) if config.otlp else Tracer()
    state.metrics.watch(health.ServiceGauges(state))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        warming = asyncio.create_task(health.warm_up(state))
        try:
            yield
        finally:
            warming.cancel()
            with suppress(asyncio.CancelledError):
                await warming
            await state.close()
            await asyncio.to_thread(tracer.close)

    app = FastAPI(
        title="Oneword",
        summary="Multimodal vector search: by words, by a picture, or by a picture and an edit.",
        version=version("oneword"),
        lifespan=lifespan,
        docs_url=None,  # FastAPI's pages load scripts from other hosts; `routes/reference.py` has one that does not
        redoc_url=None,
        redirect_slashes=False,  # to where the header Host says, which anyone may write
    )
    app.state.oneword = state
    for router in ROUTERS:
        app.include_router(router)
    app.include_router(job_routes(indexing.options if indexing else None), responses=PROBLEMS)
    for kind in (Problem, EngineError, StorageError, QueryError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, _told)
    described = app.openapi
    app.openapi = lambda: app.openapi_schema or complete_openapi(described())  # type: ignore[method-assign]
    guard = Guard(Outflow(Gate(app, config, state.metrics), state.held), config, keys)
    return Telemetry(guard, state.metrics, tracer), state


async def _told(request: Request, error: Exception) -> Response:
    match error:
        case RequestValidationError():
            problem = problem_of([{**one, "loc": one["loc"][1:]} for one in error.errors()])
        case HTTPException():
            problem = _of_http(error, request)
        case _:
            problem = Problem.of(error)
    if isinstance(error, SpaceMismatch | CollectionNotFound):
        await _renew(request)
    # A Problem is no news (every probe of a service that is not ready has one); what is internal has its traceback.
    if problem.status >= 500 and problem.code != "internal" and not isinstance(error, Problem):
        log.error("%s: %s", type(error).__name__, error, extra={"request_id": _id(request)})
    request.scope.setdefault("state", {})["problem"] = problem.code  # for who counts them
    return problem.response(_id(request), openai=speaks_openai(request.url.path))


async def _renew(request: Request) -> None:
    """Another may have taken the collection's name since it was opened: then the next request finds it."""
    catalogue = state_of(request).catalogue
    served = catalogue.open.get(request.path_params.get("collection", ""))
    if served is not None:
        with suppress(StorageError):
            await catalogue.renewed(served)


def _of_http(error: HTTPException, request: Request) -> Problem:
    codes = {404: "no_such_path", 405: "method_not_allowed", 400: "malformed_body"}
    remedy = "Paths and methods are in /openapi.json." if error.status_code in (404, 405) else None
    code = codes.get(error.status_code, "http_error")
    headers, detail, path = dict(error.headers or {}), str(error.detail), request.url.path
    if error.status_code == 404:
        detail = f"there is no path {path[:200]!r}"
    if error.status_code == 405 and (allowed := _allowed(request)):
        headers["Allow"] = ", ".join(allowed)  # Starlette names the methods of the first route alone
        detail = f"{request.method} is not for {path[:200]!r}: expected {' or '.join(allowed)}"
    return Problem(error.status_code, code, detail, remedy=remedy, headers=headers)


def _allowed(request: Request) -> list[str]:
    """The methods of all routes that a request's path has."""
    routes = [route for route in request.app.routes if isinstance(route, APIRoute)]
    first = next((route.path for route in routes if route.path_regex.match(request.url.path)), None)
    return sorted({method for route in routes if route.path == first for method in route.methods or ()})


def _id(request: Request) -> Any:
    return request.scope.get("state", {}).get("request_id")
