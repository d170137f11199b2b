"""`oneword explain`."""

import json
from textwrap import shorten
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from engine.words import Word
    from query.explanation import Explanation


def explain(
    text: Annotated[str | None, typer.Argument(help="Words to explain.")] = None,
    image: Annotated[str | None, typer.Option(help="A picture to explain.")] = None,
    edit: Annotated[str | None, typer.Option(help='How the picture should differ: "red and longer".')] = None,
    like: Annotated[list[str] | None, typer.Option(help="A stored item as part of the question.")] = None,
    item: Annotated[list[str] | None, typer.Option(help="A stored item to explain; may be repeated.")] = None,
    words: Annotated[int, typer.Option(min=1, max=50, help="Words of each kind.")] = 5,
    db: Annotated[str, typer.Option(envvar="ONEWORD_DB", help="Folder or object-store URI of the store.")] = ".oneword",
    collection: Annotated[str, typer.Option("--collection", "-c", help="Whose model and view to use.")] = "default",
    model: Annotated[str, typer.Option(help="Only to insist on one, or to say where its folder is now.")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    dtype: Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Say which words a question and stored items stand for, and which they share."""
    from engine.config import EngineConfig
    from query.service import SearchService

    service = SearchService(db, collection, EngineConfig(model=model, device=device, dtype=dtype))
    explanation = service.explain(text, image=image, edit=edit, like=like or (), items=item or (), words=words)
    if as_json:
        print(json.dumps(explanation.as_dict(), ensure_ascii=False))
    else:
        _show(explanation)


def _show(explanation: "Explanation") -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    if explanation.words:
        console.print(Text.assemble(("question  ", "bold"), listed(explanation.words)))
    for item in explanation.items:
        about = f"{item.modality} {item.id}  {item.uri}" + (f"  {shorten(item.text, 60)}" if item.text else "")
        console.print(Text(about, style="bold"))
        console.print(Text(f"  stands for  {listed(item.words)}"))
        if item.shared:
            console.print(Text(f"  shares      {listed(item.shared)}"))


def listed(words: "tuple[Word, ...]") -> str:
    """Words with their scores in one line."""
    return ", ".join(f"{word.text} {word.score:.2f}" for word in words)
