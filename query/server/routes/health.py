"""Liveness, readiness and metrics of the service, and its warm-up."""

import asyncio
import gc
import logging
import time
from collections.abc import Iterator, Sequence
from typing import Any

from fastapi import APIRouter, Request
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.responses import PlainTextResponse, Response

from oneword.engine.encoder import Side
from oneword.engine.errors import EngineError
from oneword.engine.inputs import Text
from oneword.engine.views import DEFAULT
from oneword.query.reranking import AUTO
from oneword.query.server.auth import needs
from oneword.query.server.problem import MEDIA_TYPE, Problem
from oneword.query.server.registry import Served, State, state_of
from oneword.query.server.schemas import ProblemOut, StatusOut
from oneword.query.server.telemetry import METRICS_TYPE
from oneword.storage import StorageError

log = logging.getLogger(__name__)

router = APIRouter(tags=["operation"])

PAUSE = 5.0
"""Seconds between two attempts to become ready."""

_UNREADY: dict[int | str, dict[str, Any]] = {
    503: {"description": "Not ready; `detail` says why.", "content": {MEDIA_TYPE: {}}, "model": ProblemOut}
}


@router.get("/livez", response_model_exclude_unset=True)
async def live() -> StatusOut:
    """The process is alive."""
    return StatusOut(status="ok")


@router.get("/readyz", response_model_exclude_none=True, responses=_UNREADY)
async def ready(request: Request) -> StatusOut:
    """The service is ready: the model has encoded a text, and the collections are open."""
    reasons = unready(state_of(request))
    if reasons:
        raise Problem("not_ready", "; ".join(reasons))
    damaged = [name for name, served in state_of(request).collections.open.items() if _is_damaged(served)]
    detail = [f"the ANN index of {name!r} is damaged: searches scan the table until it is rebuilt" for name in damaged]
    return StatusOut(status="ready", detail="; ".join(detail) or None)


def _is_damaged(served: Served) -> bool:
    serving = served.collection.index_keeper()
    return serving is not None and serving.damaged


@router.get("/metrics", dependencies=[needs("read")], response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """Metrics in Prometheus' text format."""
    state = state_of(request)
    return Response(await state.workers.run("metrics", state.metrics.text), media_type=METRICS_TYPE)


def unready(state: State) -> list[str]:
    """The reasons why the service is not ready; empty if it is."""
    reasons = [] if state.warm else [state.reason]
    reasons += [f"model {name!r} hangs" for name in state.models.wedged]
    reasons += ["shutting down"] if state.draining else []
    return reasons


async def warm_up(state: State) -> None:
    """Opens collections, loads their models and runs each once; repeats until one collection can be searched.

    Without collections, loads the model that new collections would have.
    """
    await state.processes.warm_up()
    if state.config.rerank is not None:
        try:
            await state.workers.run("slow", state.collections.rerankers.get, AUTO)
        except Exception as error:  # searches that do not ask for it are answered
            _log(f"the reranker {state.config.rerank!r} cannot be loaded", error)
    while not state.warm:
        try:
            names: Sequence[str] | None = state.config.warm
            if names is None:
                names = await state.workers.run("search", state.collections.store.collections)
            outcomes = [await _opened(state, name) for name in names] or [await _answered(state, None)]
            problems = [one for one in outcomes if one is not None]
            state.warm = len(problems) < len(outcomes)
            state.reason = problems[0] if problems else ""
        except Exception as error:
            state.reason = "the store cannot be read"
            _log("not ready", error)
        if not state.warm:
            await asyncio.sleep(PAUSE)
    # Models and libraries stay in memory: a garbage collection that scans them pauses everything for 0.1 s.
    gc.collect()
    gc.freeze()
    log.info("ready")


async def _opened(state: State, name: str) -> str | None:
    try:
        served = await state.collections.get(name)
        # Maps the index, so that the first search is not slower.
        await state.workers.run("search", served.collection.index_info)
        await state.collections.batcher(served)
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
    """Logs an error, with its traceback if it is not one of ours."""
    log.error("%s: %s", what, error, exc_info=None if isinstance(error, EngineError | StorageError) else error)


class ServiceMetrics(Collector):
    """Metrics of the running service that are computed when they are read."""

    def __init__(self, state: State) -> None:
        self._state = state

    def collect(self) -> Iterator[Metric]:
        """As prometheus_client requires."""
        families: dict[str, GaugeMetricFamily] = {}
        for name, meaning, labels, value in self._read():
            family = families.setdefault(name, GaugeMetricFamily(f"oneword_{name}", meaning, labels=list(labels)))
            family.add_metric(list(labels.values()), float(value))
        yield from families.values()

    def _read(self) -> Iterator[tuple[str, str, dict[str, str], float]]:
        """Name, meaning, labels and value of each gauge."""
        state = self._state
        yield "ready", "Whether the service is ready.", {}, not unready(state)
        if state.connections is not None:
            yield "connections", "Open connections.", {}, len(state.connections)
        yield "held_answer_bytes", "Bytes of large responses not read yet by their clients.", {}, state.memory.bytes
        yield "vector_cache_bytes", "Bytes of cached vectors.", {}, state.models.cached
        for name, batcher in state.models.batchers.items():
            yield "encode_queue", "Inputs that wait for a batch.", {"model": name}, batcher.waiting
        for name, served in state.collections.open.items():
            labels = {"collection": name}
            yield "write_queue", "Writes that wait for a commit.", labels, served.writer.waiting
            try:
                snapshot, keeper = served.collection.snapshot(), served.collection.index_keeper()
                info = keeper.info(snapshot) if keeper else None
                built = keeper.built(snapshot) if keeper else None
            except Exception as error:  # metrics of other collections are still read
                _log(f"no metrics of collection {name!r}", error)
                continue
            if keeper is not None:
                yield "index_damaged", "ANN indexes found damaged since the start.", labels, keeper.distrusted
                yield ("index_distrusted", "Whether the newest ANN index is damaged.", labels, keeper.damaged)
            yield "collection_version", "The newest version.", labels, snapshot.version
            if info is not None and built is not None:
                yield "index_age_seconds", "Seconds since the ANN index was built.", labels, time.time() - built
                behind = snapshot.version - info.version
                yield "index_versions_behind", "Versions since the ANN index was built.", labels, behind
