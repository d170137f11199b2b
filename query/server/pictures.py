"""Pictures in requests: where they come from, and how many of them are in memory at once."""

import base64
import binascii
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from oneword.engine.errors import CorruptImage, ImageTooLarge, InputError
from oneword.engine.handover import Handover, share
from oneword.engine.images import FORMATS, SAFE_FORMATS, decode, size_of
from oneword.engine.inputs import Image
from oneword.engine.pictures import Picture, thumbnail
from oneword.query.server.budget import Budget
from oneword.query.server.config import ServerConfig
from oneword.query.server.problem import Problem
from oneword.query.server.processes import Crashed, Processes
from oneword.query.server.together import together
from oneword.query.server.workers import Workers

if TYPE_CHECKING:
    from oneword.engine.fetching import Fetcher

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

    def __init__(self, config: ServerConfig, workers: Workers, processes: Processes) -> None:
        self._config, self._workers, self._processes = config, workers, processes
        self._formats = FORMATS if config.any_format else SAFE_FORMATS
        self._fetcher: Fetcher | None = None
        self._pixels, self._fetched_bytes = Budget(PIXELS_AT_ONCE), Budget(FETCHED_AT_ONCE)

    @asynccontextmanager
    async def read(
        self, named: Sequence[Named], uploads: Mapping[str, bytes], *, thumbnails: bool = False
    ) -> AsyncIterator[list[Picture]]:
        """The pictures, decoded; they count as being in memory until the block ends. thumbnails: else they are empty.

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
                claimed = await self._elsewhere(_claimed, data, self._formats)
                if isinstance(claimed, InputError):
                    raise Problem.of(claimed, field=fields[0])
                wanted = sum(pixels for pixels in claimed if pixels <= self._config.max_pixels)
                if wanted > PIXELS_AT_ONCE:
                    raise _too_much(f"{wanted:,} pixels", PIXELS_AT_ONCE, fields[0])
                await decoded.enter_async_context(self._pixels.taken(wanted))
                pictures = await together(
                    self._decoded(one, field, thumbnails) for one, field in zip(data, fields, strict=True)
                )
                del data
            yield pictures

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
            from oneword.engine.fetching import FetchConfig, Fetcher

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

    async def _decoded(self, data: bytes, field: str, small: bool) -> Picture:
        with Handover() as handover:
            found = await self._elsewhere(
                share, handover.place, _picture, data, self._config.max_pixels, self._formats, small
            )
            if isinstance(found, InputError):
                raise Problem.of(found, field=field) from found
            if isinstance(found, Picture):
                return found
            return await self._workers.run("decode", handover.take, found)

    async def _elsewhere(self, function: Callable[..., Any], *args: Any) -> Any:
        """Runs in another process. What ends it, or takes it too long, is the picture's fault."""
        try:
            return await self._processes.run(function, *args)
        except TimeoutError:
            return CorruptImage(f"the picture: not decoded within {self._processes.seconds:g} s; save it anew")
        except Crashed:
            return CorruptImage("the picture: decoding it ends its process; save it anew, or convert it")


def _claimed(data: Sequence[bytes], formats: Collection[str]) -> list[int]:
    """Pixels that each will decode to; 0 where that cannot be known. In another process."""
    return [width * height for width, height in (size_of(one, formats=formats) for one in data)]


def _picture(data: bytes, max_pixels: int, formats: Collection[str], small: bool) -> Picture | InputError:
    """In another process."""
    try:
        image = Image(pixels=decode(data, name="the picture", max_pixels=max_pixels, formats=formats))
        _ = image.content_hash  # hashed here, not in the event loop
        return Picture(image=image, thumbnail=thumbnail(image.pixels) if small else b"")
    except InputError as error:
        return error.with_traceback(None)
    except MemoryError:
        return ImageTooLarge("the picture: does not fit into memory; scale it down first")


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
        data = base64.b64decode("".join(body.split()), validate=True)
    except (binascii.Error, ValueError):
        shown = text if len(text) <= 40 else f"{text[:40]}..."
        raise ValueError(f"{shown!r} is no picture: expected a data URI, base64, or a URL") from None
    if not data:
        raise ValueError("the picture is empty (0 bytes): expected a picture")
    return data
