"""How the service runs."""

from dataclasses import dataclass, field
from pathlib import Path

from oneword.engine.config import MAX_PIXELS, EngineConfig
from oneword.storage import StorageConfig


@dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """Where the service listens, what it serves, and how far a request may go; `limits` has more.

    Numbers are our own choice.

    Args:
        db: a folder, or an object-store URI.
        model: "auto" is, for each collection, the model that it was made with.
        storage: how serving indexes are held.
        host, port: where to listen.
        keys_file: see `oneword.query.server.keys.file`; None: anyone may do anything.
        insecure: listen beyond loopback without keys.
        cors: origins whose pages may call us ("https://example.org"); "*" is any.
        hosts: names we answer to besides loopback's, where there are no keys.
        job_roots: folders and URI prefixes that jobs may read from; none: there are no jobs.
        fetch: take pictures by URL.
        allow_private: also from private networks.
        max_body: bytes of a request.
        body_seconds: in which a request's body must have come.
        read_seconds: in which a picture, or a large body, must have been decoded.
        max_pixels: of a picture.
        any_format: take images of every format that can be decoded, also of those that few services need.
        rate: requests a second for each key (or address, without keys), in bursts of twice as many; None: no limit.
        batch_window: seconds that an idle encoder waits for company.
        max_batch: most inputs that are encoded together; 1 switches batching off.
        queue: most requests that wait or are worked on; more are told 503.
        connections: most at a time, half of them from one address; None: as many as there are descriptors for.
        deadline: seconds that a request may take; it may ask for less.
        wedged: seconds in one batch after which the service is not ready any more.
        cache_bytes: of query vectors kept.
        lock_timeout: seconds that a write waits for another process's.
        drain: seconds between the signal to end and the moment when no more connections are taken.
        tls_cert, tls_key: PEM files.
        log_format: "json" or "text".
        otlp: an OpenTelemetry collector's URL.
    """

    db: str = ".oneword"
    model: EngineConfig = field(default_factory=EngineConfig)
    storage: StorageConfig = field(default_factory=StorageConfig)
    host: str = "127.0.0.1"
    port: int = 8000
    keys_file: Path | None = None
    insecure: bool = False
    cors: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    job_roots: tuple[str, ...] = ()
    fetch: bool = True
    allow_private: bool = False
    max_body: int = 32 * 2**20
    body_seconds: float = 30.0
    read_seconds: float = 10.0
    max_pixels: int = MAX_PIXELS
    any_format: bool = False
    rate: float | None = None
    batch_window: float = 0.002
    max_batch: int = 64
    queue: int = 256
    connections: int | None = None
    deadline: float = 30.0
    wedged: float = 60.0
    cache_bytes: int = 64 * 2**20
    lock_timeout: float = 5.0
    drain: float = 1.0
    tls_cert: Path | None = None
    tls_key: Path | None = None
    log_format: str = "json"
    otlp: str | None = None
