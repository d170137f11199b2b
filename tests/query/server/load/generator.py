"""Load on a service from a process of its own.

    python generator.py SPEC        SPEC is JSON, see `Spec`; ends when told by a line on stdin, too

The last line is one JSON object, see `Tally.as_dict`.
"""

import asyncio
import json
import sys
from dataclasses import dataclass

from client import Client
from readers import Checker, Pager, Reader, Scroller
from tally import Tally
from writers import Writer

KINDS = {"reader": Reader, "pager": Pager, "scroller": Scroller, "checker": Checker, "writer": Writer}


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What to do.

    Args:
        urls: of the replicas; a client keeps to one of them, in turn.
        clients: how many of each kind.
        size: items of the base.
        prefix: of what is written: ids of two runs must not be the same.
        seconds, requests: when to end; None: not by itself.
    """

    urls: list[str]
    clients: dict[str, int]
    size: int
    prefix: str
    seconds: float | None = None
    requests: int | None = None


async def run(spec: Spec) -> Tally:
    """All clients at once."""
    tally, stop = Tally(), asyncio.Event()
    kinds = [kind for kind, count in spec.clients.items() for _ in range(count)]
    clients: list[Client] = [
        KINDS[kind](number, spec.urls[number % len(spec.urls)], tally, spec.size, spec.prefix)
        for number, kind in enumerate(kinds)
    ]
    loop = asyncio.get_running_loop()
    if spec.seconds is not None:
        loop.call_later(spec.seconds, stop.set)
    loop.add_reader(sys.stdin, lambda: (sys.stdin.readline(), loop.remove_reader(sys.stdin), stop.set()))
    outcomes = await asyncio.gather(*(one.run(stop, spec.requests) for one in clients), return_exceptions=True)
    loop.remove_reader(sys.stdin)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            print(repr(outcome), file=sys.stderr)
    return tally


def main() -> None:
    """As the module says."""
    print(json.dumps(asyncio.run(run(Spec(**json.loads(sys.argv[1])))).as_dict()))


if __name__ == "__main__":
    main()
