"""Facts in files of photographs: read from all formats, believed only where they can be true, bounded if hostile."""

import struct
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL.TiffImagePlugin import IFDRational, ImageFileDirectory_v2
from pillow_heif import register_heif_opener

from oneword.engine.errors import CorruptImage
from oneword.engine.facts import KINDS, MOST_KEYWORDS, MOST_WORDS, read, selected
from oneword.engine.images import decode
from tests.photographs import (
    CAMERA,
    DESCRIPTION,
    DIGITIZED,
    FRACTION,
    ISO,
    MAKE,
    MODEL,
    OFFSET,
    ORIENTATION,
    RATING,
    TAKEN,
    TITLE,
    WORDS,
    exif,
    gps,
    photograph,
    segment,
    with_iptc,
    xmp,
)

MAIN = {MAKE: "FUJIFILM", MODEL: "X100V", ORIENTATION: 6, RATING: 4}
FACTS = {
    "taken_at": datetime(2024, 6, 1, 12, 30, 0, 250_000, timezone(timedelta(hours=2))),
    "taken_zone": "+02:00",
    "camera": "X100V",
    "lens": "XF23mmF2",
    "focal_length": 23,
    "iso": 200,
    "exposure": 0.004,
    "orientation": 6,
    "latitude": 48.85,
    "longitude": -2.35,
    "altitude": -12.5,
    "rating": 4,
}


def of(
    main: Mapping[int, Any] | None = None,
    camera: Mapping[int, Any] | None = None,
    place: Mapping[int, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """The facts of a JPEG with these tags."""
    return read(photograph(exif=exif(main, camera, place), **more))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF"])
def test_the_facts_of_a_photograph(form: str) -> None:
    register_heif_opener()
    data = photograph(form, exif=exif(MAIN, {**CAMERA, OFFSET: "+02:00", FRACTION: "25"}, gps(48.85, -2.35, -12.5)))
    assert decode(data).mode == "RGB"  # as in a job, before its facts are read
    found = read(data)
    assert found == FACTS | ({"orientation": 1} if form == "HEIF" else {})  # its pixels are turned by a box of its own
    assert all(KINDS[name] for name in found)


def test_a_tiff_is_a_directory_itself() -> None:
    info = ImageFileDirectory_v2()
    info[MODEL], info[RATING], info[700] = "Scanner", 3, xmp("<rdf:Description xmp:CreateDate='1955-07-01T08:00:00Z'/>")
    assert read(photograph("TIFF", tiffinfo=info)) == {
        "taken_at": datetime(1955, 7, 1, 8, tzinfo=UTC),
        "taken_zone": "+00:00",
        "camera": "Scanner",
        "rating": 3,
    }


def test_without_an_offset_it_is_the_clocks_time() -> None:
    assert of(camera=CAMERA) | {} == {
        "taken_at": datetime(2024, 6, 1, 12, 30),
        "taken_zone": "local",
        **{name: FACTS[name] for name in ("lens", "focal_length", "iso", "exposure")},
    }


@pytest.mark.parametrize(
    "said",
    [
        "0000:00:00 00:00:00",
        "    :  :     :  :  ",
        "1970:01:01 00:00:00",
        "1980:01:01 00:00:00",
        "2000:01:01 00:00:00",
        "2024:13:01 10:00:00",
        "2024:02:30 10:00:00",
        "1700:01:02 10:00:00",
        "in three days",
        "yesterday",
        "",
        "2024:06:01 12:30:00" * 3000,
    ],
)
def test_times_that_cannot_be_are_not_believed(said: str) -> None:
    if said == "in three days":
        said = f"{datetime.now(UTC) + timedelta(days=3):%Y:%m:%d %H:%M:%S}"
    assert of(camera={TAKEN: said}) == {}
    found = of(camera={TAKEN: said, DIGITIZED: "2023:01:02 03:04:05"})
    assert found["taken_at"] == datetime(2023, 1, 2, 3, 4, 5)


@pytest.mark.parametrize(
    ("said", "zone"),
    [("Z", "+00:00"), ("-09:30", "-09:30"), ("+14:00", "+14:00"), ("+15:00", "local"), ("+2", "local"), ("", "local")],
)
def test_offsets(said: str, zone: str) -> None:
    found = of(camera={TAKEN: "1999:12:31 23:59:59", OFFSET: said})
    assert found["taken_zone"] == zone
    assert found["taken_at"].replace(tzinfo=None) == datetime(1999, 12, 31, 23, 59, 59)


@pytest.mark.parametrize(
    "place",
    [
        gps(0, 0),
        {**gps(1, 1), 2: (91.0, 0.0, 0.0)},
        {**gps(1, 1), 4: (180.0, 1.0, 0.0)},
        {**gps(1, 1), 2: (1.0, 61.0, 0.0)},
        {**gps(1, 1), 2: (1.0, 2.0)},
        {**gps(1, 1), 1: "X"},
        {**gps(1, 1), 2: (IFDRational(0, 0),) * 3},
        {key: value for key, value in gps(1, 1).items() if key != 3},
    ],
)
def test_places_that_cannot_be_are_not_believed(place: dict[int, Any]) -> None:
    assert of(place=place) == {}


@settings(deadline=None, max_examples=50)
@given(st.floats(-90, 90), st.floats(-180, 180), st.floats(-499, 90_000))
def test_any_place_on_earth_is_read(latitude: float, longitude: float, altitude: float) -> None:
    found = of(place=gps(latitude, longitude, altitude))
    if round(latitude, 6) or round(longitude, 6):
        assert found == pytest.approx(
            {"latitude": latitude, "longitude": longitude, "altitude": altitude}, abs=1e-5, rel=1e-5
        )


def test_other_numbers_that_cannot_be() -> None:
    assert of({ORIENTATION: 9, RATING: 0}, {ISO: 65_535, 0x8832: 102_400, 0x829A: 0.0}) == {"iso": 102_400}
    assert of(place={**gps(1, 2), 6: 200_000.0}) == {"latitude": 1, "longitude": 2}


def test_words_come_from_xmp_iptc_and_exif() -> None:
    packet = xmp(
        '<rdf:Description xmp:Rating="-1"><dc:subject><rdf:Bag><rdf:li>sea</rdf:li><rdf:li> </rdf:li></rdf:Bag>'
        '</dc:subject><dc:title><rdf:Alt><rdf:li xml:lang="x-default">A &amp; B</rdf:li></rdf:Alt></dc:title>'
        "</rdf:Description>"
    )
    own = {WORDS: "Berg;sea\0".encode("utf-16-le"), TITLE: "not this".encode("utf-16-le"), DESCRIPTION: "from EXIF"}
    jpeg = photograph(exif=exif(own), xmp=packet)
    iptc = [(25, "café".encode()), (25, "na\xefve".encode("cp1252")), (5, b"nor this"), (120, b"from\tIPTC\0x")]
    assert read(with_iptc(jpeg, iptc)) == {
        "rating": -1,
        "keywords": ["sea", "café", "naïve", "Berg"],
        "title": "A & B",
        "description": "from IPTC",
    }
    assert of({DESCRIPTION: "OLYMPUS DIGITAL CAMERA         "}) == {}


def test_long_words_are_cut() -> None:
    words = ";".join(map(str, range(5_000))).encode("utf-16-le")
    long = {DESCRIPTION: "x" * 30_000, MODEL: "y" * 30_000, WORDS: words}
    found = read(photograph("PNG", exif=exif(long)))
    assert len(found["description"]) == MOST_WORDS  # type: ignore[arg-type]
    assert len(found["camera"]) == 500  # type: ignore[arg-type]
    assert len(found["keywords"]) == MOST_KEYWORDS  # type: ignore[arg-type]


def test_entities_are_not_expanded() -> None:
    laughs = "".join(f"<!ENTITY l{n + 1} '&l{n};&l{n};'>" for n in range(60))
    subject = "<rdf:Description><dc:subject>{}</dc:subject></rdf:Description>"
    for entities, text in (
        (f"<!ENTITY l0 'ha'>{laughs}", "&l60;"),
        ("<!ENTITY f SYSTEM 'file:///etc/hostname'>", "&f;"),
    ):
        packet = f"<!DOCTYPE x [{entities}]>".encode() + xmp(subject.format(text)).partition(b"?>")[2]
        assert read(photograph(xmp=packet, exif=exif(MAIN)))["camera"] == "X100V"
        assert "keywords" not in read(photograph(xmp=packet))
    assert read(photograph(xmp=xmp(subject.format("word"))))["keywords"] == ["word"]


def test_deep_and_broken_packets() -> None:
    """In formats other than JPEG a packet may be of any size."""
    deep = "<rdf:Description>" * 100_000 + "</rdf:Description>" * 100_000
    for packet in (xmp(deep), xmp("<open>"), b"\xff\xfe\0", xmp("x" * 5_000_000), b"<a/>"):
        assert read(photograph("WEBP", xmp=packet)) == {}


def test_a_directory_of_overlapping_values_takes_no_memory() -> None:
    """65,535 entries that each claim the same 64 KiB: 4 GiB, if all were read."""
    entries = b"".join(struct.pack("<HHLL", tag, 7, 2**16, 0) for tag in range(65_535))
    block = b"II*\0\x08\0\0\0" + struct.pack("<H", 65_535) + entries
    found = read(photograph("PNG", exif=b"Exif\0\0" + block))
    assert found.keys() <= {"camera", "lens", "title", "description", "keywords"}


def test_a_jpeg_of_megabytes_of_exif_is_refused() -> None:
    jpeg = photograph()
    many = segment(0xE1, b"Exif\0\0" + bytes(100)) * 65
    with pytest.raises(CorruptImage, match="more than 64 segments of EXIF"):
        decode(jpeg[:2] + many + jpeg[2:], name="a.jpg")
    assert decode(jpeg[:2] + many[: len(many) // 65 * 64] + jpeg[2:]).size == (64, 48)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_damaged_blocks_never_raise(data: st.DataObject) -> None:
    whole = exif(MAIN, {**CAMERA, OFFSET: "+02:00"}, gps(48.85, -2.35)).tobytes()
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 12))):
        damaged[data.draw(st.integers(6, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(7, len(whole)))
    jpeg = photograph()
    found = read(jpeg[:2] + segment(0xE1, bytes(damaged[:cut])) + jpeg[2:])
    assert found.keys() <= KINDS.keys()


@pytest.mark.parametrize(
    ("names", "kept"),
    [
        (("all",), {*KINDS} - {"place", "country", "title", "description"}),
        (("none",), set()),
        ((), set()),
        (("no-gps",), {*KINDS} - {"place", "country", "title", "description", "latitude", "longitude", "altitude"}),
        (("camera", "taken_at"), {"camera", "taken_at", "taken_zone"}),
        (("all", "title", "no-gps", "no-taken_at", "no-camera", "no-lens", "no-iso"), {
            "focal_length", "exposure", "orientation", "rating", "keywords", "title"}),
    ],
)  # fmt: skip
def test_facts_by_name(names: tuple[str, ...], kept: set[str]) -> None:
    assert selected(names).keys() == kept


def test_a_name_of_no_fact() -> None:
    with pytest.raises(ValueError, match="no such fact: 'no-camra', expected some of all, none"):
        selected(("no-camra",))
