"""A running `oneword serve` in place of the resident process."""

import logging
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from oneword.query.resident.holding import Timeout, held
from oneword.query.resident.place import UNIX, Place
from oneword.query.resident.stopping import stop

if TYPE_CHECKING:
    from oneword.query.server.config import ServerConfig

log = logging.getLogger(__name__)


@contextmanager
def at_hand(config: "ServerConfig") -> Iterator[list[socket.socket]]:
    """A socket for this user's searches over the same store, beside the service's own; none if they are not for it.

    With keys a service asks who searches, and with a rate how often: a socket without a caller would know neither.
    """
    guarded = config.keys_file is not None or config.rate is not None or config.tls_cert is not None
    place = None
    if UNIX and config.daemon and not guarded:
        place = Place.of(config.db, config.model)
    with ExitStack() as holding:
        sockets = []
        if place is not None:
            try:
                stop(place)
                sockets = [holding.enter_context(held(place, kind="serve", db=config.db, wait=1.0))]
            except (OSError, Timeout) as error:  # another service has it, or the folder is full
                log.info("searches of the command line are answered elsewhere: %s", error)
        yield sockets
