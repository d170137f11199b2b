"""A real server in a thread, for apps of a few lines."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn


@pytest.fixture
def listening() -> Iterator[Callable[..., int]]:
    """Serves an ASGI app by uvicorn on a free port of 127.0.0.1, which is returned; options are uvicorn's."""
    running: list[tuple[uvicorn.Server, threading.Thread]] = []

    def listen(app: Any, **options: Any) -> int:
        settings = {"lifespan": "off", "ws": "none", "log_config": None, "timeout_graceful_shutdown": 1} | options
        server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, **settings))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.005)
        running.append((server, thread))
        return int(server.servers[0].sockets[0].getsockname()[1])

    yield listen
    for server, thread in running:
        server.should_exit = True
        thread.join(timeout=10)
        assert not thread.is_alive()
