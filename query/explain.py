"""`oneword explain`."""

from typing import TYPE_CHECKING, Annotated

import typer

from oneword.engine.options import Revision
from oneword.query.query import MAX_WORDS
from oneword.storage.terminal import print_json
from oneword.storage.visible import visible

if TYPE_CHECKING:
    from oneword.engine.words import Word
    from oneword.query.explanation import Explanation


SNIPPET = 60
"""Width of a text in terminal cells; --json has it whole."""


def explain(
    text: Annotated[str | None, typer.Argument(help="Words to explain.")] = None,
    image: Annotated[str | None, typer.Option(help="A picture to explain.")] = None,
    edit: Annotated[str | None, typer.Option(help='How the picture should differ: "red and longer".')] = None,
    like: Annotated[list[str] | None, typer.Option(help="A stored item as part of the query.")] = None,
    item: Annotated[list[str] | None, typer.Option(help="A stored item to explain; may be repeated.")] = None,
    words: Annotated[int, typer.Option(min=1, max=MAX_WORDS, help="Words of each kind.")] = 5,
    db: Annotated[str, typer.Option(envvar="ONEWORD_DB", help="Folder or object-store URI of the store.")] = ".oneword",
    collection: Annotated[str, typer.Option("--collection", "-c", help="Whose model and view to use.")] = "default",
    model: Annotated[str, typer.Option(help="Only to insist on one, or to say where its folder is now.")] = "auto",
    revision: Revision = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    dtype: Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Say which words a query and stored items express, and which they share."""
    from oneword.engine.config import EngineConfig
    from oneword.query.service import SearchService

    service = SearchService(db, collection, EngineConfig(model=model, device=device, dtype=dtype, revision=revision))
    explanation = service.explain(text, image=image, edit=edit, like=like or (), items=item or (), words=words)
    if as_json:
        print_json(explanation.as_dict(), indent=None)
    else:
        _show(explanation)


def _show(explanation: "Explanation") -> None:
    from rich.text import Text

    from oneword.storage.terminal import console as terminal

    console = terminal()
    if explanation.words:
        console.print(Text.assemble(("query     ", "bold"), listed(explanation.words)), soft_wrap=True)
    for item in explanation.items:
        about = f"{item.modality} {visible(item.id)}  {visible(item.uri)}  {beginning(item.text)}".rstrip()
        console.print(about, style="bold", soft_wrap=True)
        console.print(f"  words       {listed(item.words)}", soft_wrap=True)
        if item.shared:
            console.print(f"  shared      {listed(item.shared)}", soft_wrap=True)


def listed(words: "tuple[Word, ...]") -> str:
    """Returns words with their scores in one line, for a terminal."""
    return ", ".join(f"{visible(word.text)} {word.score:.2f}" for word in words)


def beginning(text: str | None) -> str:
    """Returns the beginning of a text, at most `SNIPPET` terminal cells wide, in one line."""
    from rich.text import Text

    line = Text(visible(" ".join((text or "")[: 10 * SNIPPET].split())))
    line.truncate(SNIPPET, overflow="ellipsis")
    return line.plain
