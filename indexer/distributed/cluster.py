"""The Ray cluster: joins it, and computes what a job uses of it."""

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import Any

from oneword.indexer.distributed.config import RayConfig
from oneword.indexer.errors import BadCluster

log = logging.getLogger(__name__)

TIMEOUT = 10.0
"""Seconds in which the cluster's head must answer."""


@dataclass(frozen=True, kw_only=True)
class Pools:
    """How many workers, with how many GPUs each; and how many processes decode, on all workers together."""

    workers: int
    gpus: float
    decoders: int

    @classmethod
    def of(cls, config: RayConfig, resources: Mapping[str, float], *, shrink: bool = False) -> "Pools":
        """What fits into the cluster. shrink: accept fewer workers than were asked for.

        Raises:
            BadCluster: it lacks what was asked for.
        """
        cpus, gpus = resources.get("CPU", 0.0), resources.get("GPU", 0.0)
        each = config.gpus_per_worker if config.gpus_per_worker is not None else float(gpus > 0)
        fitting = int(gpus / each) if each else max(1, int(cpus) - 1)
        usual = fitting if each else max(1, int(cpus / 3))
        workers = config.workers or max(1, usual)
        wanting = "give fewer --workers, or start more nodes"
        if shrink:
            workers = max(1, min(workers, fitting, int(cpus) - 1))
        elif each and workers > fitting:
            raise BadCluster(f"{workers} workers with {each:g} GPUs each: the cluster has {gpus:g}; {wanting}")
        elif cpus < workers + 1:
            need = f"{workers} workers and a loader need {workers + 1} CPUs"
            raise BadCluster(f"{need}: the cluster has {cpus:g}; {wanting}")
        decoders = max(1, min(config.loaders or int(cpus), int(cpus) - workers))
        return cls(workers=workers, gpus=each, decoders=decoders)


class Cluster:
    """A cluster that this process has joined; it stays in it."""

    def __init__(self, config: RayConfig) -> None:
        """Joins it, unless this process has. Raises BadCluster: Ray is not installed, or there is no cluster."""
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        with _signals():
            try:
                import ray
            except ImportError as error:
                raise BadCluster(f'--engine ray needs Ray: pip install "oneword[ray]" ({error})') from error
            if not ray.is_initialized():
                _join(ray, config)
        self.config, self.ray = config, ray

    def pools(self, *, shrink: bool = False) -> Pools:
        """What a job uses of the cluster as it is now; see `Pools.of`."""
        return Pools.of(self.config, self.ray.cluster_resources(), shrink=shrink)

    def nodes(self) -> frozenset[str]:
        """Ids of the nodes that are alive."""
        return frozenset(node["NodeID"] for node in self.ray.nodes() if node["Alive"])


def _join(ray: Any, config: RayConfig) -> None:
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        host, _, port = config.address.rpartition(":")
        if host and port.isdecimal():  # Ray would try for minutes, and then end the process
            socket.create_connection((host.strip("[]"), int(port)), TIMEOUT).close()
        ray.init(address=config.address, **quiet, **({"include_dashboard": False} if config.address == "local" else {}))
    except (ConnectionError, ValueError, RuntimeError, OSError, TimeoutError) as error:
        raise BadCluster(
            f"no Ray cluster at address {config.address!r}: {str(error).splitlines()[0]}; start one with `ray start "
            "--head`, or give --address host:port or --address local"
        ) from error
    nodes, resources = sum(bool(node["Alive"]) for node in ray.nodes()), ray.cluster_resources()
    has = ", ".join(f"{resources[name]:g} {name}s" for name in ("CPU", "GPU") if name in resources)
    log.info("Ray cluster of %d nodes: %s", nodes, has)


@contextmanager
def apart_from_stdout() -> Iterator[None]:
    """During the block Ray prints to stderr; at its end this process leaves the cluster."""
    with redirect_stdout(sys.stderr):
        try:
            yield
        finally:
            if "ray" in sys.modules:
                sys.modules["ray"].shutdown()


@contextmanager
def _signals() -> Iterator[None]:
    """Restores the caller's signal handlers, which `ray.init` replaces."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
