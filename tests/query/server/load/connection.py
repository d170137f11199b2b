"""One kept-alive HTTP/1.1 connection, which tells how a request without an answer ended."""

import asyncio
import json
import urllib.parse
from dataclasses import dataclass
from typing import Any


class Refused(Exception):
    """Nobody listens."""


class Reset(Exception):
    """The connection ended before the answer began; it was new: no request on it had been answered."""


class Dropped(Exception):
    """The connection ended in an answer, or after others had been answered on it, without saying so beforehand."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a request was told."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


class Connection:
    """Asks one request after the other; makes a new connection when the last one was closed with an answer."""

    def __init__(self, url: str) -> None:
        parsed = urllib.parse.urlsplit(url)
        self._host, self._port = parsed.hostname or "", parsed.port or 80
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, method: str, path: str, document: Any = None) -> Answer:
        """The answer.

        Raises:
            Refused, Reset, Dropped: there is none.
        """
        new = self._writer is None
        if new:
            try:
                self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
            except ConnectionResetError as error:
                raise Reset("while connecting") from error
            except OSError as error:
                raise Refused(str(error)) from error
        assert self._reader is not None
        assert self._writer is not None
        body = b"" if document is None else json.dumps(document).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: application/json\r\n"
        began = b""
        try:
            self._writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            began = await self._reader.readexactly(1)
            lines = (began + await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)}
            told = await self._reader.readexactly(int(headers.get("content-length", "0")))
        except (OSError, asyncio.IncompleteReadError) as error:
            self.close()
            raise (Reset if new and not began else Dropped)(f"{method} {path}: {error!r}") from error
        if headers.get("connection", "").lower() == "close":
            self.close()
        return Answer(status=int(lines[0].split(" ")[1]), headers=headers, body=told)

    def close(self) -> None:
        """Ends it; the next request makes another."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None
