"""An amount of something that tasks share."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, eq=False)
class _Turn:
    amount: int
    granted: asyncio.Future[None]


class Budget:
    """So much of something at once, first come first served: a large wish is not overtaken by small ones for ever.

    Use it from one event loop. Take all that is needed at once: who waits for more while holding some may wait for
    ever.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._used = 0
        self._turns: deque[_Turn] = deque()

    @property
    def used(self) -> int:
        """Taken now; never more than the size."""
        return self._used

    @property
    def waiting(self) -> int:
        """Tasks that wait for their turn."""
        return len(self._turns)

    @asynccontextmanager
    async def taken(self, amount: int) -> AsyncIterator[None]:
        """Have so much, or all there is if that is less, for the length of the block."""
        amount = min(amount, self.size)
        if self._turns or self._used + amount > self.size:
            await self._turn(amount)
        else:
            self._used += amount
        try:
            yield
        finally:
            self._used -= amount
            self._grant()

    async def _turn(self, amount: int) -> None:
        turn = _Turn(amount=amount, granted=asyncio.get_running_loop().create_future())
        self._turns.append(turn)
        try:
            await turn.granted
        except asyncio.CancelledError:
            if not turn.granted.cancelled():  # it was granted in the same moment
                self._used -= amount
            elif turn in self._turns:
                self._turns.remove(turn)
            self._grant()  # the next may be one that fits
            raise

    def _grant(self) -> None:
        while self._turns and self._used + self._turns[0].amount <= self.size:
            turn = self._turns.popleft()
            if not turn.granted.done():
                self._used += turn.amount
                turn.granted.set_result(None)
