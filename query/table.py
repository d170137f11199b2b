"""Hits as a person reads them in a terminal."""

from rich.table import Table
from rich.text import Text

from oneword.query.explain import beginning, listed
from oneword.query.result import Reranked, SearchResult
from oneword.storage.terminal import console as terminal
from oneword.storage.terminal import place
from oneword.storage.visible import visible


def show(result: SearchResult, offset: int = 0) -> None:
    """Prints hits as a table, with guesses marked as such."""
    console = terminal()
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
    table.add_column("what")
    table.add_column("where", overflow="fold")
    table.add_column("text", overflow="fold")
    if result.words:
        table.add_column("shared words", overflow="fold", style="green")
    table.add_column("id", overflow="fold", style="dim")
    for rank, hit in enumerate(result.hits, start=offset + 1):
        score = Text(f"{hit.score:.3f}{'?' if hit.doubtful else ' '}", style="dim" if hit.doubtful else "bold")
        again = ["" if hit.rerank_score is None else f"{hit.rerank_score:.3f}"] if judged else []
        why = [listed(hit.shared)] if result.words else []
        table.add_row(
            str(rank), score, *again, hit.modality, visible(place(hit.uri)), beginning(hit.text), *why, visible(hit.id)
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


def reranked(report: Reranked) -> str:
    """Returns one line about judging the best hits again."""
    if report.reason is not None:
        return f"Not reranked by {visible(report.model)}: {report.reason} after {report.ms:.0f} ms."
    return f"Reranked by {visible(report.model)}: {report.judged} hits in {report.ms:.0f} ms."


def shortened(texts: int) -> str:
    """Returns one line about texts of a query that the model does not read as a whole."""
    return f"{texts} of the query's texts {'is' if texts == 1 else 'are'} longer than the model reads: the rest is cut."
