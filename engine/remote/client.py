"""HTTP with an embedding server: asks, waits, tries again, and says who is at fault."""

import ssl
import time
from typing import Any

import httpcore
import httpx

from oneword.engine.errors import RemoteUnavailable
from oneword.engine.fetching import retrying
from oneword.engine.remote.config import KEY, RemoteConfig

FAULT_OF_INPUTS = frozenset({400, 413, 422})
"""Statuses that may be the fault of one of a request's inputs: malformed, too large, not to be processed."""

SHOWN = 300
"""A server's message is cut to this number of characters."""


class Rejected(Exception):
    """The server says that something is wrong with the request's inputs. Its words are the message."""


class Absent(RemoteUnavailable):
    """The server has no such path."""


class Stumbled(RemoteUnavailable):
    """The server fails with 500 however often it is asked: over these inputs, or over everything."""


class Client:
    """One server, for any number of threads. Redirects are not followed, so that the key goes nowhere else.

    Args:
        base: the URL that paths are put after.
        config: key, tries and timeouts.
    """

    def __init__(self, base: str, config: RemoteConfig) -> None:
        self.base = base
        self.config = config
        self._http = httpx.Client(
            headers={"Authorization": f"Bearer {config.key}"} if config.key else {},
            timeout=httpx.Timeout(config.timeout, connect=config.connect_timeout, pool=None),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=config.at_once),
            # Reading the trusted certificates takes a while; where there is no TLS, none are trusted.
            verify=httpcore.default_ssl_context()
            if base.startswith("https")
            else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            trust_env=False,  # a proxy or a netrc in the environment is not meant for a model's server
        )

    def get(self, path: str) -> Any:
        """The JSON at a path. Raises `RemoteUnavailable`."""
        try:
            return self._asked("GET", path, None)
        except Rejected as error:
            raise RemoteUnavailable(f"{self.base}{path}: the server answers: {error}") from error

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """The JSON that is the answer to a body.

        Raises:
            Rejected: by its inputs.
            Stumbled: with 500, to the last try.
            RemoteUnavailable: for any other reason.
        """
        return self._asked("POST", path, body)

    def close(self) -> None:
        """Closes all connections."""
        self._http.close()

    def _asked(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        url = self.base + path
        tries = 0
        while True:
            tries += 1
            status, asked = None, None
            try:
                response = self._http.request(method, url, json=body)
            except httpx.HTTPError as error:
                reason = f"cannot be reached ({str(error) or type(error).__name__})"
            except httpx.InvalidURL as error:
                raise RemoteUnavailable(f"{url}: not a URL ({error})") from error
            else:
                status = response.status_code
                if status == 200:
                    return _json(url, response)
                if not retrying.is_passing(status):
                    raise self._refusal(url, response)
                asked = retrying.retry_after(response.headers.get("retry-after"))
                reason = f"answers {status} ({_said(response)})"
            pause = retrying.wait(self.config, tries, asked)
            if pause is None:
                raise (Stumbled if status == 500 else RemoteUnavailable)(
                    f"{url}: {reason}, after {tries} {'try' if tries == 1 else 'tries'}: expected a server with an "
                    "OpenAI-style API; is it up, and is this its address?"
                )
            time.sleep(pause)

    def _refusal(self, url: str, response: httpx.Response) -> Exception:
        status, said = response.status_code, _said(response)
        if status in FAULT_OF_INPUTS:
            return Rejected(f"{status}: {said}")
        if status in (401, 403):
            has = "which it does not accept" if self.config.key else "and there is none"
            return RemoteUnavailable(f"{url}: answers {status} ({said}): it wants a key in {KEY}, {has}")
        kind = Absent if status == 404 else RemoteUnavailable
        return kind(f"{url}: answers {status} ({said}): expected 200; is this the address of its API?")


def _json(url: str, response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError as error:  # undecodable bytes are, too
        raise RemoteUnavailable(f"{url}: answers something that is no JSON: expected an OpenAI-style API") from error


def _said(response: httpx.Response) -> str:
    """The server's own message: OpenAI's {"error": {"message"}}, FastAPI's {"detail"}, or the start of the body."""
    said: Any = response.text
    try:
        document = response.json()
    except ValueError:
        document = None
    if isinstance(document, dict):
        said = document.get("error", document.get("detail", document.get("message", said)))
        if isinstance(said, dict):
            said = said.get("message", said)
    line = " ".join(str(said).split())
    return line if len(line) <= SHOWN else line[: SHOWN - 3] + "..."
