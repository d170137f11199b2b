"""`oneword serve`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from oneword.engine.options import MaxTokensPerBatch, Revision


class LogFormat(StrEnum):
    """How logs are written."""

    JSON = "json"
    TEXT = "text"


def serve(
    context: typer.Context,
    host: Annotated[str, typer.Option(envvar="ONEWORD_HOST", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, envvar="ONEWORD_PORT", help="0: any free one.")] = 8000,
    db: Annotated[str, typer.Option(envvar="ONEWORD_DB", help="Folder or object-store URI of the store.")] = ".oneword",
    model: Annotated[str, typer.Option(help="auto: each collection's own; else insist on one.")] = "auto",
    revision: Revision = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    dtype: Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16.")] = "auto",
    api_keys: Annotated[
        Path | None,
        typer.Option("--api-keys", envvar="ONEWORD_KEYS", metavar="FILE", help="Who may call: see `oneword keys`."),
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Listen beyond this machine without keys: anyone may do anything.")
    ] = False,
    job_root: Annotated[
        list[str] | None,
        typer.Option(metavar="DIR|URI", help="Jobs may read from there; again for more. Without: there are no jobs."),
    ] = None,
    rate: Annotated[float | None, typer.Option(min=0.01, help="Requests a second for each key.")] = None,
    fetch: Annotated[bool, typer.Option("--fetch/--no-fetch", help="Take pictures by URL.")] = True,
    allow_private: Annotated[
        bool, typer.Option("--allow-private", help="Let URLs lead into private networks, too.")
    ] = False,
    cors: Annotated[
        list[str] | None, typer.Option(metavar="ORIGIN", help="Pages of this origin may call; again for more.")
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Without keys: answer to this name, too.")
    ] = None,
    max_body: Annotated[int, typer.Option(min=1, help="MiB of a request.")] = 32,
    any_format: Annotated[
        bool, typer.Option("--any-format", help="Take PNM, ICO, TGA, DIB and JPEG 2000 images, too.")
    ] = False,
    batch_window: Annotated[float, typer.Option(min=0, max=1000, help="ms that an idle model waits for company.")] = 2,
    max_batch: Annotated[int, typer.Option(min=1, max=4096, help="Inputs encoded together; 1: no batching.")] = 64,
    max_tokens_per_batch: MaxTokensPerBatch = None,
    queue: Annotated[int, typer.Option(min=1, help="Requests at once; more are told 503.")] = 256,
    connections: Annotated[
        int | None, typer.Option(min=2, help="Most at a time, half of them from one address; idle ones make room.")
    ] = None,
    cache: Annotated[int, typer.Option(min=0, help="MiB of query vectors kept.")] = 64,
    deadline: Annotated[float, typer.Option(min=0.1, help="Seconds that a request may take.")] = 30,
    wedged: Annotated[
        float, typer.Option(min=0.1, help="Seconds in one batch after which the service is not ready any more.")
    ] = 60,
    drain: Annotated[float, typer.Option(min=0, help="Seconds between SIGTERM and closing the door.")] = 1,
    durable: Annotated[
        bool, typer.Option("--durable/--no-durable", help="Acknowledge writes when they are on the disk.")
    ] = True,
    loaded: Annotated[bool, typer.Option("--loaded", help="Hold serving indexes in memory whole.")] = False,
    index_device: Annotated[str, typer.Option(help="Of serving indexes: cpu, cuda or cuda:N.")] = "cpu",
    tls_cert: Annotated[Path | None, typer.Option(metavar="FILE", help="Certificate chain, PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="FILE", help="Its key.")] = None,
    log_format: Annotated[LogFormat, typer.Option(help="Of the log, on stderr.")] = LogFormat.JSON,
    otlp: Annotated[
        str | None, typer.Option(metavar="URL", help="OpenTelemetry collector for traces (extra otel).")
    ] = None,
) -> None:
    """Serve searches, items, jobs and embeddings over HTTP."""
    from oneword.engine.dependencies import require

    require(
        "fastapi", "uvicorn", "httptools", "prometheus_client", "python_multipart", what="the service", extra="serve"
    )
    if otlp is not None and not otlp.startswith(("http://", "https://")):
        raise typer.BadParameter(f"--otlp {otlp!r}: expected the URL of a collector, such as http://localhost:4318")
    from oneword.engine.config import EngineConfig
    from oneword.query.server.config import ServerConfig
    from oneword.query.server.serving import serve as run
    from oneword.storage import StorageConfig

    run(
        ServerConfig(
            db=db,
            model=EngineConfig(
                model=model,
                device=device,
                dtype=dtype,
                revision=revision,
                max_tokens_per_batch=max_tokens_per_batch,
            ),
            storage=StorageConfig(durable=durable, loaded=loaded, rebuilds=True, index_device=index_device),
            host=host,
            port=port,
            keys_file=api_keys,
            insecure=insecure,
            job_roots=tuple(job_root or ()),
            rate=rate,
            fetch=fetch,
            allow_private=allow_private,
            cors=tuple(cors or ()),
            hosts=tuple(allow_host or ()),
            max_body=max_body * 2**20,
            any_format=any_format,
            batch_window=batch_window / 1000,
            max_batch=max_batch,
            queue=queue,
            connections=connections,
            cache_bytes=cache * 2**20,
            deadline=deadline,
            wedged=wedged,
            drain=drain,
            tls_cert=tls_cert,
            tls_key=tls_key,
            log_format=log_format.value,
            otlp=otlp,
        ),
        indexing=context.obj and context.obj(),  # passed in by the front door (oneword/cli.py)
    )
