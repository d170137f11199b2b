"""`oneword serve --workers N`: processes that serve HTTP, and one with the models, which they share."""

import logging
import multiprocessing
import os
import signal
import socket
from contextlib import ExitStack
from dataclasses import replace
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from multiprocessing.process import parent_process
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from prometheus_client.multiprocess import mark_process_dead

from oneword.query.jobs import Indexing
from oneword.query.resident.listener import listeners_beside
from oneword.query.server.app import checked, end_process, listen, run
from oneword.query.server.config import ServerConfig
from oneword.query.server.shared import Address, Shared, run_models
from oneword.query.server.telemetry import SHARED_METRICS, log_to_stderr

log = logging.getLogger(__name__)

PAUSE = 1.0
"""Seconds until a process that has ended is started again."""

ENDED_WELL = (0, -signal.SIGTERM)
"""Exit codes; the second one is of a process that had only begun to start."""


class Supervisor:
    """Starts the processes, starts again what ends, and passes signals on. It serves and computes nothing itself.

    Args:
        sockets: that all of them accept connections from.
        folder: of the service alone, for what they share.
    """

    def __init__(
        self, config: ServerConfig, indexing: Indexing | None, sockets: list[socket.socket], folder: str
    ) -> None:
        decoders = config.decoders or max(1, min(8, os.cpu_count() or 1) // config.workers)
        self._config = replace(config, decoders=decoders)
        self._indexing, self._sockets, self._folder = indexing, sockets, folder
        self._address = Address(path=str(Path(folder) / "models.sock"))
        self._spawn = multiprocessing.get_context("spawn")
        self._signals, self._send = self._spawn.Pipe(duplex=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda received, _: self._send.send(received))
        self._models = self._started_models()
        self._workers = [self._started() for _ in range(config.workers)]

    def run(self) -> bool:
        """Supervises until SIGTERM or SIGINT. Returns whether every process has ended well."""
        try:
            self._supervise()
        finally:
            self._pass_on(signal.SIGTERM)
            for worker in self._workers:
                worker.join()
            self._models.kill()
            self._models.join()
        return all(one.exitcode in ENDED_WELL for one in self._workers)

    def _supervise(self) -> None:
        while True:
            if self._signals in wait([self._signals, *(one.sentinel for one in (self._models, *self._workers))]):
                if (number := self._signals.recv()) != signal.SIGHUP:
                    return
                self._pass_on(number)
            elif not self._signals.poll(PAUSE):
                self._replace()

    def _pass_on(self, number: int) -> None:
        for worker in self._workers:
            if worker.is_alive() and worker.pid is not None:
                os.kill(worker.pid, number)

    def _replace(self) -> None:
        """Starts again what has ended."""
        if not self._models.is_alive():
            log.error("the process with the models ended with %s: starting another", self._models.exitcode)
            self._models = self._started_models()
        for place, one in enumerate(self._workers):
            if not one.is_alive():
                log.error("process %s ended with %s: starting another", one.pid, one.exitcode)
                mark_process_dead(one.pid, self._folder)  # type: ignore[no-untyped-call]
                self._workers[place] = self._started()

    def _started_models(self) -> SpawnProcess:
        Path(self._address.path).unlink(missing_ok=True)
        here, ready = self._spawn.Pipe(duplex=False)
        process = self._spawn.Process(target=run_models, args=(self._config, self._address, ready), name="models")
        process.start()
        wait([here, process.sentinel])
        return process

    def _started(self) -> SpawnProcess:
        given = (self._config, self._indexing, self._sockets, self._address)
        process = self._spawn.Process(target=_work, args=given, name="worker")
        os.environ[SHARED_METRICS] = self._folder
        process.start()
        del os.environ[SHARED_METRICS]  # the process with the models would count all batches again
        return process


def supervise(config: ServerConfig, indexing: Indexing | None) -> None:
    """Serves with several processes until SIGTERM or SIGINT. Args and raises: as `oneword.query.server.app.serve`."""
    log_to_stderr(config.log_format)
    checked(config)
    with ExitStack() as closed:
        sockets = [listen(config), *closed.enter_context(listeners_beside(config))]
        folder = closed.enter_context(TemporaryDirectory(prefix="oneword-serve-"))
        well = Supervisor(config, indexing, sockets, folder).run()
    if not well:
        raise SystemExit(1)


def _work(config: ServerConfig, indexing: Any, sockets: list[socket.socket], models: Address) -> None:
    """One of the processes that serve."""
    parent = parent_process()

    def ending(requests: int, running: int) -> str | None:  # noqa: ARG001
        return None if parent is None or parent.is_alive() else "its supervisor has ended"

    run(config, lambda: sockets, indexing, ending, Shared(models).load)
    end_process()
