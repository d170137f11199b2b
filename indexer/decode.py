"""Decodes pictures in other processes: on other cores, and where a decoder that crashes takes nothing along."""

import atexit
import logging
import os
import re
import threading
from concurrent.futures import BrokenExecutor, Future
from typing import Any

from oneword.engine.config import MAX_PIXELS
from oneword.engine.encoder import Tiler
from oneword.engine.errors import CorruptImage, InputError
from oneword.engine.handover import Handover, SharedImage, share
from oneword.engine.pictures import Picture, decode_picture
from oneword.engine.processes import UNSTARTED, start, works
from oneword.indexer.sources.place import reason_of

log = logging.getLogger(__name__)

PATIENCE = 120.0
"""Seconds that a picture may take to be decoded: what 89 million pixels take, many times over."""

IDLE = 60
"""Seconds after which a process without work ends."""


def processes() -> int:
    """How many decode by default: one fewer than cores, for the encoder's sake."""
    return max(1, min(16, (os.cpu_count() or 2) - 1))


class Decoders:
    """Decodes pictures in a pool of processes. Safe from any number of threads.

    The pool is started at the first picture, serves all jobs of this process, and ends when it has been idle. When a
    process dies or takes too long, what was in its pool is tried once more, each alone; so a picture that kills its
    decoder or never lets go of it ends in quarantine, and its neighbours do not.
    """

    def __init__(
        self,
        count: int | None = None,
        *,
        max_pixels: int = MAX_PIXELS,
        patience: float = PATIENCE,
        tiler: Tiler | None = None,
    ) -> None:
        """count: of processes; None: `processes()`. patience: seconds for one picture. tiler: see `decode_picture`."""
        self.count = count or processes()
        self._how, self._patience = (max_pixels, tiler), patience

    def __call__(self, data: bytes, name: str) -> Picture:
        """See `oneword.indexer.load.Decoder`."""
        from loky.process_executor import ShutdownExecutorError

        if _unable:
            return decode_picture(data, name, *self._how)
        try:
            return self._ask(_pool(self.count), data, name)
        except (BrokenExecutor, ShutdownExecutorError, TimeoutError):  # shut down: because of another's time-out
            with _alone:
                return self._again(data, name)
        except UNSTARTED as error:
            return _here(error, data, name, *self._how)

    def _again(self, data: bytes, name: str) -> Picture:
        try:
            return self._ask(_pool(LONE), data, name)
        except BrokenExecutor as error:
            reason = f"decoding it ends its process{_signal(error)}; convert it with another program"
            raise CorruptImage(f"{name}: {reason}") from error
        except TimeoutError as error:
            reason = f"not decoded within {self._patience:g} s; convert it with another program"
            raise CorruptImage(f"{name}: {reason}") from error

    def _ask(self, pool: Any, data: bytes, name: str) -> Picture:
        with Handover() as handover:
            future: Future[Picture | SharedImage | InputError] = pool.submit(
                share, handover.place, _decode, data, name, *self._how
            )
            try:
                found = future.result(self._patience)
            except TimeoutError:
                pool.shutdown(wait=False, kill_workers=True)
                raise
            if isinstance(found, InputError):
                raise found
            return handover.take(found) if isinstance(found, SharedImage) else found


_unable: list[str] = []
"""Why this process can start no others, once that is known."""


def _here(error: Exception, data: bytes, name: str, max_pixels: int, tiler: Tiler | None) -> Picture:
    """Decodes in this process, where the system lets no other be started."""
    if not _unable:
        _unable.append(reason_of(error))
        log.warning("images are decoded in this process, because it cannot start others: %s", _unable[0])
    return decode_picture(data, name, max_pixels, tiler)


def _signal(error: BrokenExecutor) -> str:
    """Which signal ended a process, where loky tells it at the end of its explanation."""
    found = re.search(r"\{(SIG[A-Z]+)", str(error))
    return f" with {found[1]}" if found else ""


LONE = 0
_pools: dict[int, Any] = {}
_mutex, _alone = threading.Lock(), threading.Lock()


def _pool(count: int) -> Any:
    """This process's pool of so many; `LONE`: the one for what is decoded alone."""
    with _mutex:
        if not _pools:
            atexit.register(_end)
        pool = _pools.get(count)
        if pool is None or not works(pool):
            pool = _pools[count] = start(count or 1, idle=IDLE)
        return pool


def _end() -> None:
    """Before the interpreter takes apart what loky needs to end well."""
    for pool in _pools.values():
        pool.shutdown(wait=True, kill_workers=True)


def _decode(data: bytes, name: str, max_pixels: int, tiler: Tiler | None) -> Picture | InputError:
    try:
        return decode_picture(data, name, max_pixels, tiler)
    except InputError as error:  # as a value: a traceback that travels is text, and costs time
        return error.with_traceback(None)
    except Exception as error:  # no decoder should; but one picture is no reason to end a job
        said = f"{type(error).__name__}: {' '.join(str(error).split())}"
        return CorruptImage(f"{name}: the picture cannot be decoded ({said}); save it anew, or convert it")
