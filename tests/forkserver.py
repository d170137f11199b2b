"""Processes of Python that start in a twentieth of the time: forked off one that has imported what Oneword imports.

For tests of what a process does once it runs. What is imported, and how a process starts, is tested with true ones.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).parents[1]

IMPORTED = (
    "lancedb pyarrow.dataset pyarrow.compute faiss PIL.Image rich.console rich.progress typer httpx torch tokenizers "
    "fastapi uvicorn httptools prometheus_client oneword.indexer.cli oneword.indexer.job oneword.indexer.pipeline "
    "oneword.query.cli oneword.query.service oneword.query.server.app oneword.query.server.cli "
    "oneword.storage.ann.build"
).split()

MODELS = "transformers transformers.models.llava_next.modeling_llava_next safetensors.torch peft accelerate".split()
"""For `also`. The hub's library reads the environment when it is imported: not for tests that change it."""

_LOCK = threading.Lock()


class _Forked(subprocess.Popen[str]):
    """A child of the fork server, which also waits for it and sends its status."""

    def __init__(self, arguments: Sequence[str], *, also: Sequence[str], **options: Any) -> None:
        self._also, self._state = tuple(also), b""
        super().__init__(arguments, **options)

    def _execute_child(self, arguments: Any, *more: Any) -> None:
        cwd, env, pipes = more[4], more[5], more[9:15]
        job = {"arguments": arguments, "cwd": str(cwd or Path.cwd()), "env": dict(os.environ if env is None else env)}
        data = json.dumps(job).encode()
        standard = [fd if one == -1 else one for fd, one in enumerate((pipes[0], pipes[3], pipes[5]))]
        self._status, theirs = socket.socketpair()
        with theirs, _LOCK:
            server = _server(self._also)
            server.sendall(len(data).to_bytes(4) + data)
            socket.send_fds(server, [b"!"], [*standard, theirs.fileno()])
        self.pid, self._child_created = int.from_bytes(_received(self._status, 4)), True
        self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]

    def _try_wait(self, flags: int) -> tuple[int, int]:
        """As `os.waitpid`, whose process must be a child of this one."""
        self._status.setblocking(not flags & os.WNOHANG)
        try:
            self._state += _received(self._status, 4 - len(self._state))
        except BlockingIOError:
            return 0, 0
        self._status.close()
        return self.pid, int.from_bytes(self._state)

    def _internal_poll(self, *_: Any, **__: Any) -> int | None:
        if self.returncode is None and (ended := self._try_wait(os.WNOHANG))[0]:
            self._handle_exitstatus(ended[1])  # type: ignore[attr-defined]
        return self.returncode


def start(arguments: Sequence[object], *, also: Sequence[str] = (), **options: Any) -> subprocess.Popen[str]:
    """As `subprocess.Popen([sys.executable, *arguments], text=True)`.

    It is that where forks are not safe, and with another PYTHONPATH, which may change what is imported.

    Args:
        also: modules that are imported besides.
        options: cwd, env, stdin, stdout, stderr.
    """
    line = [str(one) for one in arguments]
    path = (options.get("env") or os.environ).get("PYTHONPATH", str(ROOT))
    if sys.platform == "linux" and path == str(ROOT):
        return _Forked(line, also=also, text=True, **options)
    return subprocess.Popen([sys.executable, *line], text=True, **options)


def run(
    arguments: Sequence[object], *, timeout: float | None = None, check: bool = False, **options: Any
) -> subprocess.CompletedProcess[str]:
    """As `subprocess.run`, with what it writes, unless that goes elsewhere."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    with start(arguments, **options) as process:
        try:
            done = subprocess.CompletedProcess(process.args, process.returncode, *process.communicate(timeout=timeout))
        except BaseException:
            process.kill()
            raise
        done.returncode = process.wait()
    if check:
        assert done.returncode == 0, done.stderr
    return done


@cache
def _server(also: tuple[str, ...]) -> socket.socket:
    """A connection to this process's server, which is started first and ends with it."""
    ours, theirs = socket.socketpair()
    code = f"from tests.forkserver import serve; serve({theirs.fileno()}, {also!r})"
    with theirs:
        server = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
        )

    def end() -> None:
        ours.close()
        server.wait()

    atexit.register(end)
    return ours


def serve(number: int, also: Sequence[str]) -> None:
    """Forks a process for each request that comes by the socket of this number, until it is closed.

    A request is a JSON document after its length in 4 bytes, and 4 descriptors: standard input, output and error, and
    a socket on which the process's id is sent, and its status when it has ended.
    """
    from oneword.storage.database import NAMESPACES
    from oneword.storage.postponed import postpone

    postpone(NAMESPACES)
    for module in (*IMPORTED, *also):
        importlib.import_module(module)
    with socket.socket(fileno=number) as requests, selectors.DefaultSelector() as events:
        ended, wake = socket.socketpair()
        ended.setblocking(False)
        wake.setblocking(False)
        signal.set_wakeup_fd(wake.fileno())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        events.register(requests, selectors.EVENT_READ)
        events.register(ended, selectors.EVENT_READ)
        running: dict[int, socket.socket] = {}
        gc.collect()
        gc.freeze()  # what is imported is never collected, in none of the processes
        while True:
            ready = [key.fileobj for key, _ in events.select()]
            if ended in ready:
                ended.recv(4096)
                _reap(running)
            if requests not in ready:
                continue
            if not (head := requests.recv(4)):
                os._exit(0)
            job = json.loads(_received(requests, int.from_bytes(head)))
            _, descriptors, _, _ = socket.recv_fds(requests, 1, 4)
            status = socket.socket(fileno=descriptors.pop())
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # LanceDB warns of forks of a process that uses it; this one does not
                pid = os.fork()
            if not pid:
                for one in (ended, wake, status, *running.values()):
                    one.close()
                signal.set_wakeup_fd(-1)
                break
            status.sendall(pid.to_bytes(4))
            running[pid] = status
            for one in descriptors:
                os.close(one)
    _become(job, descriptors)


def _reap(running: dict[int, socket.socket]) -> None:
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        with running.pop(pid) as connection, suppress(OSError):  # nobody waits for it
            connection.sendall(status.to_bytes(4))


def _become(job: dict[str, Any], descriptors: Sequence[int]) -> NoReturn:
    """Goes on as `python` with these arguments, this environment and these standard streams."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
    for descriptor in descriptors:
        if descriptor > 2:
            os.close(descriptor)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(job["env"])
    os.chdir(job["cwd"])
    kind, what, *rest = job["arguments"]
    sys.argv = [kind, *rest]
    if kind == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    elif kind == "-c":
        main = sys.modules["__main__"]
        exec(compile(what, "<string>", "exec"), main.__dict__)
    else:
        sys.argv, sys.path[0] = job["arguments"], str(Path(kind).parent)
        runpy.run_path(kind, run_name="__main__")
    sys.exit()


def _received(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        got = connection.recv(count - len(data))
        assert got, "the fork server has ended"
        data += got
    return data
