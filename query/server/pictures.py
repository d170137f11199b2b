"""Pictures in requests: where they come from, and how many of them are in memory at once."""

import base64
import binascii
import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import engine
from engine.effort import is_pnm
from engine.errors import InputError, NotAnImage
from engine.images import decode, size_of
from query.server.budget import Budget
from query.server.config import ServerConfig
from query.server.problem import Problem
from query.server.together import together
from query.server.workers import Workers

if TYPE_CHECKING:
    from engine.fetching import Fetcher

UPLOAD = "upload:"
"""A picture in JSON that is a file of the same multipart request: `upload:NAME`."""

PIXELS_AT_ONCE = 512_000_000
"""Decoded pixels in memory, 3 bytes each, over all requests: about 1.5 GB. More wait."""

FETCHED_AT_ONCE = 512 * 2**20
"""Bytes of pictures by URL in memory, over all requests, each of which may be as large as a body. More wait."""

Named = tuple[str, str]
"""A picture as JSON has it, and the field that it stands in."""


def check_used(uploads: Mapping[str, bytes], texts: Iterable[str | None]) -> None:
    """Refuse files that no picture refers to: who sends one means something by it. Raises Problem."""
    named = {text.removeprefix(UPLOAD) for text in texts if text and text.startswith(UPLOAD)}
    if named <= set(uploads) and (unused := sorted(set(uploads) - named)):  # else the one that lacks is told
        raise Problem(
            422,
            "unused_upload",
            f"nothing refers to the uploaded file {unused[0][:100]!r}",
            remedy=f"Name it where a picture stands, as {UPLOAD}{unused[0][:100]}, or leave it out.",
            field=unused[0][:100],
        )


class Pictures:
    """Reads pictures given as data URI, base64, URL, or upload. Use it from one event loop."""

    def __init__(self, config: ServerConfig, workers: Workers) -> None:
        self._config, self._workers = config, workers
        self._fetcher: Fetcher | None = None
        self._pixels, self._fetched_bytes = Budget(PIXELS_AT_ONCE), Budget(FETCHED_AT_ONCE)

    @asynccontextmanager
    async def read(self, named: Sequence[Named], uploads: Mapping[str, bytes]) -> AsyncIterator[list[engine.Image]]:
        """The pictures, decoded; they count as being in memory until the block ends.

        Raises:
            Problem: with the field, if one cannot be had.
        """
        fields = [field for _, field in named]
        async with AsyncExitStack() as decoded:
            # Taken in this order by all, and the bytes given back before anybody works with the pictures.
            async with self._fetched_bytes.taken(self._config.max_body * sum(_is_url(one) for one, _ in named)):
                data = await together(self._bytes(one, field, uploads) for one, field in named)
                if (size := sum(map(len, data))) > FETCHED_AT_ONCE:
                    raise _too_much(f"{size:,} bytes", FETCHED_AT_ONCE, fields[0])
                wanted = await self._workers.run("decode", self._wanted, data)
                if wanted > PIXELS_AT_ONCE:
                    raise _too_much(f"{wanted:,} pixels", PIXELS_AT_ONCE, fields[0])
                await decoded.enter_async_context(self._pixels.taken(wanted))
                images = await together(map(self._decoded, data, fields))
                del data
            yield images

    def close(self) -> None:
        """Ends what is being fetched."""
        if self._fetcher is not None:
            self._fetcher.close()

    async def _bytes(self, text: str, field: str, uploads: Mapping[str, bytes]) -> bytes:
        if text.startswith(UPLOAD):
            name = text.removeprefix(UPLOAD)
            if name not in uploads:
                sent = ", ".join(sorted(uploads)[:10]) or "none"
                raise Problem(
                    422,
                    "no_upload",
                    f"the picture is the uploaded file {name[:100]!r}, of which there is none: sent were {sent}",
                    remedy="Send the file as a field of that name, as multipart/form-data.",
                    field=field,
                )
            return uploads[name]
        try:
            if _is_url(text):
                return await self._fetched(text)
            return await self._workers.run("decode", _inline, text)
        except (InputError, Problem) as error:
            raise Problem.of(error, field=field) from error
        except ValueError as error:
            raise Problem(422, "bad_image", str(error), remedy=_REMEDY, field=field) from None

    async def _fetched(self, url: str) -> bytes:
        if not self._config.fetch:
            raise Problem(422, "fetching_off", "this service fetches no pictures by URL", remedy="Send its bytes.")
        if self._fetcher is None:
            from engine.fetching import FetchConfig, Fetcher

            self._fetcher = Fetcher(
                FetchConfig(
                    allow_private=self._config.allow_private,
                    deadline=self._config.deadline / 2,
                    max_bytes=self._config.max_body,
                    tries=2,
                )
            )
        fetcher = self._fetcher
        return (await self._workers.run("fetch", lambda: fetcher.fetch(url))).data

    async def _decoded(self, data: bytes, field: str) -> engine.Image:
        try:
            return await self._workers.run("decode", self._image, data)
        except InputError as error:
            raise Problem.of(error, field=field) from error

    def _image(self, data: bytes) -> engine.Image:
        if not self._config.pnm and is_pnm(data):
            raise NotAnImage("the picture: is a PBM, PGM or PPM, which this service does not take: send it as PNG")
        image = engine.Image(pixels=decode(data, name="the picture", max_pixels=self._config.max_pixels))
        _ = image.content_hash  # hashed here, not in the event loop
        return image

    def _wanted(self, data: Sequence[bytes]) -> int:
        """Pixels that they will decode to; none for those that are too large, which `decode` refuses."""
        allowed = [one for one in data if self._config.pnm or not is_pnm(one)]
        claimed = [width * height for width, height in map(size_of, allowed)]
        return sum(pixels for pixels in claimed if pixels <= self._config.max_pixels)


def _is_url(text: str) -> bool:
    return text[:8].lower().startswith(("http://", "https://"))


def _too_much(what: str, most: int, field: str) -> Problem:
    detail = f"the pictures of the request have {what} together: expected at most {most:,}"
    return Problem(422, "image_too_large", detail, remedy="Scale them down, or ask in several requests.", field=field)


_REMEDY = "Send a data URI (data:image/png;base64,...), base64, an http(s) URL, or upload:NAME with a file."


def _inline(text: str) -> bytes:
    """The bytes of a data URI (RFC 2397) or of plain base64. Raises ValueError."""
    body = text
    if text[:5].lower() == "data:":
        head, comma, body = text.partition(",")
        if not comma or not head.lower().endswith(";base64"):
            raise ValueError(f"{text[:40]!r} is no data URI in base64: expected data:image/png;base64,...")
    try:
        data = base64.b64decode(re.sub(r"\s+", "", body), validate=True)
    except (binascii.Error, ValueError):
        shown = text if len(text) <= 40 else f"{text[:40]}..."
        raise ValueError(f"{shown!r} is no picture: expected a data URI, base64, or a URL") from None
    if not data:
        raise ValueError("the picture is empty (0 bytes): expected a picture")
    return data
