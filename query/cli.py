"""`oneword search`."""

import os
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from oneword.engine.options import Revision
from oneword.storage.terminal import print_json

if TYPE_CHECKING:
    from oneword.query.question import Query
    from oneword.query.result import SearchResult


class Modality(StrEnum):
    """What a hit may be."""

    IMAGE = "image"
    TEXT = "text"


class Fusion(StrEnum):
    """How two rankings are made one."""

    RRF = "rrf"
    WEIGHTED = "weighted"


LOCAL = ("db", "model", "revision", "device", "dtype")
"""Options that say how to search here, and nothing to a server."""


def search(
    context: typer.Context,
    text: Annotated[str | None, typer.Argument(help="Words to search by.")] = None,
    image: Annotated[str | None, typer.Option(help="A picture to search by; with --server also a URL.")] = None,
    edit: Annotated[str | None, typer.Option(help='How hits should differ from the picture: "red and longer".')] = None,
    like: Annotated[list[str] | None, typer.Option(help="The id of a stored item; may be repeated.")] = None,
    without: Annotated[
        list[str] | None, typer.Option("--not", help="Words hits should be unlike; may be repeated.")
    ] = None,
    limit: Annotated[int, typer.Option("-k", "--limit", min=1, max=10_000, help="Number of hits.")] = 10,
    offset: Annotated[int, typer.Option(min=0, help="Hits to skip, for the next page.")] = 0,
    where: Annotated[str | None, typer.Option(help="Filter: 'format = png and width >= 640', or as JSON.")] = None,
    modality: Annotated[Modality | None, typer.Option(help="Only such hits.")] = None,
    view: Annotated[str | None, typer.Option(help="Insist on the view of the collection.")] = None,
    min_score: Annotated[float | None, typer.Option(help="Lowest cosine similarity of a hit.")] = None,
    keywords: Annotated[str | None, typer.Option(help="Words that texts or captions must have, any of them.")] = None,
    hybrid: Annotated[bool, typer.Option("--hybrid", help="TEXT is keywords as well.")] = False,
    fusion: Annotated[Fusion, typer.Option(help="How keywords and nearness are made one.")] = Fusion.RRF,
    keyword_weight: Annotated[float, typer.Option(min=0, max=1, help="Of keywords, in a weighted fusion.")] = 0.5,
    diversity: Annotated[float, typer.Option(min=0, max=1, help="0: the nearest; 1: as different as can be.")] = 0.0,
    group_by: Annotated[str | None, typer.Option(help="One hit for each value of this field.")] = None,
    version: Annotated[int | None, typer.Option(min=1, help="Search this version, for pages that join.")] = None,
    why: Annotated[int, typer.Option("--explain", min=0, max=50, help="Say why, in so many words a hit.")] = 0,
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
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Search by words, by a picture, by a picture and an edit, by a stored item, or by any mix of them."""
    if hybrid and text is None and keywords is None:
        raise typer.BadParameter("--hybrid takes the words of TEXT: say some, or use --keywords")
    if server is not None:
        _check_options(context, server)
    from oneword.query.question import Query

    query = Query.of(
        text,
        image=image,
        edit=edit,
        like=like or (),
        without=without or (),
        where=where,
        modality=modality and modality.value,
        limit=limit,
        offset=offset,
        min_score=min_score,
        view=view,
        explain=why,
        keywords=text if hybrid and keywords is None else keywords,
        fusion=fusion.value,
        keyword_weight=keyword_weight,
        diversity=diversity,
        group_by=group_by,
        version=version,
    )
    if server is not None:
        result = _asked(server, query, collection)
    else:
        from oneword.engine.config import EngineConfig
        from oneword.query.service import SearchService

        result = SearchService(
            db, collection, EngineConfig(model=model, device=device, dtype=dtype, revision=revision)
        ).search(query)
    if as_json:
        print_json(result.as_dict(), indent=None)
    else:
        from oneword.query.table import show

        show(result, offset)


def _check_options(context: typer.Context, server: str) -> None:
    for name in LOCAL:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise typer.BadParameter(
                f"--{name} {context.params[name]} is not for the server at {server}, which has its own: "
                f"leave it out, or search here, without --server and ONEWORD_SERVER"
            )


def _asked(server: str, query: "Query", collection: str) -> "SearchResult":
    from oneword.query.client import Client
    from oneword.query.client.errors import Refused

    key = os.environ.get("ONEWORD_API_KEY") or None
    with Client(server, key=key) as client:
        try:
            return client.search(query, collection)
        except Refused as error:  # what the server says to do is for whoever writes requests
            remedy = "Set ONEWORD_API_KEY to a key" if key is None else "Check the key in ONEWORD_API_KEY"
            remedy += "; the operator makes them: `oneword keys create NAME`."
            raise Refused(error.detail, status=error.status, code=error.code, remedy=remedy) from None
