"""Facts in a photograph's file: when, where and with what it was taken, and what its owner wrote into it.

Read from EXIF 2.32 (CIPA DC-008), IPTC-IIM 4.2 and XMP (ISO 16684-1). Pillow finds the blocks; they are parsed here,
because its parsers decode every value of a directory, however many megabytes, before one can be asked for, and its XMP
reader needs another package. What is implausible is left out, as is a block that is broken: no file is refused for one.
Light to import: options name the facts.
"""

import math
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

Fact: TypeAlias = str | int | float | datetime | list[str]

Kind: TypeAlias = Literal["string", "number", "time", "list of strings"]

KINDS: dict[str, Kind] = {
    "taken_at": "time",
    "taken_zone": "string",
    "camera": "string",
    "lens": "string",
    "focal_length": "number",
    "iso": "number",
    "exposure": "number",
    "orientation": "number",
    "latitude": "number",
    "longitude": "number",
    "altitude": "number",
    "rating": "number",
    "keywords": "list of strings",
    "place": "string",
    "country": "string",
    "title": "string",
    "description": "string",
}
"""All facts, with their kinds."""

TAKEN = ("taken_at", "taken_zone")
GPS = ("latitude", "longitude", "altitude")
PLACE = ("place", "country")
"""Made of latitude and longitude, see `oneword.indexer.places`."""
WORDS = ("title", "description")
"""They become a caption."""

GROUPS: dict[str, Sequence[str]] = {
    "all": [one for one in KINDS if one not in (*PLACE, *WORDS)],
    "none": [],
    "taken_at": TAKEN,
}
GROUPS |= {"gps": (*GPS, *PLACE), "place": PLACE}
"""Names of several facts. Facts that are not among all of them are read on request only."""

MOST_BLOCK = 2**22
"""Bytes of a block of XMP or IPTC above which it is not read: cameras write thousands."""

MOST_VALUE = 2**16
"""Bytes of one EXIF value: those that are read have 50 or so."""

MOST_TEXT, MOST_WORDS = 500, 5_000
"""Characters of a name or keyword, and of a title or description; what is longer is cut."""

MOST_KEYWORDS = 200

OLDEST = datetime(1826, 1, 1)
"""Of the first photograph."""

UNSET = {datetime(year, 1, 1) for year in (1904, 1970, 1980, 2000)}
"""Where clocks begin that nobody has set."""

LOCAL = "local"
"""`taken_zone` of a time whose offset from UTC is unknown."""

_TIFF = (b"II*\0", b"MM\0*")
_EXIF, _GPS, _XMP, _IPTC = 0x8769, 0x8825, 700, 33723
_MAKE, _MODEL, _DESCRIPTION, _ORIENTATION, _RATING, _TITLE, _WORDS = 271, 272, 270, 274, 18246, 0x9C9B, 0x9C9E
_EXPOSURE, _ISO, _INDEX, _TAKEN, _DIGITIZED, _FOCAL, _LENS = 0x829A, 0x8827, 0x8832, 0x9003, 0x9004, 0x920A, 0xA434
_PARTS = {_TAKEN: (0x9011, 0x9291), _DIGITIZED: (0x9012, 0x9292)}  # of a time: its offset, its fraction of a second
_MAIN = (_EXIF, _GPS, _XMP, _IPTC, _MAKE, _MODEL, _DESCRIPTION, _ORIENTATION, _RATING, _TITLE, _WORDS)
_CAMERA = (_EXPOSURE, _ISO, _INDEX, _FOCAL, _LENS, *_PARTS, *(one for parts in _PARTS.values() for one in parts))
_WANTED = {*_MAIN, *_CAMERA, *range(1, 7)}  # 1 to 6 are GPS's: latitude, longitude, altitude, each after its reference
_FORMATS = {1: "B", 2: "s", 3: "H", 4: "L", 5: "LL", 7: "s", 9: "l", 10: "ll", 11: "f", 12: "d", 13: "L"}
_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_SPACES = {
    "http://purl.org/dc/elements/1.1/": "dc",
    "http://ns.adobe.com/xap/1.0/": "xmp",
    "http://ns.adobe.com/exif/1.0/": "exif",
    "http://ns.adobe.com/exif/1.0/aux/": "aux",
    "http://ns.adobe.com/photoshop/1.0/": "photoshop",
}
_TIME = re.compile(r"(\d{4})[:-](\d\d)[:-](\d\d)[ T](\d\d):(\d\d):(\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d)?")
_BOILERPLATE = re.compile(r".*digital camera|sony dsc|exif_jpeg_picture|dcf 1\.0", re.IGNORECASE)  # no one's words
_OFFSET = re.compile(r"([+-])(\d\d):(\d\d)")

Directory: TypeAlias = Mapping[int, Any]
"""Values by tag: bytes, or a tuple of numbers (of rationals: floats)."""


def read(data: bytes) -> dict[str, Fact]:
    """Returns the facts of an encoded image, of those that were decoded before: there are none in others.

    Units: `taken_at` with its offset from UTC, else the clock's time without a zone (see `taken_zone`);
    `focal_length` in mm, `exposure` in seconds, `latitude` and `longitude` in degrees, `altitude` in m; `orientation`
    1 to 8 as in EXIF; `rating` 1 to 5, -1 for rejected.
    """
    from oneword.engine.images import opened

    try:
        with opened(data) as image:
            info: Mapping[Any, Any] = dict(image.info)
    except Exception:  # a plugin may raise anything; Pillow opens no RAW photograph, though most are TIFFs
        info = {}
    exif = data if data[:4] in _TIFF else _bytes(info.get("exif"))
    start = min((at for at in (exif.find(sign, 0, 16) for sign in _TIFF) if at >= 0), default=None)
    main, camera, gps = _directories(exif[start:]) if start is not None else ({}, {}, {})
    resources = info.get("photoshop")
    iptc = _iptc(_bytes(main.get(_IPTC) or (resources.get(0x0404) if isinstance(resources, dict) else b"")))
    xmp = _xmp(_bytes(info.get("xmp") or info.get("XML:com.adobe.xmp") or main.get(_XMP)))
    found: dict[str, Fact | None] = {
        **_taken(camera, xmp),
        "camera": _text(main.get(_MODEL)) or _text(main.get(_MAKE)),
        "lens": _text(camera.get(_LENS)) or _first(*xmp.get("aux:Lens", [])),
        "focal_length": _within(_number(camera, _FOCAL), 0.1, 20_000),
        "iso": _whole(_number(camera, _ISO), 1, 65_534) or _whole(_number(camera, _INDEX), 1, 10**8),
        "exposure": _within(_number(camera, _EXPOSURE), 1e-7, 10**6),
        "orientation": _whole(_number(main, _ORIENTATION), 1, 8),
        **_place(gps),
        "rating": _rating(main, xmp),
        "keywords": _keywords(main, iptc, xmp),
        "title": _first(*xmp.get("dc:title", []), *iptc.get((2, 5), []), _wide(main.get(_TITLE)), most=MOST_WORDS),
        "description": _described(main, iptc, xmp),
    }
    return {name: value for name, value in found.items() if value is not None and value != []}


def selected(names: Sequence[str]) -> dict[str, Kind]:
    """The facts that some names select, with their kinds; each takes some in or, as `no-NAME`, leaves some out.

    Raises:
        ValueError: there is no such name.
    """
    kept = set(GROUPS["all"] if names and names[0].startswith("no-") else ())
    for name in names:
        plain = name.removeprefix("no-")
        if plain not in GROUPS and plain not in KINDS:
            known = ", ".join(dict.fromkeys([*GROUPS, *KINDS]))
            raise ValueError(f"no such fact: {name!r}, expected some of {known}, each also with 'no-' before it")
        members = set(GROUPS.get(plain, [plain]))
        kept = kept - members if plain != name else kept | members
    return {name: kind for name, kind in KINDS.items() if name in kept}


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else value.encode() if isinstance(value, str) else b""


def _directories(tiff: bytes) -> tuple[Directory, Directory, Directory]:
    """The main directory of a TIFF structure, the camera's and the GPS's; empty where there is none."""
    order = "<" if tiff.startswith(b"II") else ">"
    main = _directory(tiff, 4, order)
    camera, gps = (
        _directory(tiff, at[0], order, inside=True) if isinstance(at := main.get(tag), tuple) else {}
        for tag in (_EXIF, _GPS)
    )
    return main, camera, gps


def _directory(tiff: bytes, at: int, order: str, *, inside: bool = False) -> Directory:
    """The values of a directory at an offset, or, if not `inside`, at the one that is there."""
    found: dict[int, Any] = {}
    try:
        if not inside:
            (at,) = struct.unpack_from(f"{order}L", tiff, at)
        (count,) = struct.unpack_from(f"{order}H", tiff, at)
        for number in range(count):
            tag, kind, length, own = struct.unpack_from(f"{order}HHL4s", tiff, at + 2 + 12 * number)
            sign = _FORMATS.get(kind, "")
            size = length * struct.calcsize(f"{order}{sign}")
            most = MOST_BLOCK if tag in (_XMP, _IPTC) else MOST_VALUE
            if tag not in _WANTED or tag in found or not 0 < size <= most:
                continue
            (offset,) = struct.unpack(f"{order}L", own)
            raw = own[:size] if size <= 4 else tiff[offset : offset + size]
            if len(raw) == size:
                found[tag] = _value(raw, sign, order, tag)
    except struct.error:  # it ends early: what was found counts
        pass
    return found


def _value(raw: bytes, sign: str, order: str, tag: int) -> Any:
    if sign == "s" or tag in (_XMP, _IPTC, _TITLE, _WORDS):
        return raw
    numbers = struct.unpack(f"{order}{len(raw) // struct.calcsize(f'{order}{sign[0]}')}{sign[0]}", raw)
    if len(sign) == 2:
        return tuple(a / b if b else math.nan for a, b in zip(numbers[::2], numbers[1::2], strict=True))
    return numbers


def _number(directory: Directory, tag: int) -> float:
    value = directory.get(tag)
    return float(value[0]) if isinstance(value, tuple) else math.nan


def _within(number: float, low: float, high: float) -> float | None:
    """The number, rounded to six digits; None outside the bounds, and for NaN."""
    return float(f"{number:.6g}") if low <= number <= high else None


def _whole(number: float, low: int, high: int) -> int | None:
    return int(number) if low <= number <= high else None


def _text(value: object, most: int = MOST_TEXT) -> str | None:
    """A text in one line, up to its first NUL; None for none."""
    if isinstance(value, bytes):
        value = _decoded(value)
    if not isinstance(value, str):
        return None
    value = value.partition("\0")[0][: 4 * most]
    shown = "".join(sign if sign.isprintable() else " " for sign in value)
    return " ".join(shown.split())[:most].strip() or None


def _decoded(value: bytes) -> str:
    """EXIF says ASCII, and IPTC often nothing: UTF-8, else Latin-1."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("cp1252", "replace")


def _first(*values: object, most: int = MOST_TEXT) -> str | None:
    """The first of some texts that is one."""
    return next((text for value in values if (text := _text(value, most))), None)


def _described(
    main: Directory, iptc: Mapping[tuple[int, int], list[bytes]], xmp: Mapping[str, list[str]]
) -> str | None:
    """Somebody's description, not what the camera puts in its place."""
    own = _text(main.get(_DESCRIPTION), MOST_WORDS)
    own = None if own and _BOILERPLATE.fullmatch(own) else own
    return _first(*xmp.get("dc:description", []), *iptc.get((2, 120), []), own, most=MOST_WORDS)


def _wide(value: object) -> str:
    """Windows' texts in EXIF are UTF-16."""
    return value.decode("utf-16-le", "replace") if isinstance(value, bytes) else ""


def _taken(camera: Directory, xmp: Mapping[str, list[str]]) -> dict[str, Fact | None]:
    """The first time that can be believed, with where its zone is from."""
    times = [[_text(camera.get(one)) or "" for one in (tag, *_PARTS[tag])] for tag in (_TAKEN, _DIGITIZED)]
    names = ("exif:DateTimeOriginal", "photoshop:DateCreated", "xmp:CreateDate")
    times[1:1] = [[time, "", ""] for name in names for time in xmp.get(name, [])]
    for time, offset, fraction in times:
        if (taken := _time(time, offset, fraction)) is not None:
            return {"taken_at": taken, "taken_zone": taken.isoformat()[-6:] if taken.tzinfo else LOCAL}
    return {}


def _time(text: str, offset: str, fraction: str) -> datetime | None:
    match = _TIME.fullmatch(text.strip())
    if match is None:
        return None
    try:
        taken = datetime(*map(int, match.groups()[:6]))  # type: ignore[arg-type]
    except ValueError:  # such as 0000:00:00 00:00:00
        return None
    now = datetime.now(UTC).replace(tzinfo=None)
    if not OLDEST <= taken <= now + timedelta(days=1) or taken in UNSET:
        return None
    if fraction.isdecimal() and fraction.isascii():
        taken = taken.replace(microsecond=int(fraction[:6].ljust(6, "0")))
    zone = _zone(match[7] or offset)
    return taken if zone is None else taken.replace(tzinfo=zone)


def _zone(text: str) -> timezone | None:
    if text == "Z":
        return UTC
    match = _OFFSET.fullmatch(text.strip())
    if match is None:
        return None
    offset = timedelta(hours=int(match[2]), minutes=int(match[3]))
    if offset > timedelta(hours=14):
        return None
    return timezone(-offset if match[1] == "-" else offset)


def _place(gps: Directory) -> dict[str, Fact | None]:
    """Where it was taken; nothing for 0, 0, which receivers write that know nothing, and for what is not on Earth."""
    latitude, longitude = _degrees(gps, 1, 2, b"S"), _degrees(gps, 3, 4, b"W")
    if not (abs(latitude) <= 90 and abs(longitude) <= 180) or (latitude == 0 and longitude == 0):
        return {}
    below = -1 if _bytes(gps.get(5)) == b"\1" or gps.get(5) == (1,) else 1
    return {
        "latitude": round(latitude, 7),
        "longitude": round(longitude, 7),
        "altitude": _within(below * _number(gps, 6), -500, 100_000),
    }


def _degrees(gps: Directory, reference: int, tag: int, negative: bytes) -> float:
    """Degrees, minutes and seconds as degrees; NaN if anything is missing or beyond its bounds."""
    parts, side = gps.get(tag), _bytes(gps.get(reference)).strip(b"\0 ").upper()
    if not isinstance(parts, tuple) or len(parts) != 3 or side not in (b"N", b"S", b"E", b"W"):
        return math.nan
    degrees, minutes, seconds = parts
    if not (0 <= minutes <= 60 and 0 <= seconds <= 60):  # 60: by rounding
        return math.nan
    value = degrees + minutes / 60 + seconds / 3600
    return float(-value if side == negative else value)


def _rating(main: Directory, xmp: Mapping[str, list[str]]) -> int | None:
    """1 to 5, or -1; 0 means that nobody has judged."""
    for text in xmp.get("xmp:Rating", []):
        if text.strip() in ("-1", "1", "2", "3", "4", "5"):
            return int(text)
    return _whole(_number(main, _RATING), 1, 5)


def _keywords(main: Directory, iptc: Mapping[tuple[int, int], list[bytes]], xmp: Mapping[str, list[str]]) -> list[str]:
    """Of all three, each once."""
    words = [*xmp.get("dc:subject", []), *iptc.get((2, 25), []), *_wide(main.get(_WORDS)).strip("\0").split(";")]
    return list(dict.fromkeys(word for one in words if (word := _text(one))))[:MOST_KEYWORDS]


def _iptc(block: bytes) -> dict[tuple[int, int], list[bytes]]:
    """The values of a block by record and data set."""
    found: dict[tuple[int, int], list[bytes]] = {}
    at = 0
    while at + 5 <= len(block) <= MOST_BLOCK and block[at] == 0x1C:
        record, dataset, size = struct.unpack_from(">BBH", block, at + 1)
        if size >= 0x8000:  # an extended length, which no text needs
            break
        found.setdefault((record, dataset), []).append(block[at + 5 : at + 5 + size])
        at += 5 + size
    return found


def _xmp(block: bytes) -> dict[str, list[str]]:
    """The values of an XMP packet by name, such as `dc:subject`.

    One with a DOCTYPE is not read: XMP has none, and without it no entity can be declared, nor a file be named.
    """
    if not block or len(block) > MOST_BLOCK:
        return {}
    from xml.etree import ElementTree

    try:
        text = block.decode().strip("\0 \r\n\t\ufeff")
        if "<!DOCTYPE" in text:
            return {}
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError):
        return {}
    found: dict[str, list[str]] = {}
    for name, values in _properties(root):
        space, _, local = name.lstrip("{").rpartition("}")
        if space in _SPACES:
            found.setdefault(f"{_SPACES[space]}:{local}", []).extend(values)
    return found


def _properties(root: "Element") -> Iterator[tuple[str, Sequence[str]]]:
    """Names and values of all properties: attributes, elements, and members of their bags. Each node is seen once."""
    rdf = root if root.tag == f"{_RDF}RDF" else root.find(f"{_RDF}RDF")
    for description in () if rdf is None else rdf.findall(f"{_RDF}Description"):
        for name, value in description.attrib.items():
            yield name, [value]
        for one in description:
            members = [member.text or "" for member in one.iter(f"{_RDF}li")]
            yield one.tag, members or [one.text or ""]
