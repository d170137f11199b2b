"""Errors that Ray has wrapped on workers."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from oneword.errors import Error
from oneword.indexer.errors import WorkersFailed


def _own(error: BaseException | None) -> Error | None:
    """The error of this package that Ray has wrapped, if it is one."""
    met: set[int] = set()
    while error is not None and id(error) not in met:
        met.add(id(error))
        cause = getattr(error, "cause", None)
        for one in (cause, error):  # Ray's wrapper is of the error's class, too
            if isinstance(one, Error):
                return one
        error = cause if isinstance(cause, BaseException) else error.__cause__
    return None


def is_lost(ray: Any, error: BaseException) -> bool:
    """Whether something was lost (a process, a node, an object), so that a retry may help."""
    lost = ray.exceptions
    return _own(error) is None and isinstance(error, lost.RayError) and not isinstance(error, lost.RayTaskError)


def failed(error: BaseException) -> Exception:
    """What to raise: the error of this package that it wraps, or `WorkersFailed` with its last line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return _own(error) or WorkersFailed(
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
