"""What one running service holds, and where its routes find it."""

import asyncio
import logging
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request

from oneword.query.jobs import Indexing, Jobs
from oneword.query.server.catalogue import Catalogue
from oneword.query.server.config import ServerConfig
from oneword.query.server.guard.connections import Connections
from oneword.query.server.guard.outflow import Held
from oneword.query.server.limits import MAX_ANSWERS
from oneword.query.server.metrics import Metrics
from oneword.query.server.models import Models
from oneword.query.server.pictures import Pictures
from oneword.query.server.processes import Processes
from oneword.query.server.tracing import Span
from oneword.query.server.workers import Workers

log = logging.getLogger(__name__)


@dataclass(kw_only=True, eq=False)
class State:
    """Everything that lives as long as the service does."""

    config: ServerConfig
    workers: Workers
    processes: Processes
    held: Held
    metrics: Metrics
    models: Models
    catalogue: Catalogue
    pictures: Pictures
    jobs: Jobs | None = None
    connections: Connections | None = None
    warm: bool = False
    reason: str = "starting"
    draining: bool = False
    overviews: OrderedDict[Any, Any] = field(default_factory=OrderedDict)

    @classmethod
    def of(cls, config: ServerConfig, indexing: Indexing | None = None) -> "State":
        """Opens nothing yet. indexing: makes jobs."""
        workers, metrics, processes = Workers(), Metrics(), Processes(seconds=config.read_seconds)
        models = Models(config, workers, metrics)
        named = None if config.model.model == "auto" else frozenset({config.model.model})
        catalogue = Catalogue(config, workers, models)
        return cls(
            config=config,
            workers=workers,
            processes=processes,
            held=Held(MAX_ANSWERS),
            metrics=metrics,
            models=models,
            catalogue=catalogue,
            pictures=Pictures(config, workers, processes),
            jobs=indexing(config.db, config.job_roots, models=named) if indexing and config.job_roots else None,
        )

    def reload(self) -> None:
        """Opens collections anew at their next request."""
        log.info("reloading")
        self.catalogue.forget_all()

    async def close(self) -> None:
        """Finishes what was begun: writes are done, jobs are asked to end. Threads end after what they are doing."""
        self.pictures.close()
        if self.jobs is not None:
            await asyncio.to_thread(self.jobs.close, self.config.deadline)
        await self.catalogue.close()
        await self.models.close()
        self.workers.close()
        self.processes.close()


def state_of(request: Request) -> State:
    """The running service's."""
    state: State = request.app.state.oneword
    return state


def tell_stage(request: Request, name: str, milliseconds: float) -> None:
    """Tells the metrics and the request's span how long a part of it took."""
    state_of(request).metrics.stage(name, milliseconds / 1000)
    span: Span | None = request.scope.get("state", {}).get("span")
    if span is not None:
        span.stage(name, milliseconds)


class Clock:
    """Milliseconds since it was made."""

    def __init__(self) -> None:
        self._began = time.perf_counter()

    @property
    def ms(self) -> float:
        """So many."""
        return 1000 * (time.perf_counter() - self._began)
