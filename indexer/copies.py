"""Local copies of files in object stores, for processes that read them in pieces."""

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from oneword.engine.errors import FileTooLarge, UnreadableFile
from oneword.engine.roots import Roots
from oneword.indexer.documents import MAX_BYTES
from oneword.indexer.entry import Reference, remote_mark
from oneword.indexer.errors import IndexerError
from oneword.indexer.sources.place import place_of, reason_of

KEPT = 2
"""Copies that are kept while nobody reads them: parts of one file follow each other."""

PIECE = 2**20


@dataclass
class _Copy:
    path: Path | None = None
    users: int = 0
    mutex: threading.Lock = field(default_factory=threading.Lock)


class Copies:
    """Copies, made when they are first asked for. Safe from many threads."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._copies: dict[tuple[str, str | None], _Copy] = {}
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    @contextmanager
    def local(self, reference: Reference, roots: Roots | None) -> Iterator[str]:
        """Yields the path of a file, or of a copy of it.

        Raises:
            UnreadableFile, FileTooLarge
        """
        if (path := reference.path) is not None:
            yield str(path)
            return
        key = (reference.file, remote_mark(reference.file))  # another one when the object was replaced
        with self._mutex:
            self._folder = self._folder or tempfile.TemporaryDirectory(prefix="oneword-parts-")
            copy = self._copies[key] = self._copies.pop(key, _Copy())  # now the last
            copy.users += 1
        try:
            with copy.mutex:
                copy.path = copy.path or _made(reference, roots, self._folder.name)
            yield str(copy.path)
        finally:
            with self._mutex:
                copy.users -= 1
                idle = [one for one, found in self._copies.items() if not found.users]
                for one in idle[: max(0, len(idle) - KEPT)]:
                    if gone := self._copies.pop(one).path:
                        gone.unlink()


def _made(reference: Reference, roots: Roots | None, folder: str) -> Path:
    name = reference.file
    descriptor, path = tempfile.mkstemp(dir=folder)
    try:
        with os.fdopen(descriptor, "wb") as copy, place_of(name, roots).open() as file:
            while piece := file.read(PIECE):
                copy.write(piece)
                if copy.tell() > MAX_BYTES:
                    raise FileTooLarge(f"{name}: longer than {MAX_BYTES:,} bytes; split it first")
    except (OSError, ValueError, IndexerError) as error:
        Path(path).unlink()
        raise UnreadableFile(f"{name}: cannot be read ({reason_of(error)})") from error
    except FileTooLarge:
        Path(path).unlink()
        raise
    return Path(path)
