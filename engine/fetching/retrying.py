"""When a failed request is retried."""

import random
import time
from email.utils import parsedate_to_datetime
from typing import Protocol


class RetryLimits(Protocol):
    """How often and how long to retry; see `FetchConfig`."""

    @property
    def tries(self) -> int:
        """Maximum number of requests."""
        ...

    @property
    def backoff(self) -> float:
        """Seconds before the second try."""
        ...

    @property
    def longest_wait(self) -> float:
        """Maximum seconds between two tries."""
        ...


def is_passing(status: int) -> bool:
    """Whether the same request may succeed later: 429 and 5xx (RFC 6585, RFC 9110)."""
    return status == 429 or 500 <= status <= 599


def wait(config: RetryLimits, tries: int, requested: float | None) -> float | None:
    """Returns the seconds until the next try; None if there should be none.

    Args:
        tries: requests made so far.
        requested: seconds that the server asked to wait, if it did.
    """
    if tries >= config.tries or (requested is not None and requested > config.longest_wait):
        return None
    most = min(config.longest_wait, config.backoff * 2.0 ** (tries - 1))
    return max(requested or 0.0, most * random.uniform(0.5, 1.0))


def retry_after(value: str | None) -> float | None:
    """Returns the seconds of a `Retry-After` header: a number or a date (RFC 9110, section 10.2.3); None if neither."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
