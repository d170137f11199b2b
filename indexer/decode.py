"""Decodes images in other processes: on other cores, and so that a decoder that crashes ends nothing else."""

import atexit
import logging
import os
import re
import threading
from concurrent.futures import BrokenExecutor, Future
from typing import Any

from oneword.engine.config import MAX_PIXELS
from oneword.engine.decoded import DecodedImage, decode_image
from oneword.engine.encoder import Tiler
from oneword.engine.errors import CorruptImage, InputError
from oneword.engine.handover import Handover, SharedImage, share
from oneword.engine.processes import UNSTARTED, start, works
from oneword.indexer.sources.place import reason_of

log = logging.getLogger(__name__)

TIMEOUT = 120.0
"""Seconds that decoding an image may take: many times what 89 million pixels take."""

IDLE = 60
"""Seconds without work after which a process ends."""


def processes() -> int:
    """Default number of processes: one fewer than cores, which the encoder has."""
    return max(1, min(16, (os.cpu_count() or 2) - 1))


class Decoders:
    """Decodes images in a pool of processes. Safe from any number of threads.

    The pool is started at the first image, serves all jobs of this process, and ends when it has been idle. When a
    process dies or takes too long, each image in its pool is tried once more, alone; so an image that kills its decoder
    or blocks it ends in quarantine, and its neighbors do not.
    """

    def __init__(
        self,
        count: int | None = None,
        *,
        max_pixels: int = MAX_PIXELS,
        timeout: float = TIMEOUT,
        tiler: Tiler | None = None,
    ) -> None:
        """count: of processes; None: `processes()`. timeout: seconds for one image. tiler: see `decode_image`."""
        self.count = count or processes()
        self._how, self._timeout = (max_pixels, tiler), timeout

    def __call__(self, data: bytes, name: str, *, facts: bool = False) -> DecodedImage:
        """See `oneword.indexer.load.Decoder`."""
        from loky.process_executor import ShutdownExecutorError

        if _unable:
            return decode_image(data, name, *self._how, facts=facts)
        try:
            return self._ask(_pool(self.count), data, name, facts)
        except (BrokenExecutor, ShutdownExecutorError, TimeoutError):  # shut down: because of another's time-out
            with _alone:
                return self._again(data, name, facts)
        except UNSTARTED as error:
            _note(error)
            return decode_image(data, name, *self._how, facts=facts)

    def _again(self, data: bytes, name: str, facts: bool) -> DecodedImage:
        try:
            return self._ask(_pool(LONE), data, name, facts)
        except BrokenExecutor as error:
            reason = f"decoding it ends its process{_signal(error)}; convert it with another program"
            raise CorruptImage(f"{name}: {reason}") from error
        except TimeoutError as error:
            reason = f"not decoded within {self._timeout:g} s; convert it with another program"
            raise CorruptImage(f"{name}: {reason}") from error

    def _ask(self, pool: Any, data: bytes, name: str, facts: bool) -> DecodedImage:
        with Handover() as handover:
            future: Future[DecodedImage | SharedImage | InputError] = pool.submit(
                share, handover.place, _decode, data, name, *self._how, facts
            )
            try:
                found = future.result(self._timeout)
            except TimeoutError:
                pool.shutdown(wait=False, kill_workers=True)
                raise
            if isinstance(found, InputError):
                raise found
            return handover.take(found) if isinstance(found, SharedImage) else found


_unable: list[str] = []
"""Why this process cannot start others, once that is known."""


def _note(error: Exception) -> None:
    """From now on images are decoded in this process, because the system does not allow others."""
    if not _unable:
        _unable.append(reason_of(error))
        log.warning("images are decoded in this process, because it cannot start others: %s", _unable[0])


def _signal(error: BrokenExecutor) -> str:
    """The signal that ended a process, if loky's message ends with it."""
    found = re.search(r"\{(SIG[A-Z]+)", str(error))
    return f" with {found[1]}" if found else ""


LONE = 0
_pools: dict[int, Any] = {}
_mutex, _alone = threading.Lock(), threading.Lock()


def _pool(count: int) -> Any:
    """This process's pool of `count` processes; `LONE`: the one in which images are decoded alone."""
    with _mutex:
        if not _pools:
            atexit.register(_end)
        pool = _pools.get(count)
        if pool is None or not works(pool):
            pool = _pools[count] = start(count or 1, idle=IDLE)
        return pool


def _end() -> None:
    """Runs before the interpreter removes what loky needs to shut down."""
    for pool in _pools.values():
        pool.shutdown(wait=True, kill_workers=True)


def _decode(
    data: bytes, name: str, max_pixels: int, tiler: Tiler | None, facts: bool = False
) -> DecodedImage | InputError:
    try:
        return decode_image(data, name, max_pixels, tiler, facts=facts)
    except InputError as error:  # as a value: pickling a traceback costs time
        return error.with_traceback(None)
    except Exception as error:  # no decoder should raise it, and one image must not end a job
        message = f"{type(error).__name__}: {' '.join(str(error).split())}"
        return CorruptImage(f"{name}: the image cannot be decoded ({message}); save it again, or convert it")
