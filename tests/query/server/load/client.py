"""What every kind of client does: asks, counts, times, and tells what must not be."""

import asyncio
import random
import time
from typing import Any

from connection import Answer, Connection, Dropped, Refused, Reset
from tally import Tally

COLLECTION = "/v1/collections/default"

TOLD_TO_WAIT = {429: None, 503: {"collection_busy", "overloaded", "busy"}}
"""Statuses that are not a failure, with the codes that they may have (None: any); they must say Retry-After."""

PAUSE = 0.1  # seconds that a client waits then: less than it is told, or there would be no load


class Gone(Exception):
    """The service takes no more connections: the client has nothing left to do."""


class Client:
    """A closed loop: asks again as soon as it was answered. `turn` is what it does, once.

    A turn ends early (`Waited`) where a request was told to wait, and (`Lost`) where it got no answer.
    """

    def __init__(self, number: int, url: str, tally: Tally, size: int, prefix: str) -> None:
        """size: items of the base. prefix: of the ids that this generator writes."""
        self.number, self.tally, self.size, self.prefix = number, tally, size, prefix
        self.draw = random.Random(f"{prefix}/{number}")
        self._connection = Connection(url)

    async def turn(self) -> None:
        """Some requests, and a look at what they were told."""
        raise NotImplementedError

    async def run(self, stop: asyncio.Event, requests: int | None) -> None:
        """Turns until `stop` is set, the service is gone, or all clients together have asked so often."""
        try:
            while not stop.is_set() and (requests is None or self.tally.requests < requests):
                try:
                    await self.turn()
                except Waited:
                    await asyncio.sleep(PAUSE)
                except Lost:
                    pass
        except Gone:
            pass
        except Exception as error:
            self.tally.fault("answer not understood", repr(error))
            raise
        finally:
            self._connection.close()

    async def ask(
        self,
        kind: str,
        path: str,
        document: Any = None,
        *,
        method: str = "POST",
        expect: int = 200,
        newest: bool = True,
    ) -> Any:
        """The answer's JSON (None where it has no body).

        newest: its version must not be older than what was acknowledged when it was asked.

        Raises:
            Waited, Lost, Gone.
        """
        floor, tally = self.tally.version, self.tally
        tally.requests += 1
        began = time.perf_counter()
        try:
            answer = await self._connection.ask(method, COLLECTION + path, document)
        except Refused:
            tally.lost("refused")
            raise Gone from None
        except Reset:
            tally.lost("reset on a new connection")
            raise Lost from None
        except Dropped as error:
            tally.lost("dropped")
            tally.fault("dropped without an answer", str(error))
            raise Lost from None
        tally.took[kind].append(time.perf_counter() - began)
        tally.statuses[str(answer.status)] += 1
        tally.answered[self.number] += 1
        if answer.status != expect:
            self._told_to_wait(kind, document, answer)
        told = answer.json if answer.body else None
        if newest and told is not None and "version" in told and told["version"] < floor:
            tally.fault("older than what was acknowledged", f"{kind}: version {told['version']}, after {floor}")
        return told

    def expect(self, true: bool, kind: str, detail: Any) -> None:
        """Counts a fault where it is not."""
        if not true:
            self.tally.fault(kind, str(detail))

    def _told_to_wait(self, kind: str, document: Any, answer: Answer) -> None:
        code = answer.json.get("code", "?") if answer.body.startswith(b"{") else "?"
        self.tally.codes[code] += 1
        codes = TOLD_TO_WAIT.get(answer.status, set())
        if codes is not None and code not in codes:
            self.tally.fault(f"failed with {answer.status} {code}", f"{kind} {document}: {answer.body!r}")
            if answer.status == 504:  # the only one that leaves open whether a write was done
                raise Lost
        elif not answer.headers.get("retry-after", "").isdigit():
            self.tally.fault("no Retry-After", f"{kind}: {answer.status} {code}")
        raise Waited


class Waited(Exception):
    """It was told to wait, or refused: it is known not to have been done."""


class Lost(Exception):
    """It got no answer: a write may have been done or not."""
