"""A folder of everything that can be wrong with pictures, texts and file names: one corpus, whose outcome is known.

ONEWORD_NASTY=1 makes its heavy parts full size: 100,000 texts (in test_nasty_tables.py), a real 12,000x12,000 picture.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from oneword.engine import hashing
from oneword.engine.encoding import encode
from oneword.engine.files import whole
from oneword.engine.hashing import HashEncoder
from oneword.engine.inputs import Image, Text
from oneword.engine.views import DEFAULT
from oneword.indexer import JobConfig, Report, index_paths, pipeline
from oneword.indexer.pipeline import Local
from oneword.storage import Store
from tests.indexer.stored import rows
from tests.photographs import segment, strange_facts

FULL = os.environ.get("ONEWORD_NASTY") == "1"

Files = dict[str, bytes]


def encoded(picture: PIL.Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, depth: int, colour: int, pixels: bytes, *between: bytes) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = [chunk(b"IHDR", head), *between, chunk(b"IDAT", zlib.compress(pixels)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def spoilt(data: bytes, mark: bytes, skip: int, value: bytes) -> bytes:
    """With other bytes at some distance after a mark."""
    at = data.index(mark) + skip
    return data[:at] + value + data[at + len(value) :]


def tagged(tiff: bytes, tag: int, value: int) -> bytes:
    """A TIFF with another value in one of its tags."""
    return spoilt(tiff, struct.pack("<H", tag) + b"\4\0\1\0\0\0", 8, struct.pack("<I", value))


NOISE = PIL.Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8))
FORMATS = {"jpg": "JPEG", "tif": "TIFF", "jp2": "JPEG2000"}
WHOLE = {
    kind: encoded(NOISE, FORMATS.get(kind, kind.upper()))
    for kind in ("jpg", "png", "webp", "gif", "tif", "bmp", "ppm", "jp2", "avif", "ico", "tga")
}


def good_pictures() -> Files:
    frames = [PIL.Image.new("RGBA", (20, 20), (40 * number, 0, 90, 100)) for number in range(4)]
    grey = PIL.Image.fromarray(np.arange(0, 65536, 64, dtype=np.uint16).reshape(32, 32))
    cmyk = NOISE.convert("CMYK")
    rows = b"".join(b"\0" + bytes((row * 7 + at) % 256 for at in range(48)) for row in range(8))
    palette = chunk(b"PLTE", bytes(range(256)) * 3)
    odd = {f"exif{turn}.jpg": encoded(NOISE, "JPEG", exif=_turned(turn)) for turn in (0, 6, 9, 65535)}
    return {
        **{f"whole.{kind}": data for kind, data in WHOLE.items()},
        **odd,
        **{
            f"animated.{kind}": encoded(frames[0], name, save_all=True, append_images=frames[1:])
            for kind, name in {"gif": "GIF", "webp": "WEBP", "apng": "PNG", "tiff": "TIFF"}.items()
        },
        "cmyk.jpg": encoded(cmyk, "JPEG"),
        "ycck.jpg": encoded(cmyk, "JPEG").replace(b"Adobe\0d\0\0\0\0\0", b"Adobe\0d\0\0\0\0\2"),
        "grey16.png": encoded(grey, "PNG"),
        "grey16.tif": encoded(grey, "TIFF"),
        "rgb16.png": png(8, 8, 16, 2, rows),
        "rgba16.png": png(6, 8, 16, 6, rows),
        "palette.png": png(8, 8, 8, 3, bytes(72), palette, chunk(b"tRNS", bytes(range(9)))),
        "palette.gif": encoded(NOISE.convert("P"), "GIF", transparency=3),
        "float.tif": encoded(PIL.Image.fromarray(np.full((4, 4), np.nan, np.float32)), "TIFF"),
        "dot.png": encoded(PIL.Image.new("RGB", (1, 1), "teal"), "PNG"),
        "wide.png": encoded(PIL.Image.new("RGB", (20_000, 2), "navy"), "PNG"),
        "tall.png": encoded(PIL.Image.new("RGB", (2, 20_000), "olive"), "PNG"),
        "exif-garbage.jpg": encoded(NOISE, "JPEG", exif=b"Exif\0\0" + bytes(range(256)) * 20),
        **strange_facts(),
        "icc.jpg": encoded(NOISE, "JPEG", icc_profile=bytes(range(256)) * 400),
        "a png.jpg": WHOLE["png"],
        "a jpeg.png": WHOLE["jpg"],
    }


def _turned(orientation: int) -> PIL.Image.Exif:
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    return exif


def bad_pictures() -> dict[str, tuple[str, bytes]]:
    """Kind and bytes by name."""
    bomb = png(60_000, 60_000, 8, 2, b"")
    side = 12_000 if FULL else 9_500
    apng = encoded(NOISE, "PNG", save_all=True, append_images=[NOISE.rotate(90, expand=False)])
    gif = encoded(PIL.Image.new("P", (8, 8)), "GIF")
    icon = b"\0\0\1\0\1\0\x10\x10\0\0\1\0\x20\0" + struct.pack("<II", len(bomb), 22) + bomb
    tiff = encoded(NOISE, "TIFF", compression="tiff_lzw")
    many = chunk(b"PLTE", bytes(768)) + chunk(b"tRNS", b"\xff" * 300)
    return {
        **{f"empty.{kind}": ("EmptyFile", b"") for kind in WHOLE},
        **{f"half.{kind}": ("TruncatedImage", data[: len(data) // 2]) for kind, data in WHOLE.items()},
        **{f"start.{kind}": ("*", data[:40]) for kind, data in WHOLE.items()},
        "text.jpg": ("NotAnImage", b"hello, this is a text that was renamed"),
        "page.png": ("NotAnImage", b"<!DOCTYPE html><html><body>404</body></html>"),
        "paper.png": ("NotAnImage", encoded(NOISE, "PDF")),
        "archive.png": ("NotAnImage", b"PK\3\4" + bytes(200)),
        "program.png": ("NotAnImage", Path(sys.executable).read_bytes()[:5000]),
        "windows.png": ("NotAnImage", b"MZ" + bytes(300)),
        "script.png": ("NotAnImage", encoded(NOISE, "EPS")),  # which Pillow would hand to Ghostscript
        "drawing.png": ("NotAnImage", gzip.compress(b"<svg xmlns='http://www.w3.org/2000/svg'/>" * 9000, mtime=0)),
        "zeroes.png": ("NotAnImage", bytes(3000)),
        "claims.png": ("ImageTooLarge", bomb),
        "inside.ico": ("ImageTooLarge", icon),
        "real.png": ("ImageTooLarge", png(side, side, 1, 0, bytes(side * (side // 8 + 1)))),
        "claims.ppm": ("ImageTooLarge", b"P6\n99999999 99999999\n255\n"),
        "claims.gif": ("ImageTooLarge", spoilt(gif, b",\0\0\0\0", 5, b"\xff" * 4)),
        "zero.png": ("ZeroAreaImage", spoilt(WHOLE["png"], b"IHDR", 4, bytes(4))),
        "strips.tif": ("CorruptImage", tagged(tiff, 279, 2**31 - 1)),
        "away.tif": ("TruncatedImage", tagged(encoded(NOISE, "TIFF"), 273, 2**31 - 1)),
        "frames.apng": ("CorruptImage", spoilt(apng, b"acTL", 4, b"\xff" * 4)),
        "palette.png": ("CorruptImage", png(8, 8, 8, 3, bytes(72), many)),
        "exif-megabytes.jpg": ("CorruptImage", WHOLE["jpg"][:2] + segment(0xE1, b"Exif\0\0" + bytes(60_000)) * 70),
        "layers.psd": ("NotAnImage", b"8BPS\0\1" + bytes(30)),
        "sensor.dng": ("*", b"II*\0\x08\0\0\0\1\0" + struct.pack("<HHLL", 50706, 1, 4, 1025) + bytes(40)),
        "number.ppm": ("CorruptImage", b"P6\n" + b"9" * 500),
    }


GOOD_TEXTS: Files = {
    "plain.txt": b"a plain text",
    "mark.txt": b"\xef\xbb\xbfwith a mark",
    "wide.txt": "sixteen bits".encode("utf-16"),
    "mac.md": b"one\rtwo\rthree",
    "emoji.txt": "😀👨‍👩‍👧🏳️‍🌈".encode(),
    "accents.txt": ("e" + "\u0301" * 500).encode(),
    "tokens.txt": b"<image> <|eot_id|> [SEP] </s> <s> [MASK] <|begin_of_text|>",
    "long.txt": b"many words, again and again. " * (35_000 if FULL else 3_500),
    "word.txt": b"x" * (2**20 if FULL else 2**17),
}

BAD_TEXTS = {
    "empty.txt": ("EmptyFile", b""),
    "blank.txt": ("BlankText", b" \n\t"),
    "mark-alone.txt": ("BlankText", b"\xef\xbb\xbf"),
    "nothing.txt": ("BlankText", "\u200b\u200d\u2060\ufeff\u202e".encode()),
    "latin.txt": ("BadText", "café".encode("latin-1")),
    "zero.txt": ("BadText", b"a\0b"),
    "picture.txt": ("BadText", WHOLE["png"]),
    "odd.txt": ("BadText", b"\xff\xfea"),
    "surrogate.txt": ("BadText", b"\xed\xa0\x80"),
}

NAMES = [
    *("new\nline.png", "quotes'\".png", "sign #1.png", "100%.png", "what?.png", "%41.png", "~.png", " .png"),
    *("😀.png", "שלום.png", "\u202egnp.png", "\x1b[2J.png", "back\\slash.png", "{a,b}[c]*.png", "photo~backup12.png"),
    *("x" * 251 + ".png", "Case.png", "case.PNG", os.fsdecode(b"caf\xe9.png")),
]


class Corpus:
    """What was made: names of inputs that are good, and the kind of refusal of the others ("*": any)."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.good, self.bad = folder, set[str](), dict[str, str]()

    def write(self, name: str, data: bytes, kind: str | None = None) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self.expect(name, kind)

    def expect(self, name: str, kind: str | None) -> None:
        if kind is None:
            self.good.add(name)
        else:
            self.bad[name] = kind


def corpus(folder: Path) -> Corpus:
    made = Corpus(folder)
    for name, data in good_pictures().items():
        made.write(f"good/{name}", data)
    for name, (kind, data) in bad_pictures().items():
        made.write(f"bad/{name}", data, kind)
    for name, data in GOOD_TEXTS.items():
        made.write(f"texts/{name}", data)
    for name, (kind, data) in BAD_TEXTS.items():
        made.write(f"spoilt/{name}", data, kind)
    for number, name in enumerate(NAMES):
        made.write(f"names/{name}", encoded(PIL.Image.new("RGB", (9, 9), (number * 9, 60, 200)), "PNG"))
        made.write(f"names-bad/{name}", b"", "EmptyFile")
    for number in range(2000 if FULL else 300):
        made.write(f"many/{number}.txt", f"tiny text {number}".encode())
    odd = folder / "odd"
    odd.mkdir()
    (odd / "loop").symlink_to(folder)
    (odd / "self.png").symlink_to("self.png")
    (odd / "broken.png").symlink_to("nowhere")
    (odd / "zero.png").symlink_to("/dev/zero")
    (odd / "null.txt").symlink_to("/dev/null")
    os.mkfifo(odd / "pipe.png")
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(os.path.relpath(odd / "socket.png"))
    for name in ("self.png", "broken.png", "zero.png", "null.txt", "pipe.png", "socket.png"):
        made.expect(f"odd/{name}", "UnreadableFile")
    (odd / "folder.png").mkdir()
    made.write("odd/folder.png/inside.png", WHOLE["png"])
    (odd / "link.png").symlink_to(folder / "good" / "dot.png")
    made.expect("odd/link.png", None)
    return made


def run(*paths: Path | str, collection: str = "default", runner: Local | None = None, **config: Any) -> Report:
    return index_paths(
        paths, db="db", collection=collection, model="hash", config=JobConfig(**config), runner=runner or Local()
    )


def refusals(made: Corpus, collection: str = "default") -> dict[str, tuple[str, str, int]]:
    """Kind, reason and tries by the file's name in the corpus."""
    root = made.folder.as_uri()
    named = {(made.folder / name).as_uri(): name for name in made.bad}
    found = Store("db").quarantine(collection).list()
    assert all(one.uri.startswith(root) for one in found)
    return {named.get(one.uri, one.uri): (one.kind, one.reason, one.tries) for one in found}


def readable(reason: str, name: str) -> bool:
    """One line that names the file, and says more than Python does."""
    ours = "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in name)
    return (
        reason.isprintable()
        and ours in reason
        and re.search(r" at 0x[0-9a-f]+|<\w+[. ]|Errno|Traceback|object at|\bsys\.", reason.replace(ours, "")) is None
        and len(reason.replace(ours, "")) > 15
    )


@pytest.fixture
def made(tmp_path: Path) -> Corpus:
    return corpus(tmp_path / "corpus")


def test_everything_ends_as_it_should(made: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    report = run(made.folder)
    found = refusals(made)
    assert {name: kind for name, (kind, _, _) in found.items() if made.bad.get(name) != "*"} == {
        name: kind for name, kind in made.bad.items() if kind != "*"
    }
    assert found.keys() == made.bad.keys()
    assert (report.indexed, report.quarantined) == (len(made.good) + 3, len(made.bad)), "a TIFF has four pages"
    assert report.ignored == {}
    poor = {name: reason for name, (_, reason, _) in found.items() if not readable(reason, Path(name).name)}
    assert not poor
    stored = rows("db")
    documents = {whole(one.uri) for one in stored.values()}
    assert documents == {(made.folder / name).as_uri() for name in made.good}
    # Good neighbors have the vectors that they have alone.
    tiny = made.folder.as_uri() + "/many/7.txt"
    vector = next(np.frombuffer(one.vector, np.float32) for one in stored.values() if one.uri == tiny)
    assert np.abs(vector - encode(HashEncoder(), [Text(text="tiny text 7")], DEFAULT)[0]).max() < 1e-3
    dot = (made.folder / "good" / "dot.png").as_uri()
    vector = next(np.frombuffer(one.vector, np.float32) for one in stored.values() if one.uri == dot)
    pixels = Image(pixels=PIL.Image.new("RGB", (1, 1), "teal"))
    assert np.abs(vector - encode(HashEncoder(), [pixels], DEFAULT)[0]).max() < 1e-3
    # Again: nothing is embedded, what is bad is tried once more.
    monkeypatch.setattr(hashing, "_features", lambda one: pytest.fail("something was embedded again"))
    report = run(made.folder)
    assert (report.indexed, report.unchanged, report.quarantined) == (0, len(made.good) + 3, len(made.bad))
    assert {tries for _, _, tries in refusals(made).values()} == {2}
    assert rows("db") == stored
    monkeypatch.undo()
    monkeypatch.chdir(made.folder.parent)
    # Mended, they are released, and neither the order nor the grouping of inputs counts.
    for name in ("bad/text.jpg", "bad/half.png", "names-bad/new\nline.png"):
        (made.folder / name).write_bytes(WHOLE["png"])
    (made.folder / "odd" / "pipe.png").unlink()
    report = run(made.folder)
    assert (report.indexed, report.unchanged, report.quarantined) == (3, len(made.good) + 3, len(made.bad) - 4)
    assert Store("db").quarantine("default").count() == len(made.bad) - 4
    parts = sorted((one for one in made.folder.iterdir() if one.name != "odd"), reverse=True)
    run(*parts, made.folder / "odd", collection="other", runner=Local(group=7, commit_rows=11))
    assert rows("db", "other") == rows("db")
    assert refusals(made, "other").keys() == refusals(made).keys()


UNPRIVILEGED = """
import os, sys
from oneword.indexer import index_paths
album, other = sys.argv[1:]
index_paths([other], db="db", model="hash")  # imports and starts all, while it may read Python itself
if os.geteuid() == 0:
    os.chown("db", 65534, -1)
    os.seteuid(65534)
report = index_paths([album], db="db", collection="second", model="hash")
os.seteuid(os.getuid())
print(report.indexed, report.quarantined)
for one in report.refused:
    print(one.kind, one.reason)
"""


def test_what_may_not_be_read_is_quarantined(album: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are closed to others
        root = Path(folder)
        root.chmod(0o777)
        shutil.copytree(album, root / "album")
        shutil.copytree(album, root / "other")
        closed = [root / "album" / name for name in ("blue.jpg", "note.txt", "sub")]
        for one in closed:
            one.chmod(0)
        done = subprocess.run(
            [sys.executable, "-c", UNPRIVILEGED, "album", "other"],
            capture_output=True,
            text=True,
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(Path(hashing.__file__).parents[2])},
            timeout=100,
        )
        for one in closed:
            one.chmod(0o755)
    assert "Traceback" not in done.stderr, done.stderr
    assert done.stdout.splitlines()[0] == "2 3"
    assert done.stdout.count("ermission denied") == 3
    assert "the folder cannot be listed" in done.stdout


def test_a_folder_that_changes_while_it_is_walked(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files go, shrink and grow between the listing and the reading."""
    load = pipeline.load
    png_ = WHOLE["png"]
    for number in range(6):
        (album / f"z{number}.png").write_bytes(png_)

    def changing(entry: Any, *rest: Any) -> Any:
        if entry.uri.endswith("red.png"):
            (album / "z0.png").unlink(missing_ok=True)
            (album / "z1.png").write_bytes(png_[:100])
            (album / "z2.png").write_bytes(png_ + bytes(1000))
            shutil.rmtree(album / "sub", ignore_errors=True)
        elif entry.uri.endswith(("z0.png", "z1.png", "z2.png", "green.PNG", "diary.md")):
            while (album / "sub").exists():
                pass
        return load(entry, *rest)

    monkeypatch.setattr(pipeline, "load", changing)
    report = run(album)
    assert report.inputs == report.indexed + report.quarantined
    kinds = {Path(one.uri).name: one.kind for one in report.refused}
    assert kinds["z0.png"] == "UnreadableFile"
    assert kinds["z1.png"] == "TruncatedImage"
    assert kinds.keys() <= {"z0.png", "z1.png", "green.PNG", "diary.md", "sub"}
    monkeypatch.undo()
    monkeypatch.chdir(album.parent)
    (album / "z1.png").write_bytes(png_)
    report = run(album)
    assert report.quarantined == 0
    assert Store("db").quarantine("default").count() == 0


@pytest.mark.parametrize(
    ("caption", "text"),
    [("café".encode("cp1252"), "café"), (b"\x89PNG\r\n\x1a\n\0", None), (b"", None), (b"\x01\xff\x02", None)],
)
def test_a_caption_does_not_cost_its_image(caption: bytes, text: str | None) -> None:
    PIL.Image.new("RGB", (8, 8), "red").save("a.png")
    Path("a.txt").write_bytes(caption)
    report = index_paths(["a.png", "a.txt"], db="db", model="hash")
    assert (report.added, report.quarantined) == (1, 0)
    ((item,),) = Store("db").open("default").scan()
    assert item.text == text
