"""The requests of a call, its retries, and the meaning of responses; `client` sends them."""

import json
from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

import httpx

from oneword.engine.fetching import retrying
from oneword.query.client.calls import Call, Plan
from oneword.query.client.errors import BadAnswer, ClientError, ServerUnreachable
from oneword.query.client.problems import failure, unreadable
from oneword.query.errors import BadQuery

T = TypeVar("T")

Step = httpx.Request | float
"""A request to send, or seconds to wait."""

Outcome = httpx.Response | httpx.HTTPError | httpx.InvalidURL | None
"""What came of a step. (httpx reads a redirect's URL even where it is not to follow it.)"""

Conversation = Generator[Step, Outcome, T]
"""Steps to take, each answered with its outcome; it returns what the call is for."""

CONNECT_SECONDS = 10.0
MOST_REDIRECTS = 5

# Nothing of the request can have been sent.
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
# It may have been sent, and even been done.
_LOST = (httpx.NetworkError, httpx.RemoteProtocolError)


@dataclass(frozen=True, kw_only=True)
class Retries:
    """How often and how long to retry; our own choice. See `oneword.engine.fetching.retrying`.

    Args:
        tries: most requests for one call.
        backoff: seconds before the second try; doubled for each further one, then drawn between half and all of it.
        longest_wait: most seconds between two tries; a server that asks for more is given up.
    """

    tries: int
    backoff: float = 0.25
    longest_wait: float = 30.0


class Server:
    """A server's address, the key for it, and how often requests are retried.

    Args:
        url: `http://HOST:PORT` or `https://HOST`, with a path if the service is below one.
        key: sent as `Authorization: Bearer KEY`, to this server alone.
        retries: tries after the first one.

    Raises:
        ClientError: the URL or the key cannot be one.
    """

    def __init__(self, url: str, key: str | None, *, retries: int) -> None:
        self.url = _checked(url)
        self._key = key
        self._retries = Retries(tries=retries + 1)
        if retries < 0:
            raise ClientError(f"retries {retries}: expected 0 or more")
        if key is not None and not (key.isascii() and key.isprintable() and key.strip() == key and key):
            raise ClientError("the key is blank or has characters that no key has: expected the server's API key")

    @property
    def is_loopback(self) -> bool:
        """Whether it is on this machine, where no proxy leads."""
        return self.url.host in ("localhost", "::1") or self.url.host.startswith("127.")

    def ask(self, call: Call[T] | Plan[T]) -> Conversation[T]:
        """The conversation that a call or a plan is. 429 and 503 are tried again, and so is what was never sent;
        what was sent and may have been done only if it changes nothing.

        Raises:
            ClientError: it is as `oneword.query.client.errors` says.
        """
        plan, value = call.plan() if isinstance(call, Call) else call, None
        while True:
            try:
                call = plan.send(value)
            except StopIteration as end:
                result: T = end.value
                return result
            value = yield from self._ask(call)

    def _ask(self, call: Call[T]) -> Conversation[T]:
        request, tries, hops = self._request(call), 0, 0
        while True:
            tries += 1
            outcome = yield request
            if isinstance(outcome, httpx.Response):
                if outcome.is_success:
                    return _read(call, outcome)
                if call.redirected and outcome.has_redirect_location and hops < MOST_REDIRECTS:
                    request, tries, hops = self._next(request, outcome), 0, hops + 1
                    continue
                error, again = failure(outcome), outcome.status_code in (429, 503)
                if again and call.busy is not None:
                    return call.busy
            else:
                error = _unreachable(request, outcome, tries)
                again = isinstance(outcome, _UNSENT) or (isinstance(outcome, _LOST) and not call.writes)
            pause = retrying.wait(self._retries, tries, error.retry_after) if again else None
            if pause is None:
                raise error
            yield pause

    def _request(self, call: Call[T]) -> httpx.Request:
        headers, content = {"User-Agent": "oneword-client", "Accept": "*/*"}, None
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key}"
        if call.json is not None:
            headers["Content-Type"] = "application/json"
            try:
                content = json.dumps(call.json, allow_nan=False, separators=(",", ":")).encode()
            except (TypeError, ValueError, RecursionError) as error:
                raise BadQuery(f"{call.path}: the request is not JSON ({error}): expected text and numbers") from error
        url = self.url.copy_with(raw_path=self.url.raw_path.rstrip(b"/") + call.path.encode())
        return httpx.Request(call.method, url.copy_merge_params(dict(call.params)), headers=headers, content=content)

    def _next(self, request: httpx.Request, response: httpx.Response) -> httpx.Request:
        """The request for what a redirect leads to; with the key only if it stays with this server."""
        try:
            url = request.url.join(response.headers["location"])
        except httpx.InvalidURL as error:
            raise unreadable(response, error) from error
        if url.scheme not in ("http", "https") or not url.host:
            raise BadAnswer(f"{request.url}: redirects to {str(url)!r}: expected an http or https URL", status=302)
        headers = {name: request.headers[name] for name in ("User-Agent", "Accept")}
        if self._key is not None and _origin(url) == _origin(self.url):
            headers["Authorization"] = f"Bearer {self._key}"
        return httpx.Request("GET", url, headers=headers)


def _read(call: Call[T], response: httpx.Response) -> T:
    try:
        return call.read(response)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise unreadable(response, error) from error


def _unreachable(request: httpx.Request, error: Exception | None, tries: int) -> ClientError:
    where = f"{request.url.scheme}://{request.url.netloc.decode()}"
    after = f", after {tries} tries" if tries > 1 else ""
    if isinstance(error, httpx.InvalidURL):
        return BadAnswer(f"{where}: redirects to what is not a URL ({error})")
    if isinstance(error, _UNSENT):
        reason = str(error) or type(error).__name__
        remedy = "Is the server up (`oneword serve`), and is this its address?"
        return ServerUnreachable(f"{where}: cannot be reached ({reason}){after}", remedy=remedy)
    if isinstance(error, httpx.TimeoutException):
        remedy = "Ask for less at once, or give the client a longer timeout."
        return ServerUnreachable(f"{where}: does not answer in time ({type(error).__name__})", remedy=remedy)
    reason = str(error) or type(error).__name__
    remedy = "What was asked may have been done: look before asking again."
    return ServerUnreachable(f"{where}: the connection was lost ({reason}){after}", remedy=remedy)


def _origin(url: httpx.URL) -> tuple[str, str, int]:
    return url.scheme, url.host, url.port or {"http": 80, "https": 443}.get(url.scheme, 0)


def _checked(written: str) -> httpx.URL:
    remedy = "Give it as http://HOST:PORT or https://HOST; the key goes elsewhere."
    try:
        url = httpx.URL(written)
    except (httpx.InvalidURL, TypeError) as error:
        raise ClientError(f"the server's URL is none ({error})", remedy=remedy) from error
    if url.userinfo:
        raise ClientError("the server's URL has a user or a password in it, which end up in logs", remedy=remedy)
    if url.scheme not in ("http", "https") or not url.host or url.query or url.fragment:
        raise ClientError(
            f"the server's URL {written!r}: expected http or https and a host, nothing else", remedy=remedy
        )
    return url
