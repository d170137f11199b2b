"""What routes ask of whoever calls them."""

from typing import Any

from fastapi import Depends, Request

from oneword.query.server.keys.principal import Principal, Scope
from oneword.query.server.problem import Problem


def needs(scope: Scope) -> Any:
    """A dependency of routes: the caller as a Principal that has this scope.

    >>> @app.delete("/v1/collections/{name}", dependencies=[needs("admin")])
    >>> async def drop(name: str, caller: Annotated[Principal, needs("admin")]) -> None: ...

    The dependency raises Problem: 403 `scope_missing`; 401 `key_missing` on a path that the guard takes for public.
    """

    async def caller(request: Request) -> Principal:  # async: others are run in a thread
        principal: Principal | None = request.scope.get("state", {}).get("principal")
        if principal is None:
            raise Problem(401, "key_missing", "this needs an API key", headers={"WWW-Authenticate": "Bearer"})
        if not principal.may(scope):
            raise Problem(
                403,
                "scope_missing",
                f"this needs the scope {scope!r}; the key {principal.id!r} has {principal.scope!r}",
                remedy=f"Use a key that may {scope}.",
            )
        return principal

    return Depends(caller)
