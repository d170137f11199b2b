"""What the store's commands share: their options, and how they print and ask."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

Db = Annotated[str, typer.Option("--db", envvar="ONEWORD_DB", help="The store: a directory or s3://, gs://, az://.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


WIDE = 4096
"""Columns where there is no terminal: a program that reads a table has no use for broken lines."""


def confirm(question: str, yes: bool, because: str = "this cannot be undone") -> None:
    """Ask, unless `yes` was said; without a terminal to ask at, it must have been."""
    if yes:
        return
    if not at_terminal():
        raise typer.BadParameter(f"{because}, and there is no terminal to ask at: pass --yes")
    typer.confirm(question, abort=True, err=True)


def at_terminal() -> bool:
    """Whether someone is there to answer."""
    return sys.stdin.isatty()


def print_json(document: dict[str, Any]) -> None:
    """One JSON document on stdout."""
    from json import dumps

    # The only values that are not JSON already are times.
    typer.echo(dumps(document, ensure_ascii=False, indent=2, default=lambda time: time.isoformat()))


def print_table(heads: list[str], rows: Sequence[tuple[str, ...]]) -> None:
    """Rows under heads, or without any; as wide as the terminal, and elsewhere as wide as it takes."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*heads, show_header=bool(heads), box=None, pad_edge=False)
    for row in rows:
        table.add_row(*map(Text, row))  # Text: a uri may hold what rich would take for markup
    Console(width=None if sys.stdout.isatty() else WIDE).print(table)


def size(bytes_: int | None) -> str:
    """Bytes for people, or `?`."""
    return "?" if bytes_ is None else f"{bytes_ / 1e6:,.1f} MB"
