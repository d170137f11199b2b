"""How often each may ask."""

import time
from collections import OrderedDict
from collections.abc import Callable


class Rates:
    """Token buckets, one for each who asks.

    A bucket is kept as one number: when it will be full again, if nothing more is taken. Full buckets are as good as
    none, so forgetting the least recently used of too many mostly forgets nothing.
    """

    def __init__(self, *, most: int = 10_000, clock: Callable[[], float] = time.monotonic) -> None:
        """most: buckets kept. clock: seconds, never backwards."""
        self._most, self._clock = most, clock
        self._full: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full)

    def take(self, who: str, rate: float, *, burst: float | None = None) -> float:
        """0 if one more request is admitted, else the seconds to wait for it; a refused one takes nothing.

        rate: requests a second, above 0. burst: requests that may come at once after a rest; None: twice the rate, and
        at least 1.
        """
        now = self._clock()
        filling = max(burst if burst is not None else 2 * rate, 1.0) / rate  # seconds from empty to full
        full = max(self._full.get(who, now), now) + 1 / rate
        # Rounding must not refuse the last of a burst, for which these two are equal.
        wait = full - now - filling
        if wait > 1e-9:
            self._full.move_to_end(who)  # who is told to wait is not forgotten for asking again
            return wait
        self._full[who] = full
        self._full.move_to_end(who)
        if len(self._full) > self._most:
            self._full.popitem(last=False)
        return 0.0
