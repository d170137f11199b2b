"""Photographs with facts in their files, as cameras and their owners write them. Pillow writes them."""

import io
import struct
from collections.abc import Mapping
from typing import Any

import PIL.Image
from PIL.ExifTags import IFD

TAKEN, DIGITIZED, OFFSET, FRACTION = 0x9003, 0x9004, 0x9011, 0x9291
EXPOSURE, ISO, FOCAL, LENS = 0x829A, 0x8827, 0x920A, 0xA434
MAKE, MODEL, DESCRIPTION, ORIENTATION, RATING, TITLE, WORDS = 271, 272, 270, 274, 18246, 0x9C9B, 0x9C9E

CAMERA = {TAKEN: "2024:06:01 12:30:00", EXPOSURE: 1 / 250, ISO: 200, FOCAL: 23.0, LENS: "XF23mmF2"}

PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:exif="http://ns.adobe.com/exif/1.0/">%s</rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""


def gps(latitude: float, longitude: float, altitude: float = 0) -> dict[int, Any]:
    """The GPS directory of a place."""
    parts = [(float(int(abs(one))), abs(one) % 1 * 60, 0.0) for one in (latitude, longitude)]
    return {
        1: "N" if latitude >= 0 else "S",
        2: parts[0],
        3: "E" if longitude >= 0 else "W",
        4: parts[1],
        5: b"\1" if altitude < 0 else b"\0",
        6: abs(altitude),
    }


def exif(
    main: Mapping[int, Any] | None = None,
    camera: Mapping[int, Any] | None = None,
    place: Mapping[int, Any] | None = None,
) -> PIL.Image.Exif:
    """EXIF with these tags in its main, camera's and GPS directories."""
    made = PIL.Image.Exif()
    made.update(main or {})
    made.get_ifd(IFD.Exif).update(camera or {})
    made.get_ifd(IFD.GPSInfo).update(place or {})
    return made


def xmp(inside: str) -> bytes:
    """An XMP packet with these descriptions."""
    return (PACKET % inside).encode()


def photograph(form: str = "JPEG", color: str = "red", size: tuple[int, int] = (64, 48), **options: Any) -> bytes:
    """An encoded image; the options are those of Pillow's `save`: exif, xmp."""
    file = io.BytesIO()
    PIL.Image.new("RGB", size, color).save(file, form, **options)
    return file.getvalue()


def segment(marker: int, content: bytes) -> bytes:
    """A segment of a JPEG."""
    return bytes((0xFF, marker)) + (len(content) + 2).to_bytes(2) + content


def with_iptc(jpeg: bytes, values: list[tuple[int, bytes]]) -> bytes:
    """The JPEG with values of IPTC's record 2, in Photoshop's resource of that number."""
    block = b"".join(b"\x1c\x02" + bytes((number,)) + len(value).to_bytes(2) + value for number, value in values)
    resource = b"8BIM\x04\x04\0\0" + len(block).to_bytes(4) + block + b"\0" * (len(block) % 2)
    return jpeg[:2] + segment(0xED, b"Photoshop 3.0\0" + resource) + jpeg[2:]


def strange_facts() -> dict[str, bytes]:
    """Sound images by file name, whose facts are a loop, too large, on top of each other, or an entity's."""
    head = b"Exif\0\0II*\0\x08\0\0\0"
    over = b"".join(struct.pack("<HHLL", tag, 7, 2**16, 0) for tag in range(65_535))
    packet = b"<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>" + xmp("&a;").partition(b"?>")[2]
    return {
        "exif-loop.jpg": photograph(exif=head + b"\1\0\x69\x87\4\0\1\0\0\0\x08\0\0\0\x08\0\0\0"),
        "exif-huge.jpg": photograph(exif=head + b"\1\0\x12\1\3\0\xff\xff\xff\x7f" + bytes(8)),
        "exif-over.png": photograph("PNG", exif=head + b"\xff\xff" + over),
        "xmp-entity.webp": photograph("WEBP", xmp=packet),
    }
