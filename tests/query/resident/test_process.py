"""The life of a resident process: how it starts, what it survives, and why it ends."""

import json
import os
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from oneword.engine.config import EngineConfig
from oneword.query.query import Query
from oneword.query.resident import address as addresses
from oneword.query.resident import client, control, lifetime
from oneword.query.resident.address import Address
from oneword.query.resident.client import ask
from oneword.query.resident.control import residents
from oneword.query.resident.lifetime import Lifetime, memory_is_short
from oneword.query.resident.listener import listener
from tests.query.conftest import Start
from tests.query.resident.conftest import Done, answered, until

CAT = Query.of("a cat")


def test_killed_and_begun_anew(warm: Address, oneword: Callable[..., Done]) -> None:
    os.kill(warm.info["process"]["pid"], signal.SIGKILL)
    control._started.pop().wait(60)
    assert warm.socket.exists()  # stale
    assert not list(residents())
    before = oneword("search", "a cat", "--no-daemon")
    assert oneword("search", "a cat") == before
    until(lambda: ask(warm, CAT, "default"))
    assert [one.name for one in residents()] == [warm.name]


def test_of_two_started_at_once_one_stays(address: Address) -> None:
    for _ in range(2):
        control.start(address, ".oneword", EngineConfig(), "default")
    until(lambda: ask(address, CAT, "default"))
    until(lambda: any(one.poll() is not None for one in control._started))
    assert sorted(str(one.poll()) for one in control._started) == ["0", "None"]


def test_it_ends_when_idle(address: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(lifetime.IDLE, "0.5")
    control.start(address, ".oneword", EngineConfig(), "default")
    assert control._started[-1].wait(60) in (0, 1)  # 1: its decoder is only just starting
    assert not list(residents())
    assert "idle for 0.5 s" in address.log.read_text()


def test_stop_and_list(warm: Address, oneword: Callable[..., Done]) -> None:
    pid = warm.info["process"]["pid"]
    assert f"Process {pid}, of {Path('.oneword').absolute()}, since " in oneword("stop", "--list").stdout
    assert json.loads(oneword("stop", "--json").stdout)["stopped"][0]["pid"] == pid
    assert control._started.pop().wait(60) == 0
    assert sorted(file.suffix for file in warm.folder.iterdir()) == [".lock", ".log"]
    assert "No process" in oneword("stop").stdout


def test_one_that_hangs_is_killed_by_stop(
    warm: Address, oneword: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "STOP_SECONDS", 0.5)
    os.kill(warm.info["process"]["pid"], signal.SIGSTOP)
    assert ask(warm, CAT, "default", timeout=0.5) is None
    monkeypatch.setattr(client.ask, "__kwdefaults__", {"timeout": 0.5})
    assert oneword("search", "a cat").code == 0
    assert oneword("stop").code == 0
    assert control._started.pop().wait(60) == -signal.SIGKILL


def test_it_ends_for_a_reason(address: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifetime, "RARELY", 0.0)
    monkeypatch.setattr(lifetime, "memory_is_short", lambda: False)
    with listener(address, kind="resident", db="x"):
        assert Lifetime(address).reason(0, 0) is None
        monkeypatch.setenv(lifetime.IDLE, "0")
        used = Lifetime(address)
        assert [used.reason(0, 1), used.reason(1, 0), used.reason(2, 0)] == [None, None, None]
        assert "idle" in (used.reason(2, 0) or "")
        monkeypatch.setenv(lifetime.IDLE, "much")
        changed, asked = Lifetime(address), Lifetime(address)
        monkeypatch.setattr(lifetime, "stamp", lambda: ["another"])
        assert changed.reason(0, 0) == "the installation has changed"
        address.state.unlink()
        assert "asked" in (asked.reason(0, 0) or "")


def test_the_stamp_follows_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "oneword" / "query" / "resident" / "address.py"
    file.parent.mkdir(parents=True)
    file.touch()
    monkeypatch.setattr(addresses, "__file__", str(file))
    before = addresses.stamp()
    assert addresses.stamp() == before
    os.utime(file, (1, 1))
    (file.parent / "new.py").touch()
    assert addresses.stamp() != before


def test_memory(tmp_path: Path) -> None:
    (tmp_path / "proc/pressure").mkdir(parents=True)
    assert not memory_is_short(tmp_path)
    (tmp_path / "proc/meminfo").write_text("MemTotal: 1600 kB\nMemAvailable:   101 kB\n")
    pressure = "some avg10={} avg60=0.00 avg300=0.00 total=1\nfull avg10=99.0 avg60=0 avg300=0 total=1\n"
    (tmp_path / "proc/pressure/memory").write_text(pressure.format("0.00"))
    assert not memory_is_short(tmp_path)
    (tmp_path / "proc/meminfo").write_text("MemTotal: 1600 kB\nMemAvailable:   99 kB\n")
    assert memory_is_short(tmp_path)
    (tmp_path / "proc/meminfo").unlink()
    (tmp_path / "proc/pressure/memory").write_text(pressure.format("12.50"))
    assert memory_is_short(tmp_path)


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="modes are POSIX's")
def test_a_folder_that_others_may_enter_is_not_used(
    store: str,
    runtime: Path,
    tmp_path_factory: pytest.TempPathFactory,
    oneword: Callable[..., Done],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    temporary = tmp_path_factory.mktemp("t")  # short: it is to hold sockets
    monkeypatch.setattr(addresses, "_temporary", lambda: str(temporary))
    (runtime / "oneword").mkdir(exist_ok=True)
    (runtime / "oneword").chmod(0o750)
    own = temporary / f"oneword-{os.getuid()}"
    assert (found := Address.of(store, EngineConfig())) is not None
    assert found.folder == own
    assert own.stat().st_mode & 0o777 == 0o700
    own.rmdir()
    own.symlink_to(elsewhere := temporary / "elsewhere")
    elsewhere.mkdir(mode=0o700)
    assert Address.of(store, EngineConfig()) is None
    monkeypatch.setattr(os, "getuid", lambda: 12345)  # as another user sees them
    (runtime / "oneword").chmod(0o700)
    assert Address.of(store, EngineConfig()) is None
    assert oneword("search", "a cat").code == 0
    assert not control._started


def test_without_any_folder(store: str, oneword: Callable[..., Done], monkeypatch: pytest.MonkeyPatch) -> None:
    """A container without /tmp, a file in the way, a path too long for a socket: it is answered, and nothing starts."""

    def nowhere() -> str:
        raise FileNotFoundError("No usable temporary directory found")

    with monkeypatch.context() as patch:
        patch.setattr(addresses.tempfile, "gettempdir", nowhere)
        assert addresses._temporary() is None
    monkeypatch.setattr(addresses, "_temporary", lambda: None)
    Path("file").touch()
    for folder in (None, "", "relative", "/proc/nowhere", str(Path("file").absolute()), "/tmp/" + 100 * "x"):
        if folder is None:
            monkeypatch.delenv("XDG_RUNTIME_DIR")
        else:
            monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        assert oneword("search", "a cat").code == 0
        assert oneword("stop").code == 0
    assert not control._started


def test_nothing_can_be_written_there(address: Address, oneword: Callable[..., Done]) -> None:
    for file in (address.lock, address.log):
        file.mkdir()  # root may write anywhere: a folder in the way refuses even that
        assert oneword("search", "a cat").code == 0
        assert oneword("stop").code == 0
        file.rmdir()
    address.socket.mkdir()
    control.start(address, ".oneword", EngineConfig(), "default")
    assert control._started.pop().wait(60) == 1
    assert oneword("search", "a cat").code == 0
    assert control._started.pop().wait(60) == 1
    address.socket.rmdir()


@pytest.mark.parametrize("said", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"])
def test_what_answers_nonsense_is_not_believed(address: Address, oneword: Callable[..., Done], said: bytes) -> None:
    right = oneword("search", "a cat", "--no-daemon")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(address.socket))
        listening.listen()

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(said)

        thread = threading.Thread(target=answer)
        thread.start()
        assert ask(address, CAT, "default") is None
        thread.join()
    assert oneword("search", "a cat") == right


def test_a_running_service_is_asked_instead(warm: Address, start: Start, oneword: Callable[..., Done]) -> None:
    """And the resident process makes room for it. `stop` leaves it alone."""
    start("--db", Path(".oneword").absolute())
    assert control._started.pop().wait(60) == 0
    again = Address(folder=warm.folder, name=warm.name)
    until(lambda: again.socket.exists())
    right = oneword("search", "a cat", "--no-daemon")
    before = answered(again)
    assert oneword("search", "a cat") == right
    assert again.info["kind"] == "serve"
    assert answered(again) == before
    assert not control._started
    assert "No process" in oneword("stop").stdout
    assert ask(again, CAT, "default") is not None


def test_a_service_with_keys_is_not(address: Address, start: Start, tmp_path: Path) -> None:
    from oneword.query.server.keys import make, write

    write(tmp_path / "keys.toml", [make("me", "read")[0]])
    start("--db", Path(".oneword").absolute(), "--api-keys", tmp_path / "keys.toml")
    assert not address.socket.exists()


def test_over_loopback_with_a_key(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where there are no Unix sockets."""
    monkeypatch.setattr(addresses, "UNIX", False)
    found = Address.of(store, EngineConfig())
    assert found is not None
    assert ask(found, CAT, "default") is None
    found = Address(folder=found.folder, name=found.name, unix=False)
    control.start(found, store, EngineConfig(), "default")

    def now() -> Address:
        return Address(folder=found.folder, name=found.name, unix=False)

    until(lambda: ask(now(), CAT, "default"))
    assert not found.socket.exists()
    assert found.state.stat().st_mode & 0o077 == 0
    wrong = now()
    wrong.info["key"] = "ow_" + "a" * 8 + "_" + "b" * 43
    assert ask(wrong, CAT, "default") is None
    left = now()
    assert left.info["port"]
    control.stop(now())
    control._started.pop().wait(60)
    assert ask(left, CAT, "default") is None  # nobody holds the address: whoever has the port now is not asked


def test_the_log_is_bounded(address: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifetime, "RARELY", 0.0)
    monkeypatch.setattr(lifetime, "LOG_BYTES", 10)
    log, saved = os.open("log", os.O_RDWR | os.O_CREAT | os.O_APPEND), os.dup(2)
    try:
        os.dup2(log, 2)
        os.write(2, 11 * b"x")
        with listener(address, kind="resident", db="x"):
            Lifetime(address).reason(0, 0)
        assert os.fstat(log).st_size == 0
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(log)


def test_room_is_made_where_there_is_a_gpu(warm: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "DEVICES", tmp_path)
    control.make_room()
    assert len(list(residents())) == 1
    (tmp_path / "nvidia0").touch()
    control.make_room()
    assert not list(residents())
