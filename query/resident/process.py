"""The resident process itself: `python -m oneword.query.resident.process` with its place, store and model as JSON."""

import json
import sys
from pathlib import Path

from oneword.engine.config import EngineConfig
from oneword.query.resident.ending import Ending
from oneword.query.resident.holding import Timeout, held
from oneword.query.resident.place import Place

WAIT = 1.0
"""Seconds for whoever looks whether the place is taken."""


def main(said: str) -> None:
    """Serves one store to the commands of one user, until `Ending` has a reason."""
    given = json.loads(said)
    place = Place(folder=Path(given["folder"]), name=given["name"], unix=given["unix"])
    try:
        with held(place, kind="resident", db=given["db"], wait=WAIT) as listening:
            from oneword.query.server.app import run
            from oneword.query.server.config import LogFormat, ServerConfig

            config = ServerConfig(
                db=given["db"],
                model=EngineConfig(**given["model"]),
                keys_file=None if place.unix else place.keys,
                any_format=True,  # a command reads what it is given
                fetch=False,
                warm=(given["collection"],),
                decoders=1,
                drain=0.0,
                deadline=60.0,
                log_format=LogFormat.TEXT,
            )
            run(config, lambda: [listening], ending=Ending(place))
    except Timeout:  # two were started at once, or a service serves this store
        return


if __name__ == "__main__":
    main(sys.argv[1])
