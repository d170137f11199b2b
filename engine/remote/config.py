"""How a remote model is asked."""

import os
from dataclasses import dataclass, field

KEY = "ONEWORD_REMOTE_KEY"
"""The environment variable with the server's API key. Never in a URL: those are stored with collections."""


MODELS = "ONEWORD_REMOTE_MODELS"
"""The environment variable with the addresses, separated by commas, of servers that collections may name as theirs."""


@dataclass(frozen=True, kw_only=True)
class RemoteConfig:
    """Limits of a `RemoteEncoder`.

    Args:
        key: sent as `Authorization: Bearer KEY`; None sends nothing.
        trusted: addresses that are contacted, and given the key, also where a collection's data names them.
        batch_size: most inputs in one request.
        batch_pixels: most pixels in one request of several images; 8 million are at most 32 MiB of PNG in base64.
        at_once: most requests in flight. A server that batches by itself, as vLLM does, wants some.
        tries: most requests for one batch when the network or the server fails.
        backoff: seconds before the second try; doubled for each further one, then drawn between half and all of it.
        longest_wait: most seconds between two tries; a server that asks for more is given up.
        connect_timeout: seconds to connect.
        timeout: seconds without a single byte of the answer: a busy server queues, and a cold one compiles.
    """

    key: str | None = field(default=None, repr=False)
    trusted: tuple[str, ...] = ()
    batch_size: int = 32
    batch_pixels: int = 8_000_000
    at_once: int = 4
    tries: int = 5
    backoff: float = 0.5
    longest_wait: float = 30.0
    connect_timeout: float = 10.0
    timeout: float = 300.0

    def __post_init__(self) -> None:
        for name in ("batch_size", "batch_pixels", "at_once", "tries", "connect_timeout", "timeout"):
            if not (value := getattr(self, name)) > 0:
                raise ValueError(f"{name} is {value!r}: expected more than 0")
        if self.key is not None and not (self.key.isascii() and self.key.isprintable() and self.key.strip()):
            raise ValueError(f"the key in {KEY} is blank or not printable ASCII: expected the server's API key")

    @classmethod
    def of_environment(cls, batch_size: int | None = None) -> "RemoteConfig":
        """The defaults, with the key that the environment has."""
        default = cls(key=os.environ.get(KEY) or None)
        trusted = tuple(one.strip() for one in os.environ.get(MODELS, "").split(",") if one.strip())
        return cls(key=default.key, trusted=trusted, batch_size=batch_size or default.batch_size)

    def trusts(self, url: str) -> bool:
        """Whether a model's URL is one of the trusted addresses, or below one."""
        address = url.partition("#")[0].rstrip("/") + "/"
        return any(address.startswith(one.partition("#")[0].rstrip("/") + "/") for one in self.trusted)
