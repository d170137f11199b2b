"""Decoders that crash, hang, are killed, or raise what nobody expects: a picture's affair, never the job's."""

from __future__ import annotations

import io
import os
import signal
import struct
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cloudpickle
import PIL.Image
import pytest

import oneword.engine.decoded
from oneword.engine.errors import CorruptImage, ImageTooLarge, InputError
from oneword.engine.hashing import HashEncoder
from oneword.engine.space import Space
from oneword.engine.views import View
from oneword.indexer import Report, decode, index_paths, reembed
from oneword.indexer.pipeline import Local
from oneword.storage import Store

cloudpickle.register_pickle_by_value(sys.modules[__name__])

DECODE = decode._decode


def deadly(data: bytes, name: str, *how: Any) -> Any:
    """Does what a picture's name says."""
    stem = Path(name).stem
    if stem.startswith("abort"):
        os.abort()
    if stem.startswith("exit"):
        os._exit(0)
    if stem.startswith("hang"):
        time.sleep(3600)
    if stem.startswith("once"):  # kills the decoder in its first life only
        mark = Path(name + ".mark")
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
    return DECODE(data, name, *how)


def pictures(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for number, name in enumerate(names):
        PIL.Image.new("RGB", (9, 9), (number * 5 % 256, number, 99)).save(folder / f"{name}.png")
    return folder


def run(*paths: Path, decoding_timeout: float = 120) -> Report:
    return index_paths(paths, db="db", model="hash", runner=Local(decoding_timeout=decoding_timeout))


@pytest.fixture(autouse=True)
def _pools() -> Any:
    """No decoder that a test has spoilt is left to the next."""
    yield
    decode._end()
    decode._pools.clear()


def test_pictures_that_crash_or_hang_their_decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "_decode", deadly)
    good = [f"good{number}" for number in range(8)]
    album = pictures(tmp_path / "album", "abort", "exit", "hang", *good)
    report = run(album, decoding_timeout=4)  # enough for a slow machine to start a process
    assert (report.indexed, report.quarantined) == (8, 3)
    reasons = {Path(one.uri).stem: one.reason for one in report.refused}
    assert {one.kind for one in report.refused} == {"CorruptImage"}
    assert "ends its process with SIGABRT; convert it" in reasons["abort"]
    assert "ends its process; convert it" in reasons["exit"]
    assert "not decoded within 4 s; convert it" in reasons["hang"]
    assert all(reason.isprintable() and str(album / name) in reason for name, reason in reasons.items())
    monkeypatch.setattr(decode, "_decode", DECODE)
    report = run(album)
    assert (report.indexed, report.unchanged, report.quarantined) == (3, 8, 0)
    assert Store("db").quarantine("default").count() == 0


def test_a_decoder_that_dies_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "_decode", deadly)
    report = run(pictures(tmp_path / "album", "good", "once", "other"))
    assert (report.indexed, report.quarantined) == (3, 0)


def test_a_decoder_that_crashes_does_not_end_a_reembedding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Other(HashEncoder):
        name = "other"

        def space(self, view: View) -> Space:
            return replace(super().space(view), model="other", revision="2")

    run(pictures(tmp_path / "album", "good", "abort"))
    monkeypatch.setattr(decode, "_decode", deadly)
    report = reembed(db="db", model=Other(), allow_missing=True)
    assert (report.embedded, [one.kind for one in report.refused]) == (1, ["CorruptImage"])


def test_decoders_that_are_killed_in_mid_job(tmp_path: Path) -> None:
    album = pictures(tmp_path / "album", *(f"p{number}" for number in range(300)))
    ended = threading.Event()

    def kill() -> None:
        for _ in range(3):
            if ended.wait(0.3):
                return
            for pool in [one for count, one in decode._pools.items() if count != decode.LONE]:
                for process in list(pool._processes or ()):
                    os.kill(process, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        report = run(album)
    finally:
        ended.set()
        killer.join()
    assert (report.indexed, report.quarantined) == (300, 0)


def raising(error: BaseException) -> Callable[..., Any]:
    def decode(*_: Any, **__: Any) -> Any:
        raise error

    return decode


def test_what_no_decoder_should_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "decode_image", raising(ZeroDivisionError("0 by\n0")))
    found = DECODE(b"x", "a.png", 1, None)
    assert isinstance(found, CorruptImage)
    assert str(found) == "a.png: the image cannot be decoded (ZeroDivisionError: 0 by 0); save it again, or convert it"


def test_a_picture_that_does_not_fit_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oneword.engine.decoded, "decode", raising(MemoryError()))
    found = DECODE(b"x", "a.png", 1, None)
    assert isinstance(found, ImageTooLarge)
    assert str(found) == "a.png: does not fit into memory; scale it down first"


def test_what_a_decoder_says_on_its_own_is_not_shown(capfd: pytest.CaptureFixture[str]) -> None:
    """libtiff and Pillow write of broken files to stderr, without their names."""
    file = io.BytesIO()
    PIL.Image.new("RGB", (64, 64)).save(file, "TIFF", compression="tiff_lzw")
    spoilt = bytearray(file.getvalue())
    at = spoilt.rindex(struct.pack("<H", 279))
    spoilt[at + 8 : at + 12] = struct.pack("<I", 2**31 - 1)
    with pytest.raises(InputError, match=r"^a\.tif: "):
        decode.Decoders(1)(bytes(spoilt), "a.tif")
    assert capfd.readouterr().err == ""
