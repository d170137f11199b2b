"""Decodes text files: a string, or one named error."""

import unicodedata
from pathlib import Path

from oneword.engine.errors import BadText, BlankText, EmptyFile, UnreadableFile

EXTENSIONS = frozenset({".txt", ".md"})
"""Extensions of text files, in lower case."""

MAX_BYTES = 16 * 2**20
"""Maximum size of a text file. A model reads its first few hundred tokens; a store keeps all of it."""

_UNSEEN = frozenset({"Zs", "Zl", "Zp", "Cc", "Cf"})
_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


def read_text_file(path: Path | str) -> str:
    """Reads a text file: UTF-8, or UTF-16 with a byte-order mark; line ends become "\\n".

    Raises:
        UnreadableFile: missing, a folder, or not permitted.
        EmptyFile: zero bytes.
        BlankText: no visible character.
        BadText: too long, or not text in either encoding.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UnreadableFile(f"{path}: cannot be read ({error.strerror or error})") from error
    return decode_text(data, name=str(path))


def decode_text(data: bytes, *, name: str = "the text") -> str:
    """Returns the text in the bytes of a text file, by the same rules.

    Args:
        name: of the text, in errors.

    Raises:
        EmptyFile, BlankText, BadText
    """
    if not data:
        raise EmptyFile(f"{name}: the file is empty (0 bytes): expected a text")
    if len(data) > MAX_BYTES:
        raise BadText(f"{name}: longer than {MAX_BYTES:,} bytes: split it into several files")
    encoding = next((code for mark, code in _MARKS.items() if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise BadText(
            f"{name}: not {encoding.upper()} at byte {error.start:,} ({error.reason}): expected text; save it as UTF-8"
        ) from error
    if "\0" in text:
        raise BadText(f"{name}: holds a zero byte at character {text.index(chr(0)):,}: expected text")
    if is_blank(text):
        raise BlankText(f"{name}: blank: expected at least one visible character")
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def is_blank(text: str) -> bool:
    """Whether a text has no visible character, only Unicode's Z*, Cc and Cf: white space, control, format."""
    return not text[:1].isalnum() and not any(unicodedata.category(sign) not in _UNSEEN for sign in text)
