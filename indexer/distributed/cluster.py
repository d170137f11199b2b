"""The Ray cluster: connects to it, and computes what a job uses of it."""

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
    """Processes of each stage. gpus: of each embedder."""

    embedders: int
    gpus: float
    loaders: int
    writers: int

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
        embedders = config.workers or max(1, usual)
        if shrink:
            embedders = max(1, min(embedders, fitting, int(cpus) - 1))
        elif each and embedders > fitting:
            raise BadCluster(
                f"{embedders} workers with {each:g} GPUs each: the cluster has {gpus:g}; give fewer --workers, or "
                "start more nodes"
            )
        elif cpus < embedders + 1:
            raise BadCluster(
                f"{embedders} workers and a loader need {embedders + 1} CPUs: the cluster has {cpus:g}; give fewer "
                "--workers, or start more nodes"
            )
        loaders = max(1, min(config.loaders or int(cpus), int(cpus) - embedders))
        return cls(embedders=embedders, gpus=each, loaders=loaders, writers=max(1, embedders // 8))


class Cluster:
    """A cluster that this process has joined."""

    def __init__(self, config: RayConfig) -> None:
        """Raises BadCluster: Ray is not installed, or there is no cluster."""
        self.config, self.ray = config, connect(config)

    def pools(self, *, shrink: bool = False) -> Pools:
        """What a job uses of the cluster as it is now; see `Pools.of`."""
        return Pools.of(self.config, self.ray.cluster_resources(), shrink=shrink)


def connect(config: RayConfig) -> Any:
    """Joins the cluster, unless this process has already. Returns the module `ray`; the connection stays.

    Raises:
        BadCluster: Ray is not installed, or there is no cluster.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    with _signals():
        try:
            import ray
            import ray.data
        except ImportError as error:
            raise BadCluster(f'--engine ray needs Ray: pip install "oneword[ray]" ({error})') from error
        if not ray.is_initialized():
            _join(ray, config)
    return ray


def _join(ray: Any, config: RayConfig) -> None:
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        host, _, port = config.address.rpartition(":")
        if host and port.isdecimal():  # Ray would try for minutes, and then end the process
            socket.create_connection((host.strip("[]"), int(port)), TIMEOUT).close()
        if config.address == "local":
            ray.init(address="local", include_dashboard=False, **quiet)
        else:
            ray.init(address=config.address, **quiet)
    except (ConnectionError, ValueError, RuntimeError, OSError, TimeoutError) as error:
        raise BadCluster(
            f"no Ray cluster at address {config.address!r}: {str(error).splitlines()[0]}; start one with `ray start "
            "--head`, or give --address host:port or --address local"
        ) from error
    nodes = sum(bool(node["Alive"]) for node in ray.nodes())
    log.info("Ray cluster of %d nodes: %s", nodes, _shown(ray.cluster_resources()))


def _shown(resources: dict[str, float]) -> str:
    return ", ".join(f"{resources[name]:g} {name}s" for name in ("CPU", "GPU") if name in resources)


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
