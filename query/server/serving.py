"""Runs the service in this process until a signal ends it."""

import asyncio
import logging
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from oneword.query.jobs import Indexing
from oneword.query.server.app import application
from oneword.query.server.config import ServerConfig
from oneword.query.server.guard.connections import Connections, room
from oneword.query.server.guard.protocol import HttpProtocol
from oneword.query.server.listening import listen
from oneword.query.server.state import State
from oneword.query.server.telemetry import log_to_stderr

log = logging.getLogger(__name__)

LAST_CALLS = 1000
"""Turns of the loop in which the door is closed as soon as nobody knocks; then it is closed anyway."""

TURN = 0.001
"""Seconds that a thread of Python's may run while others wait: the event loop is one of several. Python's own is 5 ms,
with which eight busy threads keep it from its turn for 0.2 s."""

PATIENCE = 2.0
"""Seconds for threads to end what they are doing; all writes are done before."""


class Farewell:
    """ASGI: while the service drains, every answer asks the client to take another connection next time."""

    def __init__(self, app: ASGIApp, state: State) -> None:
        self._app, self._state = app, state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI says."""

        async def told(message: Message) -> None:
            if self._state.draining and message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
            await send(message)

        await self._app(scope, receive, told if scope["type"] == "http" else send)


class Server(uvicorn.Server):
    """uvicorn's, which on SIGTERM first says that it is not ready, and closes connections one by one as they answer.

    So a load balancer and clients with open connections go elsewhere before any of them is refused. SIGHUP opens
    collections again.
    """

    def __init__(self, config: uvicorn.Config, state: State, drain: float) -> None:
        super().__init__(config)
        self._state, self._drain = state, drain

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's, but a service that ended as it was asked to has not failed."""
        with super().capture_signals():
            yield
            self._captured_signals.clear()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts, and says where."""
        if hasattr(signal, "SIGHUP"):
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._state.reload)
        await super().startup(sockets)
        for server in self.servers:
            for one in server.sockets:
                host, port = one.getsockname()[:2]
                shown = f"[{host}]" if ":" in host else host
                log.info("listening on %s://%s:%d", "https" if self.config.is_ssl else "http", shown, port)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drains, finishes what was begun, ends."""
        self._state.draining = True
        if not self.force_exit:
            await asyncio.sleep(self._drain)
        for _ in range(LAST_CALLS):
            if not self._knocking():
                break
            await asyncio.sleep(0)
        await super().shutdown(sockets)

    def _knocking(self) -> bool:
        """Whether the system holds connections that the loop has not taken yet: closing the door would reset them."""
        doors = [one for server in self.servers for one in server.sockets]
        return bool(select.select(doors, [], [], 0)[0])


def serve(config: ServerConfig, indexing: Indexing | None = None) -> None:
    """Serves until SIGTERM or SIGINT. indexing: makes jobs; None: there are none.

    Raises:
        QueryError: the configuration cannot be served.
    """
    sys.setswitchinterval(TURN)
    # Arrow's own allocator keeps what threads once used: under load 40 MiB more after 400 commits, at no more speed.
    pyarrow.set_memory_pool(pyarrow.system_memory_pool())
    log_to_stderr(config.log_format)
    app, state = application(config, indexing)
    door = listen(config)
    if "://" not in config.db and not Path(config.db).exists():
        log.warning("there is no store at %r yet: the first write makes it; is it the right --db?", config.db)
    state.connections = Connections(room() if config.connections is None else min(config.connections, room()))
    settings = uvicorn.Config(
        Farewell(app, state),
        http=type("Bounded", (HttpProtocol,), {"admission": state.connections}),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=round(config.deadline) + 1,
        ssl_certfile=config.tls_cert,
        ssl_keyfile=config.tls_key,
    )
    Server(settings, state, config.drain).run(sockets=[door])
    if hanging := _threads_left(PATIENCE):
        log.error("ended, but for what hangs: %s", ", ".join(hanging))
        logging.shutdown()
        os._exit(1)  # Python would wait for them for ever


def _threads_left(patience: float) -> list[str]:
    """The names of threads that do not end in so many seconds."""
    end = time.monotonic() + patience
    others = [one for one in threading.enumerate() if one is not threading.current_thread() and not one.daemon]
    for thread in others:
        thread.join(max(0.0, end - time.monotonic()))
    return [one.name for one in others if one.is_alive()]
