"""Which files to take and which to leave out: globs of the path below the folder given.

`*.png` matches at any depth, `2024/*.png` from the top, `**` any number of folders, and what matches a folder matches
all in it. Each part of a path is matched by the standard library's `fnmatch`, letters as they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from unicodedata import normalize


@dataclass(frozen=True, kw_only=True)
class Patterns:
    """Empty `include` takes all; `exclude` counts for more."""

    include: Sequence[str] = ()
    exclude: Sequence[str] = ()

    def included(self, path: str) -> bool:
        """Whether a file is taken, by `include` alone; `path` is relative, with `/`."""
        return not self.include or any(_below(path, one) for one in self.include)

    def excluded(self, path: str) -> bool:
        """Whether a file or a folder is left out."""
        return any(_below(path, one) for one in self.exclude)


def _below(path: str, pattern: str) -> bool:
    """Whether a pattern matches a path or a folder above it."""
    path, pattern = normalize("NFC", path), normalize("NFC", pattern)  # a Mac writes é as two characters
    wanted = pattern.strip("/").split("/")
    if "/" not in pattern.rstrip("/"):
        wanted = ["**", *wanted]
    parts = path.split("/")
    return any(matches(parts[:end], wanted) for end in range(1, len(parts) + 1))


def matches(parts: Sequence[str], wanted: Sequence[str], *, hidden: bool = True) -> bool:
    """Whether a pattern, in parts, matches a path. hidden: signs stand for a leading dot; for `glob` they do not."""
    reached = {0}  # how many of `parts` the pattern so far can stand for
    for one in wanted:
        dotted = hidden or one.startswith(".")
        taken = {at for at in range(len(parts)) if dotted or not parts[at].startswith(".")}
        if one == "**":
            for at in range(min(reached), len(parts)):
                if at in reached and at in taken:
                    reached.add(at + 1)
        else:
            reached = {at + 1 for at in reached & taken if fnmatchcase(parts[at], one)}
        if not reached:
            return False
    return len(parts) in reached
