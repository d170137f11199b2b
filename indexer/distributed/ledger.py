"""Which shares are on their way, so that none is lost and none counts twice."""

import threading
from dataclasses import dataclass
from typing import Any

from oneword.indexer.distributed.rows import Places


@dataclass(kw_only=True)
class _Sent:
    block: Any
    left: set[int]
    place: int


class Ledger:
    """Shares from when they are sent until all of their inputs are accounted for. Safe from several threads."""

    def __init__(self, most: int) -> None:
        """most: shares that may be on their way at once; the sender waits."""
        self._sent: dict[int, _Sent] = {}
        self._room = threading.Condition()
        self._most = most

    def __len__(self) -> int:
        return len(self._sent)

    def wait_for_room(self, timeout: float) -> bool:
        """Whether one more may be sent."""
        with self._room:
            return self._room.wait_for(lambda: len(self._sent) < self._most, timeout)

    def send(self, share: int, block: Any, inputs: int, place: int) -> None:
        """block: a reference; inputs: how many; place: in the feed."""
        with self._room:
            self._sent[share] = _Sent(block=block, left=set(range(inputs)), place=place)

    def moved(self, share: int, place: int) -> None:
        """It has another place in another feed."""
        self._sent[share].place = place

    def account(self, about: tuple[Places, ...]) -> list[int] | None:
        """Inputs that came back; the places in the feed of shares that are done by that. None, and nothing is
        accounted for, if some of them were not on their way."""
        done: list[int] = []
        with self._room:
            for one in about:
                sent = self._sent.get(one.share)
                if sent is None or not sent.left.issuperset(one.places):
                    return None
            for one in about:
                sent = self._sent[one.share]
                sent.left.difference_update(one.places)
                if not sent.left:
                    done.append(sent.place)
                    del self._sent[one.share]
            self._room.notify_all()
        return done

    def left(self) -> dict[int, tuple[Any, set[int]]]:
        """Of each share on its way the block, and the inputs that have not come back."""
        with self._room:
            return {share: (sent.block, set(sent.left)) for share, sent in self._sent.items()}
