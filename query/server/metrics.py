"""What Prometheus reads."""

from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

SECONDS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.5, 1, 2, 4, 8, 16, 32)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Others are one label: clients may make them up."""

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The service's counters, in a registry of their own: two services in one process do not share them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        of: Any = {"registry": self.registry, "namespace": "oneword"}
        self._requests = Counter("requests", "Requests answered.", ["method", "route", "status"], **of)
        self._seconds = Histogram("request_seconds", "From head to last byte.", ["route"], buckets=SECONDS, **of)
        self._stages = Histogram("stage_seconds", "Parts of a request.", ["stage"], buckets=SECONDS, **of)
        self._batches = Histogram("batch_size", "Inputs encoded together.", buckets=SIZES, **of)
        self._cache = Counter("vector_cache", "Vectors looked for in the cache.", ["outcome"], **of)
        self._problems = Counter("problems", "Errors told to clients.", ["code"], **of)
        self.working = Gauge("requests_in_progress", "Requests that wait or are worked on.", **of)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request came to its end. route: its template, never its path: labels must be few."""
        self._requests.labels(method if method in METHODS else "other", route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def stage(self, name: str, seconds: float) -> None:
        """A part of a request took so long."""
        self._stages.labels(name).observe(seconds)

    def batch(self, size: int, seconds: float) -> None:
        """So many inputs were encoded together."""
        self._batches.observe(size)
        self._stages.labels("batch").observe(seconds)

    def cached(self, hits: int, misses: int) -> None:
        """So many vectors were in the cache, and were not."""
        self._cache.labels("hit").inc(hits)
        self._cache.labels("miss").inc(misses)

    def problem(self, code: str) -> None:
        """A client was told of a problem."""
        self._problems.labels(code).inc()

    def watch(self, gauges: "Gauges") -> None:
        """Tell what is read at the moment somebody asks."""
        self.registry.register(gauges)

    def text(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self.registry)


class Gauges:
    """Numbers that are read when they are asked for."""

    def read(self) -> Iterator[tuple[str, str, dict[str, str], float]]:
        """Name, meaning, labels, value."""
        raise NotImplementedError

    def collect(self) -> Iterator[Metric]:
        """As the registry wants it."""
        families: dict[str, GaugeMetricFamily] = {}
        for name, meaning, labels, value in self.read():
            family = families.setdefault(name, GaugeMetricFamily(f"oneword_{name}", meaning, labels=list(labels)))
            family.add_metric(list(labels.values()), value)
        yield from families.values()
