"""Whether the service lives, is ready, and how it does; and what makes it ready."""

import asyncio
import gc
import logging
import time
from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse, Response

from oneword.engine.encoder import Side
from oneword.engine.errors import EngineError
from oneword.engine.inputs import Text
from oneword.engine.views import DEFAULT
from oneword.query.server.catalogue import Served
from oneword.query.server.guard.access import needs
from oneword.query.server.metrics import CONTENT_TYPE, Gauges
from oneword.query.server.problem import MEDIA_TYPE, Problem
from oneword.query.server.schemas import ProblemOut, StatusOut
from oneword.query.server.state import State, state_of
from oneword.storage import StorageError

log = logging.getLogger(__name__)

router = APIRouter(tags=["operation"])

PAUSE = 5.0
"""Seconds between two tries to become ready."""

_UNREADY: dict[int | str, dict[str, Any]] = {
    503: {"description": "Not ready; `detail` says why.", "content": {MEDIA_TYPE: {}}, "model": ProblemOut}
}


@router.get("/livez", response_model_exclude_unset=True)
async def live() -> StatusOut:
    """The process answers."""
    return StatusOut(status="ok")


@router.get("/readyz", response_model_exclude_none=True, responses=_UNREADY)
async def ready(request: Request) -> StatusOut:
    """Requests can be answered: the model has, and the collections are open."""
    reasons = unready(state_of(request))
    if reasons:
        raise Problem(503, "not_ready", "; ".join(reasons), remedy="Ask again in a moment.", retry_after=1)
    damaged = [name for name, served in state_of(request).catalogue.open.items() if _is_damaged(served)]
    detail = [f"the serving index of {name!r} is damaged: searches ask the table until it is built" for name in damaged]
    return StatusOut(status="ready", detail="; ".join(detail) or None)


def _is_damaged(served: Served) -> bool:
    serving = served.collection.index_keeper()
    return serving is not None and serving.damaged


@router.get("/metrics", dependencies=[needs("read")], response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """Numbers, as Prometheus reads them."""
    state = state_of(request)
    return Response(await state.workers.run("metrics", state.metrics.text), media_type=CONTENT_TYPE)


def unready(state: State) -> list[str]:
    """What keeps the service from answering."""
    reasons = [] if state.warm else [state.reason]
    reasons += [f"model {name!r} hangs" for name in state.models.wedged]
    reasons += ["shutting down"] if state.draining else []
    return reasons


async def warm_up(state: State) -> None:
    """Opens the collections, loads their models and lets each answer once; again and again, until it is done.

    A collection whose model cannot be had does not keep the others from being served: only if none can is the service
    not ready. Without collections it is the model that new ones would have.
    """
    await state.processes.warm_up()
    while not state.warm:
        try:
            names = await state.workers.run("search", state.catalogue.store.collections)
            outcomes = [await _opened(state, name) for name in names] or [await _answered(state, None)]
            problems = [one for one in outcomes if one is not None]
            state.warm = len(problems) < len(outcomes)
            state.reason = problems[0] if problems else ""
        except Exception as error:
            state.reason = "the store cannot be read"
            _log("not ready", error)
        if not state.warm:
            await asyncio.sleep(PAUSE)
    # Models and libraries stay: a collection of garbage that walks through them stops everything for 0.1 s.
    gc.collect()
    gc.freeze()
    log.info("ready")


async def _opened(state: State, name: str) -> str | None:
    try:
        served = await state.catalogue.get(name)
        # The index is mapped, and the first search is not slower than the others.
        await state.workers.run("search", served.collection.index_info)
        await state.catalogue.batcher(served)
        return await _answered(state, served.model)
    except Exception as error:
        _log(f"collection {name!r} cannot be searched by its model", error)
        return f"collection {name!r} cannot be searched by its model"


async def _answered(state: State, model: str | None) -> str | None:
    try:
        batcher = await state.models.get(model or state.config.model.model)
        (vector,) = await batcher.embed([Text(text="ready?")], DEFAULT, Side.QUERY)
    except Exception as error:
        _log("the model cannot be used", error)
        return "the model cannot be used"
    if isinstance(vector, EngineError):
        _log("the model gives no vectors", vector)
        return "the model gives no vectors"
    return None


def _log(what: str, error: Exception) -> None:
    """An error of ours says all there is to know; of any other the operator needs to see where it came from."""
    log.error("%s: %s", what, error, exc_info=None if isinstance(error, EngineError | StorageError) else error)


class ServiceGauges(Gauges):
    """Of the running service."""

    def __init__(self, state: State) -> None:
        self._state = state

    def read(self) -> Iterator[tuple[str, str, dict[str, str], float]]:
        """Queues, readiness, and the age of each serving index."""
        state = self._state
        yield "ready", "Whether the service is ready.", {}, float(not unready(state))
        if state.connections is not None:
            yield "connections", "Connections that are open.", {}, float(len(state.connections))
        yield "held_answer_bytes", "Large answers that their clients have not read yet.", {}, float(state.held.bytes)
        yield "vector_cache_bytes", "Vectors held in the cache.", {}, float(state.models.cached)
        for name, batcher in state.models.batchers.items():
            yield "encode_queue", "Inputs that wait for a batch.", {"model": name}, float(batcher.waiting)
        for name, served in state.catalogue.open.items():
            labels = {"collection": name}
            yield "write_queue", "Writes that wait for a commit.", labels, float(served.writer.waiting)
            try:
                snapshot, serving = served.collection.snapshot(), served.collection.index_keeper()
                about = serving.info(snapshot) if serving else None
                built = serving.built(snapshot) if serving else None
            except Exception as error:  # what there is to tell of the others is told
                _log(f"no metrics of collection {name!r}", error)
                continue
            if serving is not None:
                damaged = float(serving.distrusted)
                yield "index_damaged", "Serving indexes found damaged since the start.", labels, damaged
                meaning = "Whether the newest is damaged, so that searches ask the table."
                yield "index_distrusted", meaning, labels, float(serving.damaged)
            yield "collection_version", "The newest commit's number.", labels, float(snapshot.version)
            if about is not None and built is not None:
                behind = float(snapshot.version - about.version)
                yield "index_age_seconds", "Since the serving index was built.", labels, time.time() - built
                yield "index_versions_behind", "Commits since the serving index was built.", labels, behind
