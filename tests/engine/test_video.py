"""Moments of videos: where scenes change, in whatever container and codec; and what cannot be read."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from oneword.engine import video
from oneword.engine.errors import CorruptImage, ImageTooLarge, NoPages, TooManyPages

pytest.importorskip("av")

from tests import films

MOST = 10**7


def moments(data: bytes, max_pixels: int = MOST) -> list[tuple[float, float]]:
    kind = video.format_of(data[:1024])
    assert kind is not None
    return video.moments(io.BytesIO(data), kind, "a.mp4", max_pixels)


def frame(data: bytes, time: float) -> np.ndarray[Any, Any]:
    kind = video.format_of(data[:1024])
    assert kind is not None
    return np.asarray(video.frame_at(io.BytesIO(data), kind, "a.mp4", time, MOST))


@pytest.mark.parametrize(
    ("kind", "codec", "pixels", "rate"),
    [
        ("mp4", "libx264", "yuv420p", 5),
        ("mov", "libx264", "yuv420p10le", 5),
        ("matroska", "libvpx-vp9", "yuv420p", 5),
        ("avi", "mjpeg", "yuvj420p", 5),
        ("mpegts", "libx264", "yuv420p", 5),
        ("mpeg", "mpeg2video", "yuv420p", 25),
        ("flv", "flv1", "yuv420p", 5),
    ],
)
def test_a_moment_of_each_scene(kind: str, codec: str, pixels: str, rate: int) -> None:
    data = films.film(6, 7, 6, kind=kind, codec=codec, pixels=pixels, rate=rate)
    found = moments(data)
    assert [span[0] for span in found] == pytest.approx([0, 6, 13], abs=0.5)
    assert [span[1] for span in found[:-1]] == [span[0] for span in found[1:]]
    assert found[-1][1] == pytest.approx(19, abs=0.5)
    for number, (start, _) in enumerate(found):
        drawn = np.random.default_rng(number).integers(0, 256, (3, 4, 3), np.uint8)
        shown = frame(data, start)
        assert shown.shape == (48, 64, 3)
        assert np.abs(shown[8::16, 8::16].astype(int) - drawn).mean() < 30, "the frame is of its scene"


def test_the_rule() -> None:
    assert moments(films.film(60)) == [(0, 60)], "nothing changes"
    assert len(moments(films.film(*[1] * 30))) == 6, "at most one in five seconds"
    assert moments(films.film("black", 3, "black")) == [(pytest.approx(2, abs=0.5), 7)], "black is passed over"
    assert moments(films.film("black")) == [(0, 2)], "unless there is nothing else"


def test_key_frames_are_enough_where_they_are_frequent(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = 0
    own = video._histogram

    def counted(one: Any) -> Any:
        nonlocal decoded
        decoded += 1
        assert one.key_frame
        return own(one)

    monkeypatch.setattr(video, "_histogram", counted)
    assert len(moments(films.film(6, 6, key_every=3))) == 2
    assert 10 <= decoded <= 21
    monkeypatch.setattr(video, "LOOKED", 1000)  # pixels: less than two frames
    assert moments(films.film(6, 6, key_every=999)) == [(0, 12)], "a scene's key frame is none of a long video's"


def test_times_are_those_that_players_have() -> None:
    times = [0, 0.1, 0.2, 3, 9, 9.04, 30, 31]  # a frame rate that varies
    assert moments(films.film(4 / 5, 4 / 5, times=times)) == [(0, 9), (9, pytest.approx(31 + 31 / 7, abs=0.01))]
    late = films.film(6, 6, kind="matroska", begin=100.0)
    assert [span[0] for span in moments(late)] == pytest.approx([0, 6], abs=0.01)
    assert not np.array_equal(frame(late, 0), frame(late, 6))


def test_turned_as_players_turn_it() -> None:
    plain, turned = films.film(1), films.film(1, turned=90)
    assert frame(turned, 0).shape == (64, 48, 3)
    assert np.array_equal(frame(turned, 0), np.rot90(frame(plain, 0)))


def test_large_frames_are_made_smaller() -> None:
    data = films.film(0.4, size=(2048, 1536))
    assert frame(data, 0).shape == (1225, 1633, 3)
    with pytest.raises(ImageTooLarge, match="2048x1536 is 3,145,728 pixels: expected at most 1,000,000"):
        moments(data, 10**6)


def test_a_frame_that_is_hidden_in_a_small_video_is_not_decoded() -> None:
    small, large = films.film(1, kind="mpegts"), films.film(1, kind="mpegts", size=(2048, 1536))
    assert moments(small + large, max_pixels=10**6)[0][0] == 0


@pytest.mark.parametrize("keep", [0.05, 0.5, 0.9])
def test_truncated(keep: float) -> None:
    data = films.film(6, 6)  # whose index is at its end
    with pytest.raises(CorruptImage, match=r"a\.mp4: the video cannot be decoded \(.+\); convert it"):
        moments(data[: int(len(data) * keep)])
    stream = films.film(6, 6, kind="matroska", codec="mjpeg", pixels="yuvj420p")
    assert len(moments(stream[: int(len(stream) * 0.8)])) == 2, "what is there counts"


def test_no_picture() -> None:
    with pytest.raises(NoPages, match="the video has no picture, only sound"):
        moments(films.sound())


def test_more_moments_than_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "MOST_MOMENTS", 2)
    with pytest.raises(TooManyPages, match="more than 2 moments"):
        moments(films.film(6, 6, 6))


def test_noise_in_the_middle() -> None:
    data = bytearray(films.film(6, 6, 6, kind="mpegts"))
    data[len(data) // 3 : len(data) // 2] = np.random.default_rng(0).bytes(len(data) // 2 - len(data) // 3)
    assert moments(bytes(data))


@pytest.mark.parametrize(
    "head",
    [
        b"#EXTM3U\nhttp://127.0.0.1/a.ts",  # lists of other files
        b"ffconcat version 1.0\nfile /etc/passwd",
        b"<?xml version='1.0'?><MPD>",
        b"\0\0\0\x18ftypheic",
        b"\0\0\0\x18ftypavif",
        b"\0\0\0\x18ftypcrx ",
        b"GIF89a" + bytes(300),
        b"Go on, this is a text. " * 20,
    ],
)
def test_what_is_no_video(head: bytes) -> None:
    assert video.format_of(head) is None


def test_no_other_file_is_opened() -> None:
    with pytest.raises(CorruptImage):
        video.moments(io.BytesIO(b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n"), "hls", "a", MOST)
