"""Globs: of paths that a user gives, and of the files to take from folders (`--include`, `--exclude`).

Names match in either Unicode normal form; `**` is any number of folders.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Self
from unicodedata import normalize
from urllib.parse import unquote_to_bytes

from oneword.engine.roots import OutsideRoots, Roots, local_path
from oneword.indexer.errors import BadSource, SourceNotFound
from oneword.indexer.options import SourceOptions
from oneword.indexer.sources.place import Place, as_on_disk, is_system_folder, is_uri, place_of

_MAGIC = re.compile(r"[*?\[]")


@dataclass(frozen=True, kw_only=True)
class Patterns:
    """Which files of a folder to take. An empty `include` takes all; `exclude` wins.

    A pattern is relative to the folder: `*.png` matches at any depth, `2024/*.png` from the top, and a pattern that
    matches a folder matches everything in it.
    """

    include: Sequence[str] = ()
    exclude: Sequence[str] = ()

    @classmethod
    def of(cls, options: SourceOptions) -> Self:
        """Those of a job."""
        return cls(include=options.include, exclude=options.exclude)

    def included(self, path: str) -> bool:
        """Whether `include` takes a file; `path` is relative, with `/`."""
        return not self.include or any(_matches_at_or_above(path, one) for one in self.include)

    def excluded(self, path: str) -> bool:
        """Whether `exclude` leaves out a file or folder."""
        return any(_matches_at_or_above(path, one) for one in self.exclude)


def _matches_at_or_above(path: str, pattern: str) -> bool:
    parts, expected = normalize("NFC", path).split("/"), normalize("NFC", pattern).strip("/").split("/")
    if "/" not in pattern.rstrip("/"):
        expected = ["**", *expected]
    return any(matches(parts[:end], expected) for end in range(1, len(parts) + 1))


def matches(parts: Sequence[str], pattern: Sequence[str], *, hidden: bool = True) -> bool:
    """Whether a pattern, in parts, matches a path. hidden: `*` matches a leading dot, as it does not in `glob`."""
    reached = {0}  # the numbers of path parts that the pattern so far can match
    for one in pattern:
        dotted = hidden or one.startswith(".")
        allowed = {at for at in range(len(parts)) if dotted or not parts[at].startswith(".")}
        if one == "**":
            for at in range(min(reached), len(parts)):
                if at in reached and at in allowed:
                    reached.add(at + 1)
        else:
            reached = {at + 1 for at in reached & allowed if fnmatchcase(parts[at], one)}
        if not reached:
            return False
    return len(parts) in reached


def has_magic(text: str) -> bool:
    """Whether it holds `*`, `?` or `[`."""
    return _MAGIC.search(text) is not None


def braces(text: str) -> list[str]:
    """The paths that one with braces (`s-{000..010}.tar`) stands for. Raises BadSource, SourceNotFound."""
    if "{" not in text:
        return [text]
    try:
        from braceexpand import UnbalancedBracesError, braceexpand
    except ImportError as error:
        raise BadSource(f"{text!r} has braces, which braceexpand reads; install oneword[sources]") from error
    try:
        return list(braceexpand(text))
    except UnbalancedBracesError as error:
        raise SourceNotFound(f"path {text!r} does not exist, and its braces do not match ({error})") from error


def matching(pattern: str, roots: Roots | None = None) -> list[Place]:
    """The sorted places that a glob matches.

    Of local ones, hidden and system folders and those with a `.nomedia` file match only a pattern that begins with a
    dot; a folder that cannot be listed, or that leads out of the roots, stands for its content, so that it is reported.

    Raises:
        OutsideRoots: the glob begins outside the roots, or leads up.
        BadSource, OSError
    """
    if is_uri(pattern):
        if local_path(pattern) is None:
            return place_of(pattern, roots).glob()
        pattern = os.fsdecode(unquote_to_bytes(pattern.split("://", 1)[1].removeprefix("localhost")))
    parts = os.path.expanduser(pattern).split("/")  # noqa: PTH111 (keeps "." and "..")
    at = next((at for at, part in enumerate(parts) if has_magic(part)), len(parts))
    base = as_on_disk(place_of("/".join(parts[:at]) or ("/" if pattern.startswith("/") else "."), roots))
    rest = [part for part in parts[at:] if part not in ("", ".")]
    if base.outside or (roots is not None and ".." in rest):
        raise OutsideRoots(pattern)
    if not (base.exists() and base.is_folder()):
        return []
    found = {one.uri: one for one in _below(base, rest, ())}.values()
    return sorted((one for one in found if not pattern.endswith("/") or one.is_folder()), key=str)


def _below(folder: Place, pattern: Sequence[str], above: tuple[object, ...]) -> Iterator[Place]:
    """above: identities of the folders that `**` is in, so that it ends at a link that leads back."""
    if not pattern:
        yield folder
        return
    part, *rest = pattern
    if part == "..":
        yield from _below(folder.parent, rest, ())
        return
    try:
        if not has_magic(part):
            if (found := as_on_disk(folder.child(part))).exists():
                yield from _enter(found, rest, ())
            return
        files, folders = folder.listing()
        identity = folder.identity
    except OSError:
        yield folder
        return
    visible_files = [name for name in files if not name.startswith(".")]
    visible_folders = [one for one in folders if not (is_system_folder(one) or _has_nomedia(folder.child(one)))]
    if part == "**":
        if identity not in above:
            yield from _below(folder, rest, ())
            for name in visible_folders:
                yield from _enter(folder.child(name), pattern, (*above, identity))
            if not rest:
                yield from map(folder.child, visible_files)
        return
    expected = normalize("NFC", part)
    for name in sorted([*files, *folders] if part.startswith(".") else [*visible_files, *visible_folders]):
        if fnmatchcase(normalize("NFC", name), expected):
            yield from _enter(folder.child(name), rest, ())


def _enter(place: Place, rest: Sequence[str], above: tuple[object, ...]) -> Iterator[Place]:
    """What matches below a place; the place itself where it leads out of the roots, to be refused by its name."""
    if not rest or place.outside:
        yield place
    elif place.is_folder():
        yield from _below(place, rest, above)


def _has_nomedia(folder: Place) -> bool:
    """Whether Android's mark says that the folder holds no media."""
    try:
        return folder.child(".nomedia").exists()
    except OSError:
        return False
