"""Decodes images in other processes: on other cores, and so that a decoder that crashes ends nothing else."""

import atexit
import logging
import os
import re
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future
from typing import Any, TypeVar, cast

from oneword.engine.config import MAX_PIXELS
from oneword.engine.decoded import DecodedImage, decode_image
from oneword.engine.encoder import Tiler
from oneword.engine.errors import CorruptImage, InputError
from oneword.engine.handover import Handover, SharedImage, share
from oneword.engine.processes import UNSTARTED, start, works
from oneword.engine.roots import Roots
from oneword.indexer.copies import Copies
from oneword.indexer.documents import decode_part, find
from oneword.indexer.entry import Reference
from oneword.indexer.sources.place import reason_of

log = logging.getLogger(__name__)

Found = TypeVar("Found")

TIMEOUT = 120.0
"""Seconds that decoding an image may take: many times what 89 million pixels take."""

SPOILT = 3
"""Parts of a file that may end their process or take too long; the rest is refused, for it would take hours."""

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
        roots: Roots | None = None,
    ) -> None:
        """count: of processes; None: `processes()`. timeout: seconds for one image. tiler: see `decode_image`.

        roots: no file outside is opened for its parts. None: no limit.
        """
        self.count = count or processes()
        self._how, self._timeout, self._roots = (max_pixels, tiler), timeout, roots
        self._spoilt: Counter[str] = Counter()  # by file: parts that ended their process or took too long

    def __call__(self, data: bytes | Reference, name: str, *, facts: bool = False) -> DecodedImage:
        """See `oneword.indexer.load.Decoder`."""
        if isinstance(data, bytes):
            return cast("DecodedImage", self._run(name, None, _decode, data, name, *self._how, facts))
        with _copies.local(data, self._roots) as path:
            how = (path, self._roots if data.path else None, data.part, *self._how, facts)
            return cast("DecodedImage", self._run(name, data, _decode_part, name, *how))

    def parts(self, file: Reference, name: str) -> list[str] | None:
        """Returns the parts of a file, as its URI names them; None for a file that is one by itself.

        Raises:
            InputError
        """
        with _copies.local(file, self._roots) as path:
            place = (path, self._roots if file.path else None, self._how[0])
            return cast("list[str] | None", self._run(name, None, _find, name, *place))

    def _run(self, name: str, part: Reference | None, call: Callable[..., Any], *given: object) -> Any:
        """What a function returns in another process. part: which it decodes, of a file that may be spoilt."""
        from loky.process_executor import ShutdownExecutorError

        self._check(name, part)
        if _unable:
            return _given(call(*given))
        try:
            return self._ask(_pool(self.count), call, given)
        except (BrokenExecutor, ShutdownExecutorError, TimeoutError):  # shut down: because of another's time-out
            with _alone:
                return self._again(name, part, call, given)
        except UNSTARTED as error:
            _note(error)
            return _given(call(*given))

    def _again(self, name: str, part: Reference | None, call: Callable[..., Any], given: tuple[object, ...]) -> Any:
        self._check(name, part)
        try:
            return self._ask(_pool(LONE), call, given)
        except (BrokenExecutor, TimeoutError) as error:
            if part is not None:
                self._spoilt[part.file] += 1
            broke = isinstance(error, BrokenExecutor)
            what = (
                f"decoding it ends its process{_signal(error)}" if broke else f"not decoded within {self._timeout:g} s"
            )
            raise CorruptImage(f"{name}: {what}; convert it with another program") from error

    def _check(self, name: str, part: Reference | None) -> None:
        """Raises CorruptImage for a part of a file that has spoilt too much."""
        if part is not None and self._spoilt[part.file] >= SPOILT:
            reason = f"left out, as {SPOILT} other parts of its file ended their process or took too long"
            raise CorruptImage(f"{name}: {reason}; convert the file with another program")

    def _ask(self, pool: Any, call: Callable[..., Any], given: tuple[object, ...]) -> Any:
        with Handover() as handover:
            future: Future[Any] = pool.submit(share, handover.place, call, *given)
            try:
                found = _given(future.result(self._timeout))
            except TimeoutError:
                pool.shutdown(wait=False, kill_workers=True)
                raise
            return handover.take(found) if isinstance(found, SharedImage) else found


def _given(found: Any) -> Any:
    """What was returned; raises an error that was."""
    if isinstance(found, InputError):
        raise found
    return found


_unable: list[str] = []
"""Why this process cannot start others, once that is known."""


def _note(error: Exception) -> None:
    """From now on images are decoded in this process, because the system does not allow others."""
    if not _unable:
        _unable.append(reason_of(error))
        log.warning("images are decoded in this process, because it cannot start others: %s", _unable[0])


def _signal(error: Exception) -> str:
    """The signal that ended a process, if loky's message ends with it."""
    found = re.search(r"\{(SIG[A-Z]+)", str(error))
    return f" with {found[1]}" if found else ""


LONE = 0
_pools: dict[int, Any] = {}
_copies = Copies()
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
    return _caught(lambda: decode_image(data, name, max_pixels, tiler, facts=facts), name)


def _decode_part(name: str, *given: Any) -> DecodedImage | InputError:
    return _caught(lambda: decode_part(name, *given), name)


def _find(name: str, *given: Any) -> list[str] | InputError | None:
    return _caught(lambda: find(name, *given), name)


def _caught(call: Callable[[], Found], name: str) -> Found | InputError:
    """What a function returns, or its error as a value: pickling a traceback costs time."""
    try:
        return call()
    except InputError as error:
        return error.with_traceback(None)
    except Exception as error:  # no decoder should raise it, and one image must not end a job
        message = f"{type(error).__name__}: {' '.join(str(error).split())}"
        return CorruptImage(f"{name}: the image cannot be decoded ({message}); save it again, or convert it")
