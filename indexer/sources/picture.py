"""What a cell says of a picture: the bytes themselves, or where they are."""

import base64
import binascii
import re
from collections.abc import Collection
from pathlib import PurePosixPath
from urllib.parse import unquote_to_bytes

from oneword.indexer.entry import Reference
from oneword.indexer.sources.place import LocalPlace, Place, is_uri, may_reference, printable
from oneword.indexer.sources.tabular import Unreadable

_DATA = re.compile(r"data:([^,]{0,200}),", re.IGNORECASE)


class BadPicture(Exception):
    """A cell is no picture and no place of one. The message says what it is and what was expected."""


def picture(cell: object, folder: Place, schemes: Collection[str] = ()) -> bytes | Reference | None:
    """Bytes, Hugging Face's `{bytes, path}`, a data URI, a URL, a URI, or a path that begins in `folder`.

    Returns:
        None where the cell is empty.

    Raises:
        BadPicture
    """
    match cell:
        case None | "" | b"":
            return None
        case bytes():
            return cell
        case {"bytes": bytes() as data} if data:
            return data
        case {"path": str() as path} if path:
            return picture(path, folder, schemes)
        case {"bytes": None | b"", **rest} if not rest.get("path"):
            return None
        case str() if not cell.strip():
            return None
        case str():
            return _named(cell.strip(), folder, schemes)
        case Unreadable():
            raise BadPicture(f"cannot be read ({cell.reason})")
    raise BadPicture(
        f"is {_short(repr(cell))}, expected bytes, a data URI, a URL, a path, or a struct with 'bytes' or 'path'"
    )


def _named(cell: str, folder: Place, schemes: Collection[str]) -> bytes | Reference:
    if cell[:5].lower() == "data:":
        return _data(cell)
    if "\0" in cell or printable(cell) != cell:
        raise BadPicture(f"is {_short(repr(cell))}, which no path or URL can be")
    if is_uri(cell):
        if not may_reference(cell, folder, schemes):
            raise BadPicture(
                f"is {_short(repr(cell))}, expected a URL (http, https) or a path; an object store other than "
                "the table's own is read if --allow-scheme names its scheme"
            )
        return Reference(uri=cell.replace(" ", "%20") if cell[:4].lower() == "http" else cell)
    if PurePosixPath(cell).is_absolute() and not isinstance(folder, LocalPlace):
        raise BadPicture(f"is the absolute path {_short(cell)!r} in a table at {folder.shown}; write a whole URI")
    return Reference(uri=folder.child(cell if "/" in cell else f"./{cell}").uri)


def _data(cell: str) -> bytes:
    """What a data URI holds (RFC 2397)."""
    head = _DATA.match(cell)
    if head is None:
        raise BadPicture(f"is {_short(repr(cell))}, expected a comma in a data URI")
    body = cell[head.end() :]
    if not head[1].lower().endswith(";base64"):
        return unquote_to_bytes(body)
    try:
        data = base64.b64decode(unquote_to_bytes(body), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadPicture(f"is a data URI whose base 64 is broken ({error})") from error
    if not data:
        raise BadPicture("is a data URI without data")
    return data


def _short(text: str) -> str:
    return text if len(text) <= 100 else f"{text[:100]}..."
