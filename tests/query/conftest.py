"""A real service in a process of its own, and a client for it."""

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from oneword import query
from tests import forkserver

ROOT = Path(query.__file__).parents[2]


class Requests:
    """Requests to a service."""

    url: str
    http: httpx.Client

    def post(self, path: str, document: Any = None, **more: Any) -> httpx.Response:
        """POST of JSON under /v1."""
        return self.http.post(f"{self.url}/v1{path}", json={} if document is None else document, **more)

    def get(self, path: str, **more: Any) -> httpx.Response:
        """GET under /v1."""
        return self.http.get(f"{self.url}/v1{path}", **more)

    def search(self, document: Any, collection: str = "default") -> Any:
        """A search that succeeds."""
        answer = self.post(f"/collections/{collection}/search", document)
        assert answer.status_code == 200, answer.text
        return answer.json()


@dataclass
class Service(Requests):
    """A running `oneword serve`."""

    process: subprocess.Popen[str]
    log: list[str] = field(default_factory=list)
    reader: threading.Thread | None = None
    url: str = ""
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=60))

    def wait_ready(self, seconds: float = 60) -> None:
        """Until /readyz says so."""
        end = time.monotonic() + seconds
        while self.http.get(f"{self.url}/readyz").status_code != 200:
            assert time.monotonic() < end, "\n".join(self.log[-20:])
            time.sleep(0.05)

    def stop(self, how: int = signal.SIGTERM, seconds: float = 30) -> int:
        """Ends it; its exit code."""
        self.process.send_signal(how)
        return self.process.wait(seconds)

    def follow(self) -> None:
        """Reads its log, in a thread, so that it never blocks on a full pipe."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(line.rstrip("\n"))
            if not self.url and "listening on " in line:
                self.url = json.loads(line)["message"].removeprefix("listening on ")


Start = Callable[..., Service]


@pytest.fixture(scope="module")
def start() -> Iterator[Start]:
    """Starts services: `start("--db", db)`; they end with the module's tests. env: is added to the environment.
    files: descriptors that it may have."""
    yield from _starting()


@pytest.fixture(scope="session")
def start_for_all() -> Iterator[Start]:
    """As `start`; the services are there for every module."""
    yield from _starting()


def _starting() -> Iterator[Start]:
    started: list[Service] = []

    def starting(
        *arguments: object,
        ready: bool = True,
        env: dict[str, str] | None = None,
        cwd: Path = ROOT,
        files: int | None = None,
    ) -> Service:
        command = ["-m", "oneword", "serve", "--port", "0", "--drain", "0", *map(str, arguments)]
        options: dict[str, Any] = {"cwd": cwd, "stderr": subprocess.PIPE}
        options["env"] = {**os.environ, "PYTHONPATH": str(ROOT), **(env or {})}
        if files is None:
            process = forkserver.start(command, **options)
        else:
            limit = partial(resource.setrlimit, resource.RLIMIT_NOFILE, (files, files))
            process = subprocess.Popen([sys.executable, *command], text=True, preexec_fn=limit, **options)
        service = Service(process)
        started.append(service)
        service.reader = threading.Thread(target=service.follow, daemon=True)
        service.reader.start()
        end = time.monotonic() + 60
        while not service.url:
            assert process.poll() is None, "\n".join(service.log)
            assert time.monotonic() < end, "\n".join(service.log)
            time.sleep(0.02)
        if ready:
            service.wait_ready()
        return service

    yield starting
    for service in started:
        service.http.close()
        if service.process.poll() is None:
            decoders = psutil.Process(service.process.pid).children(recursive=True)  # they hold the pipe, too
            service.process.kill()
            for one in decoders:
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.kill()
        service.process.wait()
        if service.reader:
            service.reader.join(10)
        if service.process.stderr:
            service.process.stderr.close()
