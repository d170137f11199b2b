"""The resident process itself: `python -m oneword.query.resident.process` with its address, store and model as JSON."""

import json
import sys
from pathlib import Path

from oneword.engine.config import EngineConfig
from oneword.query.resident.address import Address
from oneword.query.resident.lifetime import Lifetime
from oneword.query.resident.listener import Timeout, listener

WAIT = 1.0
"""Seconds for whoever looks whether the address is taken."""


def main(settings: str) -> None:
    """Serves one store to the commands of one user, until `Lifetime` has a reason."""
    given = json.loads(settings)
    address = Address(folder=Path(given["folder"]), name=given["name"], unix=given["unix"])
    try:
        with listener(address, kind="resident", db=given["db"], wait=WAIT) as listening:
            from oneword.query.server.app import end_process, run
            from oneword.query.server.config import LogFormat, ServerConfig

            config = ServerConfig(
                db=given["db"],
                model=EngineConfig(**given["model"]),
                keys_file=None if address.unix else address.keys,
                any_format=True,  # a command reads what it is given
                any_reranker=True,
                fetch=False,
                warm=(given["collection"],),
                decoders=1,
                drain=0.0,
                deadline=60.0,
                log_format=LogFormat.TEXT,
            )
            run(config, lambda: [listening], ending=Lifetime(address).reason)
        end_process()
    except Timeout:  # two were started at once, or a service serves this store
        return


if __name__ == "__main__":
    main(sys.argv[1])
