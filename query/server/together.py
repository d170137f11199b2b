"""Work that several tasks do for one request."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

Done = TypeVar("Done")


async def together(works: Iterable[Coroutine[Any, Any, Done]]) -> list[Done]:
    """Results, in order. When one fails the others are cancelled, so that none outlives its request.

    Raises:
        Exception: as the first to fail.
    """
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in works]
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from failed.exceptions[0].__cause__
    return [task.result() for task in tasks]
