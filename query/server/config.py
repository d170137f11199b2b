"""Settings of the service; each is declared once, with its option of `oneword serve`."""

import ipaddress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from typer import Option

from oneword.engine.config import MAX_PIXELS, EngineConfig
from oneword.storage import StorageConfig

Strings = tuple[str, ...]


class LogFormat(StrEnum):
    """The format of logs."""

    JSON = "json"
    TEXT = "text"


@dataclass(frozen=True)
class Unit:
    """The unit of an option, as a factor: the option's value times `factor` is the setting's."""

    factor: float


MIB = Unit(2**20)


@dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """Where the service listens, what it serves, and its limits (`limits` has more). Times are in seconds, sizes in
    bytes, unless an option's help says otherwise. Defaults of limits are our own choice.

    Args:
        body_seconds: to receive the body of a request.
        read_seconds: to parse a large body or to decode an image.
        max_pixels: of an image.
        warm: collections that are opened at the start, each with its model; None: all.
        decoders: processes that decode images; None: as many as there are cores, between 2 and 8.
        lock_timeout: that a write waits for another process.
        any_reranker: load whichever reranker a search asks for.
    """

    host: Annotated[str, Option(envvar="ONEWORD_HOST", help="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Option(min=0, max=65535, envvar="ONEWORD_PORT", help="Port; 0: any free one.")] = 8000
    db: Annotated[str, Option(envvar="ONEWORD_DB", help="Folder or object-store URI of the store.")] = ".oneword"
    model: EngineConfig = field(default_factory=EngineConfig)
    storage: StorageConfig = field(default_factory=StorageConfig)
    keys_file: Annotated[
        Path | None,
        Option("--api-keys", envvar="ONEWORD_KEYS", metavar="FILE", help="File of API keys; see `oneword keys`."),
    ] = None
    insecure: Annotated[
        bool, Option("--insecure", help="Listen beyond this machine without API keys: anyone can do anything.")
    ] = False
    job_roots: Annotated[
        Strings, Option("--job-root", metavar="DIR|URI", help="Place that jobs may read; repeatable. Without: no jobs.")
    ] = ()
    daemon: Annotated[
        bool,
        Option(
            "--daemon/--no-daemon",
            envvar="ONEWORD_DAEMON",
            help="Also answer this user's `oneword search`; without keys, rate and TLS only.",
        ),
    ] = True
    workers: Annotated[
        int, Option(min=1, max=256, help="Processes that serve; with several, one more has the models.")
    ] = 1
    rate: Annotated[
        float | None, Option(min=0.01, help="Requests per second for each key, or for each address without keys.")
    ] = None
    fetch: Annotated[bool, Option("--fetch/--no-fetch", help="Fetch images by URL.")] = True
    allow_private: Annotated[bool, Option("--allow-private", help="Also fetch from private networks.")] = False
    cors: Annotated[
        Strings, Option("--cors", metavar="ORIGIN", help="Allow requests from pages of this origin; repeatable.")
    ] = ()
    hosts: Annotated[
        Strings, Option("--allow-host", metavar="NAME", help="Without keys: also accept this Host header; repeatable.")
    ] = ()
    max_body: Annotated[int, Option(min=1, help="Maximum size of a request body (MiB)."), MIB] = 32 * 2**20
    any_format: Annotated[bool, Option("--any-format", help="Also accept PNM, ICO, TGA, DIB and JPEG 2000 images.")] = (
        False
    )
    max_batch: Annotated[int, Option(min=1, max=4096, help="Maximum inputs per batch; 1: no batching.")] = 64
    queue: Annotated[int, Option(min=1, help="Maximum concurrent requests; further ones get 503.")] = 256
    connections: Annotated[
        int | None, Option(min=2, help="Maximum connections; half from one address. Idle ones are closed first.")
    ] = None
    cache_bytes: Annotated[int, Option("--cache", min=0, help="Size of the vector cache (MiB)."), MIB] = 64 * 2**20
    deadline: Annotated[float, Option(min=0.1, help="Time limit of a request (s).")] = 30.0
    wedged: Annotated[float, Option(min=0.1, help="/readyz fails once a batch has run longer than this (s).")] = 60.0
    drain: Annotated[float, Option(min=0, help="Time between SIGTERM and closing the listening socket (s).")] = 1.0
    tls_cert: Annotated[Path | None, Option(metavar="FILE", help="TLS certificate chain (PEM).")] = None
    tls_key: Annotated[Path | None, Option(metavar="FILE", help="TLS private key (PEM).")] = None
    log_format: Annotated[LogFormat, Option(help="Format of the log on stderr.")] = LogFormat.JSON
    rerank: Annotated[
        str | None, Option(metavar="MODEL", help="Reranker that searches may ask for: a Hugging Face id, or a folder.")
    ] = None
    otlp: Annotated[
        str | None, Option(metavar="URL", help="Send traces to this OpenTelemetry collector (extra otel).")
    ] = None
    body_seconds: float = 30.0
    read_seconds: float = 10.0
    max_pixels: int = MAX_PIXELS
    warm: Strings | None = None
    decoders: int | None = None
    lock_timeout: float = 5.0
    any_reranker: bool = False


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the host. Names other than localhost may resolve to any machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
