"""`oneword search`."""

import json
from enum import StrEnum
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Annotated
from urllib.parse import unquote, urlsplit

import typer

if TYPE_CHECKING:
    from query.result import Hit, SearchResult


SNIPPET = 60
"""Characters of a hit's text in the table; --json has it whole."""


class Modality(StrEnum):
    """What a hit may be."""

    IMAGE = "image"
    TEXT = "text"


class Fusion(StrEnum):
    """How two rankings are made one."""

    RRF = "rrf"
    WEIGHTED = "weighted"


def search(
    text: Annotated[str | None, typer.Argument(help="Words to search by.")] = None,
    image: Annotated[str | None, typer.Option(help="A picture to search by.")] = None,
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
    collection: Annotated[str, typer.Option(help="The collection to search.")] = "default",
    model: Annotated[str, typer.Option(help="Only to insist on one, or to say where its folder is now.")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    dtype: Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Search by words, by a picture, by a picture and an edit, by a stored item, or by any mix of them."""
    if hybrid and text is None and keywords is None:
        raise typer.BadParameter("--hybrid takes the words of TEXT: say some, or use --keywords")
    from engine.config import EngineConfig
    from query.question import Query
    from query.service import SearchService

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
    service = SearchService(db, collection, EngineConfig(model=model, device=device, dtype=dtype))
    result = service.search(query)
    if as_json:
        print(json.dumps(result.as_dict(), ensure_ascii=False))
    else:
        show(result, offset)


def show(result: "SearchResult", offset: int = 0) -> None:
    """Prints hits as a table, with guesses marked as such."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from query.explain import listed

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 240  # a pipe has no edge to fold at
    if result.words:
        console.print(Text(f"The question stands for {listed(result.words)}"))
    if not result.hits:
        console.print("No hits.")
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False)
    table.add_column("", justify="right", style="dim")
    table.add_column("score", justify="right")
    table.add_column("what")
    table.add_column("where", overflow="fold")
    table.add_column("text", overflow="fold")
    if result.words:
        table.add_column("shared words", overflow="fold")
    table.add_column("id", style="dim", no_wrap=True)
    floor = result.low_confidence
    for rank, hit in enumerate(result.hits, start=offset + 1):
        guess = floor is not None and hit.score < floor
        score = Text(f"{hit.score:.3f}{'?' if guess else ' '}", style="dim" if guess else "bold")
        words = shorten(hit.text or "", SNIPPET, placeholder=" ...")
        why = [Text(listed(hit.shared), style="green")] if result.words else []
        table.add_row(str(rank), score, hit.modality, Text(_place(hit)), Text(words), *why, hit.id)
    if result.hits:
        console.print(table)
    of = "" if result.total is None else f" of {result.total}"
    console.print(
        f"[dim]{len(result.hits)}{of} items in {result.collection!r}, model {result.model}; "
        f"encode {result.encode_ms:.0f} ms, search {result.search_ms:.0f} ms[/dim]",
        soft_wrap=True,
    )
    if floor is not None and any(hit.score < floor for hit in result.hits):
        console.print(f"[dim]? low confidence: under {floor} this model guesses more often than it knows.[/dim]")


def _place(hit: "Hit") -> str:
    """A file's path, relative where it lies below the current folder; other URIs as they are."""
    if not hit.uri.startswith("file://"):
        return hit.uri
    path = Path(unquote(urlsplit(hit.uri).path, errors="backslashreplace"))
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
