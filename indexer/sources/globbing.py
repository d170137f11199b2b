"""Globs that look into no folder outside the roots; otherwise as the standard library's `glob` has them."""

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from engine.roots import OutsideRoots, Roots
from indexer.sources.place import Local, Place, has_magic, place_of


def found_in(pattern: str, roots: Roots) -> list[Place]:
    """The places that a local glob matches, sorted. A folder that leads out of the roots stands for what is in it.

    Raises:
        OutsideRoots: it begins outside the roots, or leads up.
        OSError: a folder cannot be listed.
    """
    parts = pattern.split("/")
    at = next((at for at, part in enumerate(parts) if has_magic(part)), len(parts))
    before = "/".join(parts[:at]) or ("/" if pattern.startswith("/") else ".")
    rest = [part for part in parts[at:] if part not in ("", ".")]
    base = place_of(before, roots)
    assert isinstance(base, Local)
    if base.outside or ".." in rest:
        raise OutsideRoots(pattern)
    if not base.is_folder():
        return []
    return sorted({one.uri: one for one in _below(base, rest, ())}.values(), key=lambda one: one.shown)


def _below(folder: Place, parts: Sequence[str], above: tuple[object, ...]) -> Iterator[Place]:
    """above: the folders that `**` has gone through, so that a link that leads back ends there."""
    if not parts:
        yield folder
        return
    part, *rest = parts
    if not has_magic(part):
        if (found := folder.child(part)).exists():
            yield from _entered(found, rest, ())
        return
    files, folders = folder.listing()
    if part == "**":
        if (identity := folder.identity) in above:
            return
        yield from _below(folder, rest, ())
        for name in folders:
            if not name.startswith("."):
                yield from _entered(folder.child(name), parts, (*above, identity))
        if not rest:
            yield from (folder.child(name) for name in files if not name.startswith("."))
        return
    for name in sorted([*files, *folders]):
        if fnmatchcase(name, part) and (part.startswith(".") or not name.startswith(".")):
            yield from _entered(folder.child(name), rest, ())


def _entered(place: Place, rest: Sequence[str], above: tuple[object, ...]) -> Iterator[Place]:
    """What matches below a place; itself where it leads out, to be refused by its name."""
    if not rest or place.outside:
        yield place
    elif place.is_folder():
        yield from _below(place, rest, above)
