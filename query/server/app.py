"""The application with its routes, error handlers and layers; and `serve`, which runs it until a signal."""

import asyncio
import logging
import os
import select
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

import pyarrow
import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp

from oneword.engine.config import EngineConfig
from oneword.engine.encoder import Encoder
from oneword.engine.errors import EngineError
from oneword.engine.models import check_name, load
from oneword.query.errors import CannotListen, Exposed, QueryError
from oneword.query.jobs import Indexing
from oneword.query.resident.listener import listeners_beside
from oneword.query.server.auth import Auth
from oneword.query.server.bodies import Bodies
from oneword.query.server.config import ServerConfig, is_loopback
from oneword.query.server.connections import Connections, HttpProtocol, available_connections
from oneword.query.server.headers import Headers, is_openai
from oneword.query.server.keys import Keys
from oneword.query.server.load import Load
from oneword.query.server.memory import limit_arenas
from oneword.query.server.problem import Problem
from oneword.query.server.registry import State
from oneword.query.server.requests import problem_of
from oneword.query.server.routes import (
    collections,
    embeddings,
    health,
    items,
    media,
    overview,
    pages,
    search,
)
from oneword.query.server.routes.jobs import job_routes
from oneword.query.server.schemas import PROBLEMS, complete_openapi
from oneword.query.server.telemetry import OpenTelemetry, Telemetry, log_to_stderr
from oneword.storage import StorageError

log = logging.getLogger(__name__)

ROUTERS = (
    search.router,
    media.router,  # media first: an id may contain a slash
    items.router,
    collections.router,
    overview.router,
    pages.router,
    embeddings.router,
    health.router,
)

BACKLOG = 2048
"""Length of the kernel's accept queue; uvicorn's default."""

ACCEPT_TURNS = 1000
"""Event-loop iterations to drain the accept queue before the listening sockets are closed."""

SWITCH_INTERVAL = 0.001
"""Seconds that a Python thread runs while others wait. With Python's 5 ms, eight busy threads stall the event loop for
0.2 s."""

THREADS_TIMEOUT = 2.0
"""Seconds that threads may take to end; all writes are done before."""


def protected(
    app: ASGIApp,
    config: ServerConfig,
    keys: Keys | None,
    *,
    draining: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
) -> ASGIApp:
    """The app behind the layers headers, auth and bodies. keys: None: no key is needed. clock: seconds, for rates."""
    bodies = Bodies(app, max_body=config.max_body, seconds=config.body_seconds)
    return Headers(Auth(bodies, config, keys, clock=clock), config.cors, draining)


def checked(config: ServerConfig) -> Keys | None:
    """The keys that the service accepts; None: it needs none.

    Raises:
        KeyFileError: the file of keys is missing or malformed.
        Exposed: the service would be reachable from other machines without keys.
        ModelNotFound: the model's name is unknown.
    """
    check_exposed(config)
    check_name(config.model.model)
    return Keys.load(config.keys_file) if config.keys_file is not None else None


def application(
    config: ServerConfig, indexing: Indexing | None = None, loader: Callable[[EngineConfig], Encoder] = load
) -> tuple[ASGIApp, State]:
    """The service as an ASGI application with all layers, and its state.

    A request passes the layers telemetry, headers, auth, bodies and load, and then its route.

    Args:
        indexing: starts indexing jobs; None: there are no jobs.
        loader: of models.

    Raises:
        As `checked`.
    """
    keys = checked(config)
    state, tracer = State.of(config, indexing, loader), OpenTelemetry(config.otlp) if config.otlp else None
    state.metrics.watch(health.ServiceMetrics(state))

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
            if tracer is not None:
                await asyncio.to_thread(tracer.close)

    app = FastAPI(
        title="Oneword",
        summary="Multimodal vector search by text, by image, or by an image and an edit.",
        version=version("oneword"),
        lifespan=lifespan,
        docs_url=None,  # FastAPI's page loads scripts from other hosts; routes/pages.py does not
        redoc_url=None,
        redirect_slashes=False,  # the redirect would go to the Host header, which the client chooses
    )
    app.state.oneword, app.state.routes = state, []
    jobs = job_routes(indexing.options if indexing else None)
    for router in (*ROUTERS, jobs):
        app.include_router(router, responses=PROBLEMS if router is jobs else None)
        app.state.routes += [route for route in router.routes if isinstance(route, APIRoute)]
    for kind in (Problem, EngineError, StorageError, QueryError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, _respond)
    generated = app.openapi
    app.openapi = lambda: app.openapi_schema or complete_openapi(generated())  # type: ignore[method-assign]
    load = Load(app, config, state.metrics, state.memory)
    layers = protected(load, config, keys, draining=lambda: state.draining)
    return Telemetry(layers, state.metrics, tracer), state


def check_exposed(config: ServerConfig) -> None:
    """Refuses to listen beyond loopback without keys.

    Raises:
        Exposed: without keys, other machines could reach the service, and `insecure` is not set.
    """
    if config.keys_file is None and not config.insecure and not is_loopback(config.host):
        raise Exposed(
            f"host is {config.host!r} and there are no API keys: anyone who reaches this machine could read and delete "
            "everything. Create a key (`oneword keys create NAME`) and pass its file (--api-keys FILE), or listen on "
            "127.0.0.1, or pass --insecure if something else keeps strangers out"
        )


async def _respond(request: Request, error: Exception) -> Response:
    match error:
        case RequestValidationError():
            problem = problem_of([{**one, "loc": one["loc"][1:]} for one in error.errors()])
        case HTTPException():
            problem = _of_http(error, request)
        case _:
            problem = Problem.of(error)
    request_id = request.scope.get("state", {}).get("request_id")
    # A Problem is expected (any probe of an unready service gets one); an internal error is logged with its traceback.
    if problem.status >= 500 and problem.code != "internal" and not isinstance(error, Problem):
        log.error("%s: %s", type(error).__name__, error, extra={"request_id": request_id})
    request.scope.setdefault("state", {})["problem"] = problem.code  # for the metrics
    return problem.response(request_id, openai=is_openai(request.url.path))


def _of_http(error: HTTPException, request: Request) -> Problem:
    codes = {404: "no_such_path", 405: "method_not_allowed", 400: "malformed_body"}
    headers, detail, path = dict(error.headers or {}), str(error.detail), request.url.path
    if error.status_code == 404:
        detail = f"not found: there is no path {path[:200]!r}"
    if error.status_code == 405 and (allowed := _allowed(request)):
        headers["Allow"] = ", ".join(allowed)  # Starlette lists the methods of the first route only
        detail = f"{request.method} is not allowed for {path[:200]!r}: expected {' or '.join(allowed)}"
    problem = Problem(codes.get(error.status_code, "http_error"), detail, headers=headers)
    problem.status = error.status_code
    return problem


def _allowed(request: Request) -> list[str]:
    """The methods of all routes that match the path."""
    routes: list[APIRoute] = request.app.state.routes  # app.routes has the routers, not their routes
    first = next((route.path for route in routes if route.path_regex.match(request.url.path)), None)
    return sorted({method for route in routes if route.path == first for method in route.methods or ()})


def listen(config: ServerConfig) -> socket.socket:
    """Opens the listening socket.

    Raises:
        CannotListen: the address is not this machine's, in use, or not permitted; or a TLS file is invalid.
    """
    for option, file in (("--tls-cert", config.tls_cert), ("--tls-key", config.tls_key)):
        if file is not None and not file.is_file():
            raise CannotListen(f"{option} {str(file)!r} is not a file: expected one in PEM form")
    if (config.tls_cert is None) != (config.tls_key is None):
        raise CannotListen("TLS takes a certificate and its key: give --tls-cert and --tls-key, or neither")
    if config.tls_cert is not None:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(config.tls_cert, config.tls_key)
        except (ssl.SSLError, OSError) as error:
            raise CannotListen(
                f"{str(config.tls_cert)!r} and {str(config.tls_key)!r} cannot be used ({error}): expected a "
                "certificate chain and its key in PEM form, without a password"
            ) from error
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    try:
        return socket.create_server((config.host, config.port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).partition(" (")[0]
        raise CannotListen(
            f"cannot listen on {config.host}, port {config.port} ({reason.lower()}): is another service there? Give "
            "another --port (0: any free one) or --host"
        ) from error


class Server(uvicorn.Server):
    """uvicorn's server with a drain phase: on SIGTERM it reports unready and closes each connection after a response,
    so that load balancers and clients go elsewhere before any connection is refused. SIGHUP reopens collections."""

    def __init__(self, config: uvicorn.Config, state: State, drain: float) -> None:
        super().__init__(config)
        self._state, self._drain = state, drain

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's, but the process exits with 0 after SIGTERM or SIGINT."""
        with super().capture_signals():
            yield
            self._captured_signals.clear()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts, and logs the addresses."""
        if hasattr(signal, "SIGHUP"):
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._state.reload)
        await super().startup(sockets)
        for server in self.servers:
            for one in server.sockets:
                if isinstance(address := one.getsockname(), tuple):
                    host, port = address[:2]
                    shown = f"[{host}]" if ":" in host else host
                    log.info("listening on %s://%s:%d", "https" if self.config.is_ssl else "http", shown, port)
                else:
                    log.info("listening on %s", address)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drains, finishes running requests, and stops."""
        self._state.draining = True
        if not self.force_exit:
            await asyncio.sleep(self._drain)
        listening = [one for server in self.servers for one in server.sockets]
        for _ in range(ACCEPT_TURNS):  # closing the sockets would reset connections that are not accepted yet
            if not select.select(listening, [], [], 0)[0]:
                break
            await asyncio.sleep(0)
        await super().shutdown(sockets)


def serve(config: ServerConfig, indexing: Indexing | None = None) -> None:
    """Serves until SIGTERM or SIGINT. indexing: as for `application`.

    Raises:
        QueryError: the configuration is invalid.
    """
    with ExitStack() as closed:

        def sockets() -> list[socket.socket]:
            return [listen(config), *closed.enter_context(listeners_beside(config))]

        run(config, sockets, indexing)
    end_process()


def run(
    config: ServerConfig,
    sockets: Callable[[], list[socket.socket]],
    indexing: Indexing | None = None,
    ending: Callable[[int, int], str | None] | None = None,
    loader: Callable[[EngineConfig], Encoder] = load,
) -> None:
    """As `serve`, on sockets that are opened once the configuration is known to be valid. Then call `end_process`.

    Args:
        ending: is asked every second whether to stop; see `Lifetime.reason`.
        loader: of models.
    """
    sys.setswitchinterval(SWITCH_INTERVAL)
    limit_arenas()
    # Arrow's own allocator keeps the memory of idle threads: 40 MiB more after 400 commits under load, and no faster.
    pyarrow.set_memory_pool(pyarrow.system_memory_pool())
    log_to_stderr(config.log_format)
    app, state = application(config, indexing, loader)
    listening = sockets()
    if "://" not in config.db and not Path(config.db).exists():
        log.warning("there is no store at %r: the first write creates it; check --db", config.db)
    most = available_connections()
    state.connections = Connections(most if config.connections is None else min(config.connections, most))

    async def watch() -> None:
        running = server.server_state
        if ending is not None and (reason := ending(running.total_requests, len(running.tasks))):
            log.info("ends: %s", reason)
            server.should_exit = True

    settings = uvicorn.Config(
        app,
        http=type("LimitedHttpProtocol", (HttpProtocol,), {"admission": state.connections}),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=round(config.deadline) + 1,
        ssl_certfile=config.tls_cert,
        ssl_keyfile=config.tls_key,
        callback_notify=watch,
        timeout_notify=0,  # every second
    )
    server = Server(settings, state, config.drain)
    server.run(sockets=listening)


def end_process() -> None:
    """Ends the process with 1 if threads still run, for which Python would wait forever; else returns."""
    if hanging := _running_threads(THREADS_TIMEOUT):
        log.error("stopped while threads still run: %s", ", ".join(hanging))
        logging.shutdown()
        os._exit(1)


def _running_threads(timeout: float) -> list[str]:
    """The names of threads that do not end within `timeout` seconds."""
    end = time.monotonic() + timeout
    others = [one for one in threading.enumerate() if one is not threading.current_thread() and not one.daemon]
    for thread in others:
        thread.join(max(0.0, end - time.monotonic()))
    return [one.name for one in others if one.is_alive()]
