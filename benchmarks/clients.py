"""Closed-loop HTTP clients that cost little themselves: each asks again as soon as it was answered."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass
class Load:
    """What some clients met."""

    seconds: float = 0.0
    took: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Requests answered with 200, a second."""
        return self.statuses.get(200, 0) / self.seconds

    def percentile(self, share: float) -> float:
        """Milliseconds."""
        return float(1000 * np.percentile(self.took, share))

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "per_second": round(self.rate, 1),
            "p50_ms": round(self.percentile(50), 3),
            "p99_ms": round(self.percentile(99), 3),
            "statuses": self.statuses,
        }


class Connection:
    """One kept-alive connection; HTTP/1.1 with Content-Length, which is all that is needed here."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def post(self, path: str, document: Any) -> tuple[int, bytes]:
        """Status and body."""
        if self._reader is None or self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        body = json.dumps(document).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: application/json\r\n"
        self._writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = int(answer.split("content-length:")[1].split("\r\n")[0])
        told = await self._reader.readexactly(length)
        if "connection: close" in answer:
            self.close()
        return int(answer.split(" ", 2)[1]), told

    def close(self) -> None:
        """Ends it; the next request makes another."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


def closed_loop(host: str, port: int, path: str, clients: int, seconds: float, asking: Callable[[], Any]) -> Load:
    """Lets so many clients ask for so long. asking: makes a request's document."""

    async def run() -> Load:
        load = Load()
        end = time.perf_counter() + seconds

        async def client() -> None:
            connection = Connection(host, port)
            while (began := time.perf_counter()) < end:
                status, _ = await connection.post(path, asking())
                load.took.append(time.perf_counter() - began)
                load.statuses[status] = load.statuses.get(status, 0) + 1
            connection.close()

        began = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(clients)))
        load.seconds = time.perf_counter() - began
        return load

    return asyncio.run(run())
