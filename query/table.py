"""Hits as a person reads them in a terminal."""

import io
import logging
import os
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from oneword.engine.dependencies import require
from oneword.query.explain import beginning, listed
from oneword.query.result import Hit, Reranked, SearchResult
from oneword.storage.terminal import console as terminal
from oneword.storage.terminal import place
from oneword.storage.visible import visible

WIDTH = 24
"""Columns of a preview."""


def show(result: SearchResult, offset: int = 0, *, previews: bool = False, pager: bool = False) -> None:
    """Prints hits as a table, with guesses marked as such.

    Args:
        previews: shows thumbnails, as pixels where the terminal can (Kitty's protocol, Sixel), else as colored blocks.
        pager: shows a table with more rows than the terminal in the pager of the environment.

    Raises:
        MissingDependency: no previews without the extra `previews`.
    """
    console = terminal()
    if pager and not previews and console.is_terminal and len(result.hits) >= console.height:
        os.environ.setdefault("LESS", "FRX")  # colors, and what was shown stays on the screen
        with console.pager(styles=True):
            _print(console, result, offset, None)
    else:
        _print(console, result, offset, _renderer() if previews else None)


def _renderer() -> Any:
    """Returns what draws an image in this terminal."""
    require("textual_image", what="--previews", extra="previews")
    logging.getLogger("textual_image").setLevel(logging.ERROR)  # it warns of a terminal that answers no question
    from textual_image.renderable import Image

    return Image


def _print(console: Console, result: SearchResult, offset: int, draw: Any) -> None:
    if result.words:
        console.print(f"Words of the query: {listed(result.words)}")
    if not result.hits:
        console.print("No hits.")
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False)
    table.add_column("", justify="right", style="dim")
    table.add_column("score", justify="right")
    judged = any(hit.rerank_score is not None for hit in result.hits)
    if judged:
        table.add_column("reranked", justify="right")
    if draw is not None:
        table.add_column("", width=WIDTH)
    table.add_column("what")
    table.add_column("where", overflow="fold")
    table.add_column("text", overflow="fold")
    if result.words:
        table.add_column("shared words", overflow="fold", style="green")
    table.add_column("id", overflow="fold", style="dim")
    for rank, hit in enumerate(result.hits, start=offset + 1):
        score = Text(f"{hit.score:.3f}{'?' if hit.doubtful else ' '}", style="dim" if hit.doubtful else "bold")
        again = ["" if hit.rerank_score is None else f"{hit.rerank_score:.3f}"] if judged else []
        shown = [] if draw is None else [draw(io.BytesIO(hit.thumbnail), width=WIDTH) if hit.thumbnail else ""]
        why = [listed(hit.shared)] if result.words else []
        what = hit.part or hit.modality
        table.add_row(
            str(rank), score, *again, *shown, what, visible(place(hit.uri)), _text(hit), *why, visible(hit.id)
        )
    if result.hits:
        console.print(table)
    of = "" if result.total is None else f" of {result.total}"
    console.print(
        f"{len(result.hits)}{of} items in {result.collection!r}, model {visible(result.model)}; "
        f"encode {result.encode_ms:.0f} ms, search {result.search_ms:.0f} ms",
        soft_wrap=True,
        style="dim",
    )
    if result.reranked is not None:
        console.print(reranked(result.reranked), style="dim" if result.reranked.reason is None else "yellow")
    if result.shortened:
        console.print(shortened(result.shortened), style="yellow")
    if not result.fits:
        console.print("Nothing fits well: unrelated queries find as good hits.", style="dim")
    if any(hit.doubtful for hit in result.hits):
        console.print("? low confidence: most unrelated queries have a better hit.", style="dim")


def _text(hit: Hit) -> str:
    """The beginning of a hit's text; of an image with text that a keyword matches, the line with it, in quotes."""
    if hit.matched is not None:
        return f"“{beginning(hit.matched)}”"
    return beginning(hit.text)


def reranked(report: Reranked) -> str:
    """Returns one line about judging the best hits again."""
    if report.reason is not None:
        return f"Not reranked by {visible(report.model)}: {report.reason} after {report.ms:.0f} ms."
    return f"Reranked by {visible(report.model)}: {report.judged} hits in {report.ms:.0f} ms."


def shortened(texts: int) -> str:
    """Returns one line about texts of a query that the model does not read as a whole."""
    return f"{texts} of the query's texts {'is' if texts == 1 else 'are'} longer than the model reads: the rest is cut."
