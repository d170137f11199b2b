"""Images in requests: data URIs, base64, URLs and uploads; and a budget of the memory that they take."""

import asyncio
import base64
import binascii
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from oneword.engine.decoded import DecodedImage, thumbnail
from oneword.engine.errors import CorruptImage, ImageTooLarge, InputError
from oneword.engine.handover import Handover, share
from oneword.engine.images import FORMATS, SAFE_FORMATS, decode, size_of
from oneword.engine.inputs import Image
from oneword.engine.regions import region
from oneword.query.server.config import ServerConfig
from oneword.query.server.problem import Problem
from oneword.query.server.processes import Crashed, Processes
from oneword.query.server.threads import Workers, gather

if TYPE_CHECKING:
    from oneword.engine.fetching import Fetcher

UPLOAD = "upload:"
"""Prefix of an image that is a file of the same multipart request: `upload:NAME`."""

PIXELS_AT_ONCE = 512_000_000
"""Decoded pixels in memory over all requests, 3 bytes each: about 1.5 GB. Requests beyond wait."""

FETCHED_AT_ONCE = 512 * 2**20
"""Bytes of fetched images in memory over all requests; each may be as large as a body. Requests beyond wait."""


class Named(NamedTuple):
    """An image as JSON has it, its field, and the region that is searched by; None: the whole."""

    text: str
    field: str
    crop: Sequence[float] | None = None


def check_used(uploads: Mapping[str, bytes], texts: Iterable[str | None]) -> None:
    """Refuses uploaded files that no image refers to. Raises Problem."""
    named = {text.removeprefix(UPLOAD) for text in texts if text and text.startswith(UPLOAD)}
    if named <= set(uploads) and (unused := sorted(set(uploads) - named)):  # else the missing file is reported
        raise Problem(
            "unused_upload",
            f"no image refers to the uploaded file {unused[0][:100]!r}",
            remedy=f"Refer to it as {UPLOAD}{unused[0][:100]}, or leave it out.",
            field=unused[0][:100],
        )


class Budget:
    """A weighted semaphore, first in first out, so that small requests do not starve large ones.

    Use it from one event loop. Take the whole amount at once: a task that waits for more can deadlock.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._used = 0
        self._waiters: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def used(self) -> int:
        """The amount taken; at most the size."""
        return self._used

    @property
    def waiting(self) -> int:
        """The number of tasks that wait."""
        return len(self._waiters)

    @asynccontextmanager
    async def taken(self, amount: int) -> AsyncIterator[None]:
        """Takes an amount, at most the size, for the length of the block."""
        amount = min(amount, self.size)
        if self._waiters or self._used + amount > self.size:
            await self._wait(amount)
        else:
            self._used += amount
        try:
            yield
        finally:
            self._used -= amount
            self._grant()

    async def _wait(self, amount: int) -> None:
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append((amount, granted))
        try:
            await granted
        except asyncio.CancelledError:
            if not granted.cancelled():  # granted at the same moment
                self._used -= amount
            elif (amount, granted) in self._waiters:
                self._waiters.remove((amount, granted))
            self._grant()  # the next may fit
            raise

    def _grant(self) -> None:
        while self._waiters and self._used + self._waiters[0][0] <= self.size:
            amount, granted = self._waiters.popleft()
            if not granted.done():
                self._used += amount
                granted.set_result(None)


class Images:
    """Reads images given as data URI, base64, URL or upload. Use it from one event loop."""

    def __init__(self, config: ServerConfig, workers: Workers, processes: Processes) -> None:
        self._config, self._workers, self._processes = config, workers, processes
        self._formats = FORMATS if config.any_format else SAFE_FORMATS
        self._fetcher: Fetcher | None = None
        self._pixels, self._fetched_bytes = Budget(PIXELS_AT_ONCE), Budget(FETCHED_AT_ONCE)

    @asynccontextmanager
    async def read(
        self, named: Sequence[Named], uploads: Mapping[str, bytes], *, thumbnails: bool = False
    ) -> AsyncIterator[list[DecodedImage]]:
        """The decoded images, or their regions; their memory counts until the block ends. thumbnails: whether to make
        them, else empty.

        Raises:
            Problem: with the field of the image that cannot be read.
        """
        if not named:
            yield []
            return
        fields = [one.field for one in named]
        async with AsyncExitStack() as decoded:
            # All requests take the budgets in this order, and return the bytes before they use the images.
            async with self._fetched_bytes.taken(self._config.max_body * sum(_is_url(one.text) for one in named)):
                data = await gather(self._bytes(one.text, one.field, uploads) for one in named)
                if (size := sum(map(len, data))) > FETCHED_AT_ONCE:
                    raise _too_much(f"{size:,} bytes", FETCHED_AT_ONCE, fields[0])
                claimed = await self._elsewhere(_claimed, data, self._formats)
                if isinstance(claimed, InputError):
                    raise Problem.of(claimed, field=fields[0])
                wanted = sum(pixels for pixels in claimed if pixels <= self._config.max_pixels)
                if wanted > PIXELS_AT_ONCE:
                    raise _too_much(f"{wanted:,} pixels", PIXELS_AT_ONCE, fields[0])
                await decoded.enter_async_context(self._pixels.taken(wanted))
                pictures = await gather(
                    self._decoded(bytes_, one, thumbnails) for bytes_, one in zip(data, named, strict=True)
                )
                del data
            yield pictures

    def close(self) -> None:
        """Stops fetching."""
        if self._fetcher is not None:
            self._fetcher.close()

    async def _bytes(self, text: str, field: str, uploads: Mapping[str, bytes]) -> bytes:
        if text.startswith(UPLOAD):
            name = text.removeprefix(UPLOAD)
            if name not in uploads:
                sent = ", ".join(sorted(uploads)[:10]) or "none"
                raise Problem(
                    "no_upload",
                    f"there is no uploaded file {name[:100]!r} for the image: uploaded were {sent}",
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
            raise Problem("bad_image", str(error), remedy=_REMEDY, field=field) from None

    async def _fetched(self, url: str) -> bytes:
        if not self._config.fetch:
            raise Problem("fetching_off", "this service does not fetch images by URL")
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

    async def _decoded(self, data: bytes, named: Named, small: bool) -> DecodedImage:
        with Handover() as handover:
            found = await self._elsewhere(
                share, handover.place, _picture, data, self._config.max_pixels, self._formats, small, named.crop
            )
            if isinstance(found, InputError):
                raise Problem.of(found, field=named.field) from found
            if isinstance(found, DecodedImage):
                return found
            return await self._workers.run("decode", handover.take, found)

    async def _elsewhere(self, function: Callable[..., Any], *args: Any) -> Any:
        """Runs in another process. A crash or a timeout counts as a fault of the image."""
        try:
            return await self._processes.run(function, *args)
        except TimeoutError:
            return CorruptImage(f"the image: not decoded within {self._processes.seconds:g} s; save it again")
        except Crashed:
            return CorruptImage("the image: decoding it crashed; save it again, or convert it")


def _claimed(data: Sequence[bytes], formats: Collection[str]) -> list[int]:
    """The number of pixels of each image; 0 if its header cannot be read. Runs in another process."""
    return [width * height for width, height in (size_of(one, formats=formats) for one in data)]


def _picture(
    data: bytes, max_pixels: int, formats: Collection[str], small: bool, crop: Sequence[float] | None
) -> DecodedImage | InputError:
    """Runs in another process."""
    try:
        image = Image(pixels=decode(data, name="the image", max_pixels=max_pixels, formats=formats))
        image = image if crop is None else image.cropped(region(crop))
        _ = image.content_hash  # computed here, not in the event loop
        return DecodedImage(image=image, thumbnail=thumbnail(image.pixels) if small else b"")
    except InputError as error:
        return error.with_traceback(None)
    except MemoryError:
        return ImageTooLarge("the image: does not fit into memory; scale it down first")


def _is_url(text: str) -> bool:
    return text[:8].lower().startswith(("http://", "https://"))


def _too_much(what: str, most: int, field: str) -> Problem:
    detail = f"the images of the request have {what} together: expected at most {most:,}"
    return Problem("image_too_large", detail, remedy="Scale them down, or send several requests.", field=field)


_REMEDY = "Send a data URI (data:image/png;base64,...), base64, an http(s) URL, or upload:NAME with a file."


def _inline(text: str) -> bytes:
    """The bytes of a data URI (RFC 2397) or of plain base64. Raises ValueError."""
    body = text
    if text[:5].lower() == "data:":
        head, comma, body = text.partition(",")
        if not comma or not head.lower().endswith(";base64"):
            raise ValueError(f"{text[:40]!r} is not a base64 data URI: expected data:image/png;base64,...")
    try:
        data = base64.b64decode("".join(body.split()), validate=True)
    except (binascii.Error, ValueError):
        shown = text if len(text) <= 40 else f"{text[:40]}..."
        raise ValueError(f"{shown!r} is not an image: expected a data URI, base64, or a URL") from None
    if not data:
        raise ValueError("the image is empty (0 bytes)")
    return data
