"""Limits of a fetch."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class FetchConfig:
    """Limits of a `Fetcher`. Where no source is given, the number is our own choice.

    Args:
        allow_private: also fetch from private networks, loopback and shared address space (an operator's own network).
            Cloud metadata services, link-local and multicast addresses stay refused: there are no images there.
        max_bytes: maximum size of a body. 32 MiB: a JPEG at the decoder's cap of 89 million pixels has about 20.
        deadline: seconds for the whole fetch: all tries, redirects and the waits between them, but not the time spent
            waiting for a turn at the host. A server that drips bytes ends by it.
        connect_timeout: seconds to resolve a name, to connect, and to shake hands, each.
        read_timeout: seconds without a byte after which a try fails.
        tries: maximum number of requests for one URL when the network or the server fails; 1 never retries.
        backoff: seconds before the second try; doubled for each further one, then drawn between half and all of it
            ("equal jitter", aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter).
        longest_wait: maximum seconds between two tries. If a server asks for more (`Retry-After`), the fetch fails.
        redirects: maximum number of redirects; the Fetch standard allows 20, images need few.
        per_host: maximum number of concurrent requests to one host; browsers make 6.
        interval: minimum seconds between the starts of two requests to one host; 0 for none.
        keep_alive: maximum number of idle connections.
        user_agent: the `User-Agent` header; None for "oneword/VERSION". Include a contact address in large jobs.
    """

    allow_private: bool = False
    max_bytes: int = 32 * 2**20
    deadline: float = 30.0
    connect_timeout: float = 10.0
    read_timeout: float = 10.0
    tries: int = 3
    backoff: float = 0.5
    longest_wait: float = 10.0
    redirects: int = 5
    per_host: int = 4
    interval: float = 0.0
    keep_alive: int = 64
    user_agent: str | None = None

    def __post_init__(self) -> None:
        for name in ("max_bytes", "deadline", "connect_timeout", "read_timeout", "tries", "per_host", "keep_alive"):
            if not (value := getattr(self, name)) > 0:
                raise ValueError(f"{name} is {value!r}: expected more than 0")
        for name in ("backoff", "longest_wait", "redirects", "interval"):
            if not (value := getattr(self, name)) >= 0:
                raise ValueError(f"{name} is {value!r}: expected 0 or more")
        if self.user_agent is not None and not (self.user_agent.isascii() and self.user_agent.isprintable()):
            raise ValueError(f"user_agent is {self.user_agent!r}: expected printable ASCII")
