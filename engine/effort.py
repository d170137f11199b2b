"""Refuses images that take far longer to decode than their pixels account for, before anything is decoded."""

import re

from oneword.engine.errors import CorruptImage

MOST_SCANS = 500
"""Most scans of a JPEG of any size: what libjpeg-turbo's own fuzzers allow."""

SCANS_OF_ANY_SIZE = 24
"""Scans that a JPEG of any size may have. Encoders write about 10 of them."""

SCANNED_PIXELS = 300_000_000
"""Pixels times scans above which a JPEG may have `SCANS_OF_ANY_SIZE` only: seconds of work. Our own choice."""

MOST_SEGMENTS = 10_000
"""Markers of a JPEG, its scans included; each costs a step in Python. A profile of 16 MiB needs 255. Our own choice."""

MOST_EXIF = 64
"""Segments of EXIF in a JPEG; cameras write one. Pillow joins them: a thousand, 64 MiB, take 90 s. Our own choice."""

HEADER = 2**16
"""Bytes of a PNM header, comments included. Pillow reads it byte by byte. Our own choice."""

BYTES_A_NUMBER = 8
"""Bytes of a number in a plain PNM: five digits, blanks, and some comments."""

_GAP = rb"(?:\s|#[^\r\n]*[\r\n])+"
_PNM = re.compile(rb"P([1-6])" + _GAP + rb"(\d{1,10})" + _GAP + rb"(\d{1,10})\s")
# Inside a scan, 0xFF is followed by 0 (a byte of data), D0 to D7 (restart), or another FF (fill): ITU-T T.81, B.1.1.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCAN, _END, _APP1 = 0xDA, 0xD9, 0xE1


def check(data: bytes, name: str) -> None:
    """Raises CorruptImage for a JPEG with too many scans for its size or too much EXIF, or a PNM with too many bytes.

    One pass over the bytes, without decoding. Images of other formats, and broken ones, pass.
    """
    if data.startswith(b"\xff\xd8"):
        _check_jpeg(data, name)
    elif is_pnm(data):
        _check_pnm(data, name)


def is_pnm(data: bytes) -> bool:
    """Whether the bytes are of the PNM family (PBM, PGM, PPM, PFM), as Pillow decides it."""
    return data[:1] == b"P" and data[1:2] in {bytes((digit,)) for digit in b"0123456fy"}


def _check_jpeg(data: bytes, name: str) -> None:
    scans, segments, exif, most, at = 0, 0, 0, MOST_SCANS, 2
    while marker := _MARKER.search(data, at):
        at, kind, segments = marker.end(), marker[0][1], segments + 1
        if kind == _END:
            return
        if kind in _FRAMES:
            pixels = int.from_bytes(data[at + 3 : at + 5]) * int.from_bytes(data[at + 5 : at + 7])
            most = min(MOST_SCANS, max(SCANS_OF_ANY_SIZE, SCANNED_PIXELS // max(1, pixels)))
        scans += kind == _SCAN
        exif += kind == _APP1 and data.startswith(b"Exif\0\0", at + 2)
        if segments > MOST_SEGMENTS:
            raise CorruptImage(f"{name}: the JPEG has more than {MOST_SEGMENTS:,} segments; save it as a baseline JPEG")
        if exif > MOST_EXIF:
            raise CorruptImage(f"{name}: the JPEG has more than {MOST_EXIF} segments of EXIF; save it without metadata")
        if scans > most:
            raise CorruptImage(
                f"{name}: the JPEG has more than {most} scans: expected about 10; save it as a baseline JPEG"
            )
        if kind not in (0x01, 0xD8):  # these have no length
            at += max(2, int.from_bytes(data[at : at + 2]))


def _check_pnm(data: bytes, name: str) -> None:
    head = _PNM.match(data[:HEADER])
    if head is None:
        if len(data) > HEADER:
            raise CorruptImage(f"{name}: no size within the first {HEADER:,} bytes of a PNM image; save it as PNG")
        return
    samples = int(head[2]) * int(head[3]) * (3 if head[1] in b"36" else 1)
    most = HEADER + BYTES_A_NUMBER * samples
    if head[1] in b"123" and len(data) > most:
        raise CorruptImage(
            f"{name}: {len(data):,} bytes of text for {samples:,} numbers: expected at most {most:,}; save it as PNG"
        )
