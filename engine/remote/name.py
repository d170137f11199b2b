"""A remote model's name: URL[#MODEL[@REVISION]]."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from oneword.engine.errors import ModelNotFound
from oneword.engine.remote.config import KEY

SCHEMES = ("http://", "https://")


@dataclass(frozen=True, kw_only=True)
class RemoteName:
    """Where a model is and what it is called there.

    Args:
        base: the URL that `/models` and `/embeddings` are put after, without a slash at its end.
        model: the id that the server knows it by; None for the only one.
        revision: of its weights, as the user says.
    """

    base: str
    model: str | None = None
    revision: str | None = None

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        return self.base + (f"#{self.model or ''}{revision}" if self.model or revision else "")


def is_remote(name: str) -> bool:
    """Whether a model's name is a URL."""
    return name.lower().startswith(SCHEMES)


def read(name: str) -> RemoteName:
    """Reads a remote model's name. Without a path the URL's is `/v1`.

    Raises:
        ModelNotFound: not such a name; the message does not repeat what may be a password.
    """
    expected = "expected http(s)://HOST[:PORT]/v1[#MODEL[@REVISION]]"
    if not name.isprintable() or " " in name or "\\" in name:
        raise ModelNotFound(f"the model's URL holds a space, a backslash or a control character: {expected}")
    try:
        parts = urlsplit(name)
        port = parts.port
    except ValueError as error:
        raise ModelNotFound(f"the model's URL has a malformed host or port: {expected}") from error
    if "@" in parts.netloc or parts.query:
        raise ModelNotFound(
            f"the model's URL carries credentials or a query, and it is stored with collections: {expected}, "
            f"and the server's key in the environment as {KEY}"
        )
    if not parts.hostname:
        raise ModelNotFound(f"model {name!r} names no host: {expected}")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    path = parts.path.rstrip("/") or "/v1"
    model, _, revision = parts.fragment.partition("@")
    base = f"{parts.scheme}://{host}{'' if port is None else f':{port}'}{path}"
    return RemoteName(base=base, model=model or None, revision=revision or None)
