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
from oneword.query.resident import asking, ending, place, starting, stopping
from oneword.query.resident.asking import ask
from oneword.query.resident.ending import Ending, memory_is_short
from oneword.query.resident.holding import held
from oneword.query.resident.place import Place
from oneword.query.resident.stopping import residents
from tests.query.conftest import Start
from tests.query.resident.conftest import Done, answered, until

CAT = Query.of("a cat")


def test_killed_and_begun_anew(warm: Place, oneword: Callable[..., Done]) -> None:
    os.kill(warm.said["process"]["pid"], signal.SIGKILL)
    starting._started.pop().wait(60)
    assert warm.socket.exists()  # stale
    assert not list(residents())
    before = oneword("search", "a cat", "--no-daemon")
    assert oneword("search", "a cat") == before
    until(lambda: ask(warm, CAT, "default"))
    assert [one.name for one in residents()] == [warm.name]


def test_of_two_started_at_once_one_stays(place: Place) -> None:
    for _ in range(2):
        starting.start(place, ".oneword", EngineConfig(), "default")
    until(lambda: ask(place, CAT, "default"))
    until(lambda: any(one.poll() is not None for one in starting._started))
    assert sorted(str(one.poll()) for one in starting._started) == ["0", "None"]


def test_it_ends_when_idle(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ending.IDLE, "0.5")
    starting.start(place, ".oneword", EngineConfig(), "default")
    assert starting._started[-1].wait(60) in (0, 1)  # 1: its decoder is only just starting
    assert not list(residents())
    assert "idle for 0.5 s" in place.log.read_text()


def test_stop_and_list(warm: Place, oneword: Callable[..., Done]) -> None:
    pid = warm.said["process"]["pid"]
    assert f"Process {pid}, of {Path('.oneword').absolute()}, since " in oneword("stop", "--list").stdout
    assert json.loads(oneword("stop", "--json").stdout)["stopped"][0]["pid"] == pid
    assert starting._started.pop().wait(60) == 0
    assert sorted(file.suffix for file in warm.folder.iterdir()) == [".lock", ".log"]
    assert "No process" in oneword("stop").stdout


def test_one_that_hangs_is_killed_by_stop(
    warm: Place, oneword: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopping, "LEAVING_SECONDS", 0.5)
    os.kill(warm.said["process"]["pid"], signal.SIGSTOP)
    assert ask(warm, CAT, "default", patience=0.5) is None
    monkeypatch.setattr(asking.ask, "__kwdefaults__", {"patience": 0.5})
    assert oneword("search", "a cat").code == 0
    assert oneword("stop").code == 0
    assert starting._started.pop().wait(60) == -signal.SIGKILL


def test_it_ends_for_a_reason(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "RARELY", 0.0)
    monkeypatch.setattr(ending, "memory_is_short", lambda: False)
    with held(place, kind="resident", db="x"):
        assert Ending(place).reason(0, 0) is None
        monkeypatch.setenv(ending.IDLE, "0")
        used = Ending(place)
        assert [used.reason(0, 1), used.reason(1, 0), used.reason(2, 0)] == [None, None, None]
        assert "idle" in (used.reason(2, 0) or "")
        monkeypatch.setenv(ending.IDLE, "much")
        changed, asked = Ending(place), Ending(place)
        monkeypatch.setattr(ending, "stamp", lambda: ["another"])
        assert changed.reason(0, 0) == "the installation has changed"
        place.state.unlink()
        assert "asked" in (asked.reason(0, 0) or "")


def test_the_stamp_follows_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "oneword" / "query" / "resident" / "place.py"
    file.parent.mkdir(parents=True)
    file.touch()
    monkeypatch.setattr(place_module := place, "__file__", str(file))
    before = place_module.stamp()
    assert place_module.stamp() == before
    os.utime(file, (1, 1))
    (file.parent / "new.py").touch()
    assert place_module.stamp() != before


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
    store: str, runtime: Path, tmp_path: Path, oneword: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, "_temporary", lambda: str(tmp_path))
    (runtime / "oneword").mkdir(exist_ok=True)
    (runtime / "oneword").chmod(0o750)
    own = tmp_path / f"oneword-{os.getuid()}"
    assert (found := Place.of(store, EngineConfig())) is not None
    assert found.folder == own
    assert own.stat().st_mode & 0o777 == 0o700
    own.rmdir()
    own.symlink_to(tmp_path_of_another := tmp_path / "elsewhere")
    tmp_path_of_another.mkdir(mode=0o700)
    assert Place.of(store, EngineConfig()) is None
    monkeypatch.setattr(os, "getuid", lambda: 12345)  # as another user sees them
    (runtime / "oneword").chmod(0o700)
    assert Place.of(store, EngineConfig()) is None
    assert oneword("search", "a cat").code == 0
    assert not starting._started


def test_without_any_folder(store: str, oneword: Callable[..., Done], monkeypatch: pytest.MonkeyPatch) -> None:
    """A container without /tmp, a file in the way, a path too long for a socket: it is answered, and nothing starts."""

    def nowhere() -> str:
        raise FileNotFoundError("No usable temporary directory found")

    with monkeypatch.context() as patch:
        patch.setattr(place.tempfile, "gettempdir", nowhere)
        assert place._temporary() is None
    monkeypatch.setattr(place, "_temporary", lambda: None)
    Path("file").touch()
    for folder in (None, "", "relative", "/proc/nowhere", str(Path("file").absolute()), "/tmp/" + 100 * "x"):
        if folder is None:
            monkeypatch.delenv("XDG_RUNTIME_DIR")
        else:
            monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        assert oneword("search", "a cat").code == 0
        assert oneword("stop").code == 0
    assert not starting._started


def test_nothing_can_be_written_there(place: Place, oneword: Callable[..., Done]) -> None:
    for file in (place.lock, place.log):
        file.mkdir()  # root may write anywhere: a folder in the way refuses even that
        assert oneword("search", "a cat").code == 0
        assert oneword("stop").code == 0
        file.rmdir()
    place.socket.mkdir()
    starting.start(place, ".oneword", EngineConfig(), "default")
    assert starting._started.pop().wait(60) == 1
    assert oneword("search", "a cat").code == 0
    assert starting._started.pop().wait(60) == 1
    place.socket.rmdir()


@pytest.mark.parametrize("said", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"])
def test_what_answers_nonsense_is_not_believed(place: Place, oneword: Callable[..., Done], said: bytes) -> None:
    right = oneword("search", "a cat", "--no-daemon")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(place.socket))
        listening.listen()

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(said)

        thread = threading.Thread(target=answer)
        thread.start()
        assert ask(place, CAT, "default") is None
        thread.join()
    assert oneword("search", "a cat") == right


def test_a_running_service_is_asked_instead(warm: Place, start: Start, oneword: Callable[..., Done]) -> None:
    """And the resident process makes room for it. `stop` leaves it alone."""
    start("--db", Path(".oneword").absolute())
    assert starting._started.pop().wait(60) == 0
    again = Place(folder=warm.folder, name=warm.name)
    until(lambda: again.socket.exists())
    right = oneword("search", "a cat", "--no-daemon")
    before = answered(again)
    assert oneword("search", "a cat") == right
    assert again.said["kind"] == "serve"
    assert answered(again) == before
    assert not starting._started
    assert "No process" in oneword("stop").stdout
    assert ask(again, CAT, "default") is not None


def test_a_service_with_keys_is_not(place: Place, start: Start, tmp_path: Path) -> None:
    from oneword.query.server.keys import make, write

    write(tmp_path / "keys.toml", [make("me", "read")[0]])
    start("--db", Path(".oneword").absolute(), "--api-keys", tmp_path / "keys.toml")
    assert not place.socket.exists()


def test_over_loopback_with_a_key(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where there are no Unix sockets."""
    monkeypatch.setattr(place, "UNIX", False)
    found = Place.of(store, EngineConfig())
    assert found is not None
    assert ask(found, CAT, "default") is None
    found = Place(folder=found.folder, name=found.name, unix=False)
    starting.start(found, store, EngineConfig(), "default")

    def now() -> Place:
        return Place(folder=found.folder, name=found.name, unix=False)

    until(lambda: ask(now(), CAT, "default"))
    assert not found.socket.exists()
    assert found.state.stat().st_mode & 0o077 == 0
    wrong = now()
    wrong.said["key"] = "ow_" + "a" * 8 + "_" + "b" * 43
    assert ask(wrong, CAT, "default") is None
    left = now()
    assert left.said["port"]
    stopping.stop(now())
    starting._started.pop().wait(60)
    assert ask(left, CAT, "default") is None  # nobody holds the place: whoever has the port now is not asked


def test_the_log_is_bounded(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "RARELY", 0.0)
    monkeypatch.setattr(ending, "LOG_BYTES", 10)
    log, saved = os.open("log", os.O_RDWR | os.O_CREAT | os.O_APPEND), os.dup(2)
    try:
        os.dup2(log, 2)
        os.write(2, 11 * b"x")
        with held(place, kind="resident", db="x"):
            Ending(place).reason(0, 0)
        assert os.fstat(log).st_size == 0
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(log)


def test_room_is_made_where_there_is_a_gpu(warm: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "DEVICES", tmp_path)
    stopping.make_room()
    assert len(list(residents())) == 1
    (tmp_path / "nvidia0").touch()
    stopping.make_room()
    assert not list(residents())
