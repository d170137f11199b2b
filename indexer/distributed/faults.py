"""Errors that Ray has wrapped on workers."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from oneword.engine.errors import EngineError
from oneword.indexer.errors import IndexerError, WorkersFailed
from oneword.storage import StorageError


def _own(error: BaseException | None) -> Exception | None:
    """The error of this package that Ray has wrapped, if it is one."""
    met: set[int] = set()
    while error is not None and id(error) not in met:
        met.add(id(error))
        cause = getattr(error, "cause", None)
        if isinstance(cause, EngineError | IndexerError | StorageError):
            return cause
        if type(error).__module__.startswith(
            ("oneword.engine.", "oneword.indexer.", "oneword.storage.")
        ) and isinstance(error, Exception):
            return error
        error = cause if isinstance(cause, BaseException) else error.__cause__
    return None


def is_lost(ray: Any, error: BaseException) -> bool:
    """Whether something was lost (a process, a node, an object), so that a retry may help."""
    lost = ray.exceptions
    return _own(error) is None and isinstance(error, lost.RayError) and not isinstance(error, lost.RayTaskError)


def failed(error: BaseException) -> Exception:
    """What to raise."""
    known = _own(error)
    if known is not None:
        return known
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return WorkersFailed(
        f"a worker failed: {lines[-1]}; what was done is committed, and the same command goes on from there "
        "(the workers' logs: `ray logs`, or /tmp/ray/session_latest/logs on their node)"
    )


@contextmanager
def own_errors(ray: Any) -> Iterator[None]:
    """Raises what was raised on the worker, instead of what Ray makes of it."""
    try:
        yield
    except ray.exceptions.RayError as error:
        raise failed(error) from None
