"""`oneword models`."""

import json
from dataclasses import asdict
from typing import Annotated

import typer


def models(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """List the models that can be used here, and what the others lack."""
    from oneword.engine.errors import ModelNotFound
    from oneword.engine.models import cards, choose

    name: str | None
    try:
        name, reason = choose()
    except ModelNotFound as error:
        name, reason = None, str(error)
    if as_json:
        document = {"models": [asdict(card) for card in cards()], "auto": {"model": name, "reason": reason}}
        print(json.dumps(document, ensure_ascii=False))
        return
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    for card in cards():
        size = f"{card.size / 1e9:.1f} GB" if card.size >= 1e9 else f"{card.size / 1e6:.0f} MB"
        state = "[green]ready[/green]" if not card.missing else "[yellow]not ready[/yellow]"
        console.print(f"[bold]{card.name}[/bold]  {state}  {card.dimension} dimensions, {size}, {card.licence}")
        console.print(f"    {card.summary}", style="dim", markup=False)
        for lack in card.missing:
            console.print(f"    missing: {lack}", markup=False)
    console.print(f"--model auto is {name or 'nothing'}: {reason}", markup=False)
