"""Moments of videos, by FFmpeg (PyAV, the extra `video`): which frames stand for a video, and what they show.

FFmpeg gets the bytes and the name of their format: it opens no other file or address that a video may name. A hostile
file may crash it: use it in a process of its own.

The rule of moments is our own. Frames are compared by histograms: the colors of each quarter of a frame in 4 steps of
red, green and blue; two frames differ by the share of pixels, 0 to 1, that would have to change their step. A frame is
a moment if it differs from the last one by `CHANGED` and comes `SHORTEST` after it, or by `SAME` and `LONGEST`. So
there is none where nothing changes, one soon after a cut, and at most one each `SHORTEST`.
"""

import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from oneword.engine.errors import CorruptImage, ImageTooLarge, NoPages, NotAnImage, TooManyPages, TruncatedImage

if TYPE_CHECKING:
    import av

EXTENSIONS = frozenset(".mp4 .m4v .mov .3gp .mkv .webm .avi .mpg .mpeg .mts .m2ts .wmv .ogv .flv".split())
"""Of videos, in lower case."""

INSTALL = "install oneword[video]"

CHANGED = 0.3
SAME = 0.05
SHORTEST, LONGEST = 5.0, 10.0
"""Seconds between two moments: of scenes, and where one goes on."""

SPACING = 0.5
"""Least seconds between two frames that are compared."""

LOOKED = 20_000_000_000
"""Pixels that are decoded to find moments: three minutes of 4K, 13 of 1080p, an hour and a half of 360p; a minute of
work. Of what is longer only key frames are decoded, and no more of them."""

PIXELS = 2_000_000
"""Most pixels of a moment, as of a page."""

MOST_MOMENTS = 10_000

BLANK = 0.98
"""Share of pixels of one color above which a frame, black or white, stands for nothing."""

_GRID = 32  # pixels of a side that is compared
_BRANDS = (b"qt  ", b"isom", b"iso", b"mp4", b"avc1", b"M4V", b"3g", b"MSNV", b"dash", b"f4v", b"mmp4", b"XAVC")
_FORMATS = (
    (0, b"\x1aE\xdf\xa3", "matroska"),
    (8, b"AVI ", "avi"),
    (0, b"\0\0\x01\xba", "mpeg"),
    (0, b"\0\0\x01\xb3", "mpegvideo"),
    (0, b"OggS", "ogg"),
    (0, b"FLV\x01", "flv"),
    (0, b"0&\xb2u\x8ef\xcf\x11", "asf"),
    (0, b"\x47", "mpegts"),
    (4, b"\x47", "mpegts"),
)
"""Where a signature stands, the signature, and FFmpeg's name of the format."""


def installed() -> bool:
    """Whether videos can be read, without importing what reads them."""
    return find_spec("av") is not None


def format_of(head: bytes) -> str | None:
    """Returns FFmpeg's name of a video's format; None for what is none. head: its first 200 bytes."""
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return "mov" if head[4:8] != b"ftyp" or head[8:12].startswith(_BRANDS) else None
    for at, sign, name in _FORMATS:
        # 0x47 is the letter G: of a transport stream, it begins each packet of 188 bytes, or of 192 with a time.
        if head.startswith(sign, at) and (name != "mpegts" or head[at + 188 + at : at + 189 + at] == sign):
            return name
    return None


def moments(file: BinaryIO, kind: str, name: str, max_pixels: int) -> list[tuple[float, float]]:
    """Returns when each moment of a video begins and ends, in seconds from the video's beginning.

    Each ends where the next one begins. The same for the same file, on any machine.

    Args:
        kind: see `format_of`.
        name: of the file, in errors.

    Raises:
        NotAnImage: the extra is not installed.
        NoPages: there is no picture in it.
        TooManyPages, ImageTooLarge, TruncatedImage, CorruptImage
    """
    with _opened(file, kind, name, max_pixels) as (container, stream):
        start, end, frames, keys, gap = _times(container, stream)
        pixels = stream.codec_context.width * stream.codec_context.height
        spacing = max(SPACING, (end - start) * pixels / LOOKED)
        keys_only = frames * pixels > LOOKED or (keys > 0 and gap <= 2 * spacing)
    with _opened(file, kind, name, max_pixels) as (container, stream):
        looked = _looked(container, stream, start, spacing, keys_only=keys_only)
        found = list(itertools.islice(_chosen(looked), MOST_MOMENTS + 1))
    if not found:
        raise NoPages(f"{name}: no picture of the video can be decoded; convert it with another program")
    if len(found) > MOST_MOMENTS:
        raise TooManyPages(f"{name}: the video has more than {MOST_MOMENTS:,} moments; cut it into several")
    ends = [*found[1:], max(end - start, found[-1] + 0.001)]
    return [(round(begin, 3), round(after, 3)) for begin, after in zip(found, ends, strict=True)]


def frame_at(file: BinaryIO, kind: str, name: str, time: float, max_pixels: int) -> PIL.Image.Image:
    """Returns the frame at a time of `moments`: upright, RGB, with square pixels, at most `PIXELS`.

    Raises:
        As `moments` does.
    """
    for before in (0.0, 10.0, math.inf):  # some formats are entered too late
        with _opened(file, kind, name, max_pixels) as (container, stream):
            start = _start(container, stream)
            if time > before:
                container.seek(int((time - before + start) / stream.time_base), stream=stream)
            late = time > before
            for frame in _decoded(container, stream):
                if frame.time - start >= time - 0.0015:  # times are rounded to milliseconds
                    if late and frame.time - start >= time + 0.0015:
                        break
                    return _image(frame, stream)
                late = False
    raise TruncatedImage(f"{name}: the video ends before {time:g} s; index the file again")


@contextmanager
def _opened(file: BinaryIO, kind: str, name: str, max_pixels: int) -> Iterator[tuple[Any, Any]]:
    """The container and its first video stream."""
    try:
        import av
    except ImportError:
        raise NotAnImage(f"{name}: is a video; to read its moments, {INSTALL}") from None
    file.seek(0)
    try:
        with av.open(file, format=kind, options={"protocol_whitelist": "none"}, metadata_errors="replace") as container:
            pictures = [one for one in container.streams.video if not _is_cover(one)]
            if not pictures:
                raise NoPages(f"{name}: the video has no picture, only sound or text")
            stream = pictures[0]
            width, height = stream.codec_context.width, stream.codec_context.height
            if width * height > max_pixels:
                size = f"{width}x{height} is {width * height:,} pixels"
                raise ImageTooLarge(f"{name}: {size}: expected at most {max_pixels:,}; scale it down first")
            stream.codec_context.options = {"max_pixels": str(max_pixels)}  # also of what comes later
            yield container, stream
    except av.error.EOFError as error:
        raise TruncatedImage(f"{name}: the video ends early; get it again") from error
    except (av.error.FFmpegError, ValueError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        reason = f"the video cannot be decoded ({reason}); convert it with another program"
        raise CorruptImage(f"{name}: {reason}") from error


def _is_cover(stream: Any) -> bool:
    """Whether a stream is a picture of a record or of a film."""
    return bool(int(stream.disposition) & 0x400)  # AV_DISPOSITION_ATTACHED_PIC


def _start(container: Any, stream: Any) -> float:
    """When the video begins, by its own clock."""
    own = stream.start_time
    return float(own * stream.time_base) if own is not None else (container.start_time or 0) / 1_000_000


def _times(container: Any, stream: Any) -> tuple[float, float, int, int, float]:
    """When the video begins and ends, its frames, its key frames, and the longest time between two of those."""
    start = end = _start(container, stream)
    frames = keys = 0
    last, gap = start, 0.0
    for packet in container.demux(stream):
        if packet.pts is None:
            continue
        time = float(packet.pts * packet.time_base)
        frames += 1
        end = max(end, time)
        if packet.is_keyframe:
            keys += 1
            gap, last = max(gap, time - last), max(last, time)
    # The last frame is shown as long as one is on average: its own length is often wrong.
    return start, end + (end - start) / max(1, frames - 1), frames, keys, max(gap, end - last)


def _decoded(container: Any, stream: Any) -> Iterator[Any]:
    """Frames with a time. One that is broken does not end those after it."""
    import av

    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            continue
        for frame in frames:
            if frame.time is not None:
                yield frame


def _looked(
    container: Any, stream: Any, start: float, spacing: float, *, keys_only: bool
) -> Iterator[tuple[float, NDArray[np.float32]]]:
    """Times and histograms of the frames that are compared."""
    if keys_only:
        from av.stream import Discard

        stream.codec_context.skip_frame = "NONKEY"
        stream.discard = Discard.nonkey
    last = -math.inf
    for frame in _decoded(container, stream):
        time = frame.time - start
        if time - last >= spacing - 0.001:
            last = time
            yield max(0.0, time), _histogram(frame)


def _histogram(frame: "av.VideoFrame") -> NDArray[np.float32]:
    """Shares of pixels by color in each quarter: float32 (4, 64), each row adds up to 1."""
    pixels = frame.reformat(width=_GRID, height=_GRID, format="rgb24").to_ndarray() // 64  # uint8 (32, 32, 3), 0 to 3
    colors = pixels[..., 0] * 16 + pixels[..., 1] * 4 + pixels[..., 2]
    half = _GRID // 2
    quarters = colors.reshape(2, half, 2, half).swapaxes(1, 2).reshape(4, half**2)
    counts = np.stack([np.bincount(one, minlength=64) for one in quarters])
    return counts.astype(np.float32) / np.float32(half**2)


def _chosen(frames: Iterator[tuple[float, NDArray[np.float32]]]) -> Iterator[float]:
    """Times of moments, by the rule above. Where all is blank, the first frame is one."""
    last: tuple[float, NDArray[np.float32]] | None = None
    first: float | None = None
    for time, histogram in frames:
        first = time if first is None else first
        if histogram.mean(0).max() >= BLANK:
            continue
        if last is not None:
            differs = float(np.abs(histogram - last[1]).sum()) / 2 / len(histogram)
            apart = time - last[0]
            if not ((differs >= CHANGED and apart >= SHORTEST) or (differs >= SAME and apart >= LONGEST)):
                continue
        last = time, histogram
        yield time
    if last is None and first is not None:
        yield first


def _image(frame: "av.VideoFrame", stream: Any) -> PIL.Image.Image:
    """The frame with square pixels, at most `PIXELS` of them, turned counterclockwise as the file says."""
    across, down = frame.width * float(stream.codec_context.sample_aspect_ratio or 1), float(frame.height)
    scale = min(1.0, math.sqrt(PIXELS / across / down))
    size = {"width": max(1, round(across * scale)), "height": max(1, round(down * scale))}
    image = PIL.Image.fromarray(frame.reformat(**size, format="rgb24").to_ndarray())
    return image.rotate(frame.rotation, expand=True) if frame.rotation % 360 else image
