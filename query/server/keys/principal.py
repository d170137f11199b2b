"""Who asks, and what they may do."""

from dataclasses import dataclass
from typing import Literal, get_args

Scope = Literal["read", "write", "admin"]

SCOPES: tuple[Scope, ...] = get_args(Scope)
"""Each includes those before it."""


@dataclass(frozen=True, kw_only=True)
class Principal:
    """The holder of a key, or anyone where there are no keys.

    Args:
        id: of the key.
        name: what its maker called it.
        scope: the highest that it has.
        rate: requests a second; None: the server's own limit.
    """

    id: str
    name: str
    scope: Scope
    rate: float | None = None

    def may(self, scope: Scope) -> bool:
        """Whether what needs `scope` is allowed."""
        return SCOPES.index(self.scope) >= SCOPES.index(scope)


ANYONE = Principal(id="anyone", name="anyone", scope="admin")
"""Whoever comes, where there are no keys."""
