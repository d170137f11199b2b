"""What a command does with the hits of a search: prints them in one of several formats, copies files, opens one."""

import csv
import filecmp
import io
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import count
from pathlib import Path
from urllib.parse import urldefrag

import typer

from oneword.engine.roots import local_path
from oneword.query.errors import QueryError
from oneword.query.query import Query
from oneword.query.result import Hit, SearchResult
from oneword.storage.terminal import print_json, say
from oneword.storage.visible import visible


class Format(StrEnum):
    """How hits are printed. `paths`: each file once, a line each; a URI where it is no file."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    PATHS = "paths"


COLUMNS = ("id", "score", "confidence", "modality", "uri", "text", "metadata")
"""Of CSV; metadata as JSON."""


@dataclass(frozen=True, kw_only=True)
class Output:
    """What to do with hits.

    Args:
        null: ends each path with a zero byte, as `xargs -0` expects.
        previews: shows thumbnails in the table.
        pager: shows a table that is longer than the terminal in a pager.
        copy_to: the folder that files of hits are copied to; made if it is not there.
        open: opens the best hit with the program that the system has for it.
    """

    format: Format = Format.TABLE
    null: bool = False
    previews: bool = False
    pager: bool = True
    copy_to: Path | None = None
    open: bool = False

    def __post_init__(self) -> None:
        if self.null and self.format is not Format.PATHS:
            raise typer.BadParameter("-0 ends paths: give --paths, too")
        if self.previews and self.format is not Format.TABLE:
            raise typer.BadParameter(f"--previews are for the table: leave out --format {self.format} or --previews")

    def asked(self, query: Query) -> Query:
        """Returns the query with what the output needs of each hit."""
        return replace(query, include=query.include | {"thumbnail"}) if self.previews else query

    def show(self, result: SearchResult, query: Query) -> None:
        """Prints the hits, then copies and opens what was asked for.

        Raises:
            QueryError: nothing can be opened.
            OSError: files cannot be copied.
        """
        match self.format:
            case Format.TABLE:
                from oneword.query.table import show

                show(result, query.offset, previews=self.previews, pager=self.pager)
            case Format.JSON:
                print_json(result.as_dict(), indent=None)
            case Format.JSONL:
                for hit in result.hits:
                    print_json(hit.as_dict(), indent=None)
            case Format.CSV:
                typer.echo(_csv(result.hits), nl=False)
            case Format.PATHS:
                _print_paths(places(result.hits), "\0" if self.null else "\n")
        if self.copy_to is not None:
            _copy(places(result.hits), self.copy_to)
        if self.open:
            _open(result.hits)


def places(hits: Sequence[Hit]) -> list[Path | str]:
    """Returns where each original is, once: the path of a file, else its URI without the fragment."""
    uris = dict.fromkeys(urldefrag(hit.uri).url for hit in hits if hit.uri)
    return [local_path(uri) or uri for uri in uris]


def _csv(hits: Sequence[Hit]) -> str:
    import json

    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for hit in hits:
        known = hit.as_dict()
        writer.writerow(known | {"metadata": json.dumps(known["metadata"], ensure_ascii=False)})
    return file.getvalue()


def _print_paths(found: Sequence[Path | str], end: str) -> None:
    """Prints bytes as the file system has them, but what a terminal would obey."""
    if sys.stdout.isatty() and end == "\n":
        for one in found:
            say(visible(str(one)))
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(b"".join(os.fsencode(one) + end.encode() for one in found))


def _copy(found: Sequence[Path | str], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    copied = there = 0
    for one in found:
        if not isinstance(one, Path) or not one.is_file():
            say(f"not copied: {one} is not a file on this machine", err=True)
            continue
        to = _free(one, folder)
        if to is None:
            there += 1
            continue
        shutil.copy2(one, to)
        copied += 1
    say(f"copied {copied} files to {folder}" + (f"; {there} were there already" if there else ""), err=True)


def _free(file: Path, folder: Path) -> Path | None:
    """Returns a name in the folder that is not taken; None if one of them is this very file or an equal one."""
    for number in count(1):
        name = file.name if number == 1 else f"{file.stem}-{number}{file.suffix}"
        if not os.path.lexists(folder / name):
            return folder / name
        if filecmp.cmp(file, folder / name, shallow=False):
            return None
    raise AssertionError


def _open(hits: Sequence[Hit]) -> None:
    if not hits:
        raise QueryError("nothing was found, so nothing is opened; ask for something else")
    uri = hits[0].uri
    if not uri.startswith(("file:", "http:", "https:")):
        raise QueryError(f"the best hit is at {uri!r}, which no program opens: expected a file or a web address")
    path = local_path(urldefrag(uri).url)
    if path is not None and not path.exists():
        raise QueryError(f"{path}: the best hit's file is not there any more; index the folder again with --sync")
    typer.launch(str(path) if path is not None else uri)
