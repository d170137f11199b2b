"""Videos that tests make: scenes of colored squares."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import av
import numpy as np


def film(
    *scenes: float | str,
    kind: str = "mp4",
    codec: str = "libx264",
    pixels: str = "yuv420p",
    size: tuple[int, int] = (64, 48),
    rate: int = 5,
    turned: int = 0,
    key_every: int = 250,
    times: Sequence[float] = (),
    begin: float = 0.0,
) -> bytes:
    """A video of scenes, each so many seconds of a picture of its own, or "black".

    turned: degrees counterclockwise by which players turn it. times: of the frames, instead of `rate` a second.
    begin: the clock's time of the first frame.
    """
    file = io.BytesIO()
    pictures = [np.random.default_rng(number).integers(0, 256, (3, 4, 3), np.uint8) for number in range(len(scenes))]
    with av.open(file, "w", format=kind) as container:
        stream: Any = container.add_stream(codec, rate=rate)
        (stream.width, stream.height), stream.pix_fmt = size, pixels
        stream.codec_context.gop_size = key_every
        if times:
            stream.codec_context.time_base = Fraction(1, 1000)
        if turned:
            stream.set_display_rotation(turned)
        number = 0
        for scene, picture in zip(scenes, pictures, strict=True):
            black = scene == "black"
            small = np.zeros_like(picture) if black else picture
            whole = small.repeat(size[1] // 3, 0).repeat(size[0] // 4, 1)
            for _ in range(int((2 if black else float(scene)) * rate)):
                frame: Any = av.VideoFrame.from_ndarray(whole, format="rgb24")
                time = times[number] if times else begin + number / rate
                frame.pts, frame.time_base = round(time * 1000), Fraction(1, 1000)
                container.mux(stream.encode(frame))
                number += 1
        container.mux(stream.encode())
    return file.getvalue()


def sound(kind: str = "mp4") -> bytes:
    """A video without a picture: a second of silence."""
    file = io.BytesIO()
    with av.open(file, "w", format=kind) as container:
        stream: Any = container.add_stream("aac", rate=8000)
        stream.layout = "mono"
        frame: Any = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file.getvalue()
