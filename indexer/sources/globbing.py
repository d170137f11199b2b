"""Globs, as the standard library's `glob` has them, but for four things.

Names match in either Unicode normal form; folders that `sources.folder` passes over are passed over as hidden ones are;
a folder that cannot be listed stands for what is in it, so that it is reported; and no folder outside the roots is
looked into.
"""

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from unicodedata import normalize

from oneword.engine.roots import OutsideRoots, Roots
from oneword.indexer.sources.folder import is_passed_over
from oneword.indexer.sources.place import Local, Place, as_on_disk, has_magic, place_of


def found_in(pattern: str, roots: Roots | None = None) -> list[Place]:
    """The places that a local glob matches, sorted. A folder that leads out of the roots stands for what is in it.

    Raises:
        OutsideRoots: it begins outside the roots, or leads up.
    """
    parts = pattern.split("/")
    at = next((at for at, part in enumerate(parts) if has_magic(part)), len(parts))
    before = "/".join(parts[:at]) or ("/" if pattern.startswith("/") else ".")
    rest = [part for part in parts[at:] if part not in ("", ".")]
    base = as_on_disk(place_of(before, roots))
    assert isinstance(base, Local)
    if base.outside or (roots is not None and ".." in rest):
        raise OutsideRoots(pattern)
    if not (base.exists() and base.is_folder()):
        return []
    found = {one.uri: one for one in _below(base, rest, ())}.values()
    return sorted((one for one in found if not pattern.endswith("/") or one.is_folder()), key=lambda one: one.shown)


def _below(folder: Place, parts: Sequence[str], above: tuple[object, ...]) -> Iterator[Place]:
    """above: the folders that `**` has gone through, so that a link that leads back ends there."""
    if not parts:
        yield folder
        return
    part, *rest = parts
    if part == "..":
        yield from _below(folder.parent, rest, ())
        return
    try:
        if not has_magic(part):
            if (found := as_on_disk(folder.child(part))).exists():
                yield from _entered(found, rest, ())
            return
        files, folders = folder.listing()
        identity = folder.identity
    except OSError:
        yield folder
        return
    if part == "**":
        if identity in above:
            return
        yield from _below(folder, rest, ())
        for name in folders:
            if not (is_passed_over(name) or _has_mark(folder.child(name))):
                yield from _entered(folder.child(name), parts, (*above, identity))
        if not rest:
            yield from (folder.child(name) for name in files if not name.startswith("."))
        return
    wanted = normalize("NFC", part)
    hidden = part.startswith(".")
    named = [name for name in files if hidden or not name.startswith(".")]
    named += [name for name in folders if hidden or not (is_passed_over(name) or _has_mark(folder.child(name)))]
    for name in sorted(named):
        if fnmatchcase(normalize("NFC", name), wanted):
            yield from _entered(folder.child(name), rest, ())


def _has_mark(folder: Place) -> bool:
    try:
        return folder.child(".nomedia").exists()
    except OSError:
        return False


def _entered(place: Place, rest: Sequence[str], above: tuple[object, ...]) -> Iterator[Place]:
    """What matches below a place; itself where it leads out, to be refused by its name."""
    if not rest or place.outside:
        yield place
    elif place.is_folder():
        yield from _below(place, rest, above)
