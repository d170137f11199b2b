"""Options of commands, and output on a terminal."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import unquote, urlsplit

import typer

from oneword.storage.config import AnnKind
from oneword.storage.visible import OBEYED, visible

if TYPE_CHECKING:
    from rich.console import Console

Db = Annotated[str, typer.Option("--db", envvar="ONEWORD_DB", help="The store: a directory or s3://, gs://, az://.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
Index = Annotated[AnnKind, typer.Option("--index", help="Structure of the ANN index; auto: the quickest in a trial.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


WIDE = 4096
"""Columns without a terminal: a program that reads a table does not want wrapped lines."""


def say(text: str, *, err: bool = False) -> None:
    """Print text on stdout or stderr, with its line breaks."""
    typer.echo("\n".join(map(visible, text.split("\n"))), err=err)


def console(*, stderr: bool = False) -> Console:
    """A rich console without markup, which wraps lines only on a terminal."""
    from rich.console import Console

    made = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not made.is_terminal:
        made.width = WIDE
    return made


def confirm(question: str, yes: bool, because: str = "this cannot be undone") -> None:
    """Ask for confirmation, unless `yes`; without a terminal, `yes` is required."""
    if yes:
        return
    if not at_terminal():
        raise typer.BadParameter(f"{because}, and there is no terminal to ask at: pass --yes")
    typer.confirm(visible(question), abort=True, err=True)


def at_terminal() -> bool:
    """Whether stdin is a terminal."""
    return sys.stdin.isatty()


def print_json(document: dict[str, Any], *, indent: int | None = 2) -> None:
    """Print one JSON document on stdout, with escapes for what a terminal would interpret.

    indent: of its lines; None: all in one line.
    """
    from json import dumps

    # Times are the only values that are not JSON.
    text = dumps(document, ensure_ascii=False, indent=indent, default=lambda time: time.isoformat())
    typer.echo(re.sub(rf"(?!\n){OBEYED.pattern}", lambda found: dumps(found[0])[1:-1], text))


def report(document: dict[str, Any], text: str, as_json: bool) -> None:
    """Print the outcome of a command: the document with `--json`, otherwise the text."""
    if as_json:
        print_json(document)
    else:
        say(text)


def print_table(heads: list[str], rows: Sequence[tuple[str, ...]]) -> None:
    """Print rows, with heads if any; wrapped on a terminal, and unwrapped elsewhere."""
    from rich.table import Column, Table

    table = Table(*(Column(head, overflow="fold") for head in heads), show_header=bool(heads), box=None, pad_edge=False)
    for row in rows:
        table.add_row(*map(visible, row))
    console().print(table)


def place(uri: str) -> str:
    """A file's path, relative where it is below the current folder, with the member; other URIs as they are."""
    if not uri.startswith("file://"):
        return uri
    parts = urlsplit(uri)
    path = Path(unquote(parts.path, errors="backslashreplace"))
    if path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    member = unquote(parts.fragment, errors="backslashreplace")
    return f"{path}#{member}" if member else str(path)


def minute(time: datetime) -> str:
    """A local time, to the minute."""
    return f"{time.astimezone():%Y-%m-%d %H:%M}"


def size(bytes_: int | None) -> str:
    """Bytes as megabytes, or `?`."""
    return "?" if bytes_ is None else f"{bytes_ / 1e6:,.1f} MB"
