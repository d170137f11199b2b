"""Commands in a terminal of their own."""

import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping
from fcntl import ioctl


def in_terminal(*arguments: str, environment: Mapping[str, str] | None = None, lines: int = 50) -> str:
    """Runs `oneword` in a terminal of 400 columns that answers no question; returns what it shows."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, 400, 0, 0))
    settings = {"TERM": "xterm-256color", "ONEWORD_DAEMON": "0", **(environment or {})}
    inherited = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-m", "oneword", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=inherited | settings,
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            some = os.read(ours, 65536)
        except OSError:  # the other side is closed
            break
        if not some:
            break
        shown += some
    os.close(ours)
    assert process.wait(60) == 0, shown
    return shown.decode(errors="replace")
