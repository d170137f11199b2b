"""`oneword search`."""

import inspect
import json
import os
import re
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Unpack, get_type_hints

import typer

from oneword.engine.options import Revision
from oneword.query.output import Format, Output
from oneword.query.query import Options, Query
from oneword.query.query import options as declared

if TYPE_CHECKING:
    from oneword.query.query import Piece
    from oneword.query.result import SearchResult


LOCAL = ("db", "model", "revision", "device", "dtype")
"""Options that say how to search here, and nothing to a server."""


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Replaces the `**options` of a command by the search options that `Query` declares."""
    types = get_type_hints(command, include_extras=True)
    own = [
        one for one in inspect.signature(command).parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    parameters = [one.replace(annotation=types[one.name], kind=inspect.Parameter.KEYWORD_ONLY) for one in own]
    for one in declared():
        flags = [f"--{one.name.replace('_', '-')}"] + ([one.option.short] if one.option.short else [])
        info = typer.Option(*flags, help=one.option.help, min=one.option.min, max=one.option.max)
        kind: Any = Annotated[one.type | None if one.optional else one.type, info]
        parameters.append(
            inspect.Parameter(one.name, inspect.Parameter.KEYWORD_ONLY, default=one.default, annotation=kind)
        )

    @wraps(command)
    def with_declared(**given: Any) -> None:
        command(**given)

    del with_declared.__wrapped__
    with_declared.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    with_declared.__annotations__ = {one.name: one.annotation for one in parameters}
    return with_declared


@with_options
def search(
    context: typer.Context,
    text: Annotated[str | None, typer.Argument(help="Text to search for.")] = None,
    image: Annotated[str | None, typer.Option(help="An image to search by; with --server also a URL.")] = None,
    edit: Annotated[str | None, typer.Option(help='How hits should differ from the image: "red and longer".')] = None,
    crop: Annotated[
        str | None, typer.Option(metavar="X,Y,W,H", help="The region of the image, in shares of it: 0.25,0,0.5,1.")
    ] = None,
    composed: Annotated[
        str | None, typer.Option(help="Images with words between: '{a.jpg} the sofa of this {b.jpg} here', or as JSON.")
    ] = None,
    like: Annotated[list[str] | None, typer.Option(help="The id of a stored item; may be repeated.")] = None,
    unlike: Annotated[
        list[str] | None, typer.Option(help="The id of a stored item that hits should be unlike; may be repeated.")
    ] = None,
    without: Annotated[
        list[str] | None, typer.Option("--not", help="Text that hits should be unlike; may be repeated.")
    ] = None,
    where: Annotated[str | None, typer.Option(help="Filter: 'format = png and width >= 640', or as JSON.")] = None,
    hybrid: Annotated[bool, typer.Option("--hybrid", help="Use TEXT as keywords too.")] = False,
    db: Annotated[str, typer.Option(envvar="ONEWORD_DB", help="Folder or object-store URI of the store.")] = ".oneword",
    collection: Annotated[str, typer.Option("--collection", "-c", help="The collection to search.")] = "default",
    model: Annotated[str, typer.Option(help="Only to insist on one, or to say where its folder is now.")] = "auto",
    revision: Revision = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    dtype: Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16.")] = "auto",
    server: Annotated[
        str | None,
        typer.Option(envvar="ONEWORD_SERVER", help="Ask the service at this URL (key: ONEWORD_API_KEY)."),
    ] = None,
    daemon: Annotated[
        bool,
        typer.Option("--daemon/--no-daemon", envvar="ONEWORD_DAEMON", help="Keep the model loaded in the background."),
    ] = True,
    form: Annotated[Format, typer.Option("--format", help="How hits are printed.")] = Format.TABLE,
    as_json: Annotated[bool, typer.Option("--json", help="As --format json: print one JSON document.")] = False,
    paths: Annotated[
        bool, typer.Option("--paths", help="As --format paths: print each file once, a line each.")
    ] = False,
    null: Annotated[bool, typer.Option("--null", "-0", help="End paths with a zero byte, for xargs -0.")] = False,
    previews: Annotated[bool, typer.Option("--previews", "-p", help="Show thumbnails in the terminal.")] = False,
    pager: Annotated[bool, typer.Option("--pager/--no-pager", help="Show a long table in a pager.")] = True,
    copy_to: Annotated[
        Path | None, typer.Option(metavar="DIR", file_okay=False, help="Copy the files that were found there.")
    ] = None,
    open_best: Annotated[bool, typer.Option("--open", help="Open the best hit with the system's program.")] = False,
    **options: Unpack[Options],
) -> None:
    """Search by text, by an image, by an image and an edit, by a stored item, or by any mix of them."""
    chosen = {Format.JSON: as_json, Format.PATHS: paths}
    named = {name for name, flag in chosen.items() if flag} | ({form} - {Format.TABLE})
    if len(named) > 1:
        raise typer.BadParameter(f"--format {', '.join(sorted(named))}: expected one format")
    output = Output(
        format=next(iter(named), form), null=null, previews=previews, pager=pager, copy_to=copy_to, open=open_best
    )
    if hybrid and options.get("keywords") is None:
        options["keywords"] = text
    if hybrid and options["keywords"] is None:
        raise typer.BadParameter("--hybrid uses TEXT as keywords: give TEXT, or use --keywords")
    if server is not None:
        _check_options(context, server)
    query = output.asked(
        Query.of(
            text,
            image=image,
            edit=edit,
            crop=None if crop is None else _numbers(crop),
            composed=None if composed is None else _pieces(composed),
            like=like or (),
            unlike=unlike or (),
            without=without or (),
            where=where,
            **options,
        )
    )
    if server is not None:
        output.show(_asked(server, query, collection), query)
        return
    from oneword.engine.config import EngineConfig
    from oneword.query.resident.address import Address
    from oneword.query.resident.client import ask

    config = EngineConfig(model=model, device=device, dtype=dtype, revision=revision)
    address = Address.of(db, config) if daemon else None
    if address is not None and (result := ask(address, query, collection)) is not None:
        output.show(result, query)
        return
    from oneword.query.service import SearchService

    service = SearchService(db, collection, config)
    output.show(service.search(query), query)
    if address is not None and service.loaded:
        from oneword.query.resident.control import start

        start(address, db, config, collection)


def _numbers(crop: str) -> list[float]:
    try:
        return [float(one) for one in crop.split(",")]
    except ValueError:
        raise typer.BadParameter(f"--crop {crop!r}: expected four numbers, as 0.25,0,0.5,1") from None


def _pieces(composed: str) -> "list[Piece]":
    """The pieces of words with images in braces, or of JSON: `[{"image": "a.jpg"}, "the sofa of this"]`."""
    if composed.lstrip().startswith("["):
        try:
            pieces: list[Piece] = json.loads(composed)
        except ValueError as error:
            raise typer.BadParameter(f"--composed is not JSON ({error}): expected a list of images and texts") from None
        return pieces
    found = re.split(r"\{([^{}]*)\}", composed)  # words and images in turn
    return [{"image": one} if place % 2 else one.strip() for place, one in enumerate(found) if place % 2 or one.strip()]


def _check_options(context: typer.Context, server: str) -> None:
    for name in LOCAL:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise typer.BadParameter(
                f"--{name} {context.params[name]} is not for the server at {server}, which has its own: "
                f"leave it out, or search here, without --server and ONEWORD_SERVER"
            )


def _asked(server: str, query: Query, collection: str) -> "SearchResult":
    from oneword.query.client import Client
    from oneword.query.client.errors import Refused

    key = os.environ.get("ONEWORD_API_KEY") or None
    with Client(server, key=key) as client:
        try:
            return client.search(query, collection)
        except Refused as error:  # the server's remedy is for REST clients
            remedy = "Set ONEWORD_API_KEY to a key" if key is None else "Check the key in ONEWORD_API_KEY"
            remedy += "; the operator makes them: `oneword keys create NAME`."
            raise Refused(error.detail, status=error.status, code=error.code, remedy=remedy) from None
