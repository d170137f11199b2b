"""`oneword serve` and `oneword keys`."""

from __future__ import annotations

import inspect
import os
from dataclasses import fields
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import typer

from oneword.engine.options import Compile, MaxTokensPerBatch, Revision
from oneword.query.errors import KeyFileError
from oneword.query.server import keys as keyring
from oneword.query.server.config import ServerConfig, Strings, Unit
from oneword.storage.terminal import Index, Json, print_json, print_table, say

keys = typer.Typer(help="The API keys that a service accepts.", no_args_is_help=True)


def serve(
    context: typer.Context,
    model: Annotated[str, typer.Option(help="auto: each collection's own; else the only one served.")] = "auto",
    revision: Revision = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    dtype: Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16.")] = "auto",
    compile: Compile = False,  # noqa: A002 - the option's name
    max_tokens_per_batch: MaxTokensPerBatch = None,
    durable: Annotated[
        bool, typer.Option("--durable/--no-durable", help="Acknowledge writes after they are flushed to disk.")
    ] = True,
    loaded: Annotated[bool, typer.Option("--loaded", help="Load ANN indexes into memory, unmapped.")] = False,
    index: Index = "auto",
    index_device: Annotated[str, typer.Option(help="Device of ANN indexes: cpu, cuda or cuda:N.")] = "cpu",
    **settings: Any,
) -> None:
    """Serve search, items, jobs and embeddings over HTTP."""
    from oneword.engine.config import EngineConfig
    from oneword.engine.dependencies import require
    from oneword.storage import StorageConfig

    packages = ("fastapi", "uvicorn", "httptools", "prometheus_client", "python_multipart")
    require(*packages, what="the service", extra="serve")
    otlp = settings["otlp"]
    if otlp is not None and not otlp.startswith(("http://", "https://")):
        raise typer.BadParameter(f"--otlp {otlp!r}: expected the URL of a collector, such as http://localhost:4318")
    if settings["workers"] > 1 and settings["rerank"] is not None:
        raise typer.BadParameter("--rerank: each of several --workers would load it: expected --workers 1")
    if settings["workers"] > 1 and os.name != "posix":
        raise typer.BadParameter(f"--workers {settings['workers']}: expected 1 on this system; several need Unix")
    if settings["workers"] > 1:
        from oneword.query.server.supervisor import supervise as run
    else:
        from oneword.query.server.app import serve as run

    engine = EngineConfig(
        model=model,
        device=device,
        dtype=dtype,
        revision=revision,
        compile=compile,
        max_tokens_per_batch=max_tokens_per_batch,
    )
    storage = StorageConfig(durable=durable, loaded=loaded, rebuilds=True, index=index, index_device=index_device)
    values = {name: _value(name, value) for name, value in settings.items()}
    indexing = context.obj and context.obj()  # from oneword/cli.py
    run(ServerConfig(model=engine, storage=storage, **values), indexing)


_HINTS = get_type_hints(ServerConfig, include_extras=True)
_OPTIONS = {name: get_args(hint) for name, hint in _HINTS.items() if hasattr(hint, "__metadata__")}
"""By the name of a setting: its type, its `typer.Option`, and its `Unit` if it has one."""


def _factor(name: str) -> float:
    return next((one.factor for one in _OPTIONS[name] if isinstance(one, Unit)), 1)


def _value(name: str, given: Any) -> Any:
    """The value of a setting, from that of its option."""
    kind = _OPTIONS[name][0]
    if kind == Strings:
        return tuple(given or ())
    return kind(given * _factor(name)) if _factor(name) != 1 else given


def _parameter(name: str, default: Any) -> inspect.Parameter:
    """The option of a setting, as Typer reads it from a signature."""
    kind, option, *_ = _OPTIONS[name]
    if kind == Strings:
        kind, default = list[str] | None, None
    elif _factor(name) != 1:
        default = kind(default / _factor(name))
    annotation: Any = Annotated[kind, option]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


_parameters = inspect.signature(serve, eval_str=True).parameters.values()
serve.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
    [*(one for one in _parameters if one.name != "settings")]
    + [_parameter(one.name, one.default) for one in fields(ServerConfig) if one.name in _OPTIONS]
)


KEYS_FILE = Path("oneword-keys.toml")

File = Annotated[Path, typer.Option("--file", "-f", envvar="ONEWORD_KEYS", dir_okay=False, help="The file of keys.")]


class ScopeName(StrEnum):
    """The scope of a key; each includes those before it."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


@keys.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="Who or what the key is for.")],
    scope: Annotated[ScopeName, typer.Option(help="Each scope includes those before it.")] = ScopeName.READ,
    file: File = KEYS_FILE,
    rate: Annotated[float | None, typer.Option(help="Requests per second. [default: the service's limit]")] = None,
    json: Json = False,
) -> None:
    """Create a key and print it. It is shown only now: only its hash is stored."""
    with keyring.changing(file) as current:
        try:
            key, text = keyring.make(name, scope.value, rate=rate, taken=[one.id for one in current])
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
        current.append(key)
    if json:
        print_json({"file": str(file), **_shown(key), "key": text})
    else:
        say(f"Key {key.id} for {name!r} may {scope.value}. It is shown only now:", err=True)
        say(text)


@keys.command("list")
def list_keys(file: File = KEYS_FILE, json: Json = False) -> None:
    """List the keys, without their secrets."""
    found = keyring.read(file)
    if json:
        print_json({"file": str(file), "keys": [_shown(key) for key in found]})
    elif not found:
        say(f"There are no keys in {str(file)!r}: no one is let in.")
    else:
        rows = [
            (
                key.id,
                key.name,
                key.scope,
                "" if key.rate is None else f"{key.rate:g}/s",
                f"{key.created.astimezone():%Y-%m-%d %H:%M}",
            )
            for key in found
        ]
        print_table(["id", "name", "may", "rate", "created"], rows)


@keys.command("revoke")
def revoke_key(
    id_: Annotated[str, typer.Argument(metavar="ID", help="As `oneword keys list` shows it.")],
    file: File = KEYS_FILE,
    json: Json = False,
) -> None:
    """Revoke a key."""
    keyring.read(file)  # a missing file is an error
    with keyring.changing(file) as current:
        gone = next((key for key in current if key.id == id_), None)
        if gone is None:
            # The id is not repeated: it may be the key itself, pasted by mistake.
            raise KeyFileError(f"no key in {str(file)!r} has this id: `oneword keys list` shows those there are")
        current.remove(gone)
    if json:
        print_json({"file": str(file), "revoked": _shown(gone)})
    else:
        say(f"Revoked {gone.id}, the key of {gone.name!r}. Services that use this file refuse it from now on.")


def _shown(key: keyring.Key) -> dict[str, Any]:
    """The key without its hash."""
    return {"id": key.id, "name": key.name, "scopes": list(key.scopes), "created": key.created, "rate": key.rate}
