from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from oneword.storage import process as module
from oneword.storage.process import Process


@pytest.fixture
def other() -> Iterator[tuple[Any, Process]]:
    """A child of this process, not of the tests' fork server."""
    command = [sys.executable, "-c", "print('up', flush=True); input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "up\n"
        yield child, replace(Process.this(), pid=child.pid, born=module._born(child.pid) or "")
        child.kill()


def test_this_process_lives() -> None:
    this = Process.this()
    assert this.pid == os.getpid()
    assert not this.dead
    assert not replace(this, born="").dead


def test_one_that_was_killed_is_dead_before_and_after_it_is_waited_for(other: tuple[Any, Process]) -> None:
    child, itself = other
    assert not itself.dead
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended, and still in the table of processes
    assert itself.dead
    child.wait()
    assert itself.dead
    assert replace(itself, born="").dead
    assert not replace(itself, host="another").dead


def test_another_process_of_the_number_is_no_mistake(other: tuple[Any, Process]) -> None:
    _, itself = other
    boot, namespace, start = itself.born.split()
    assert replace(itself, born=f"{boot} {namespace} {int(start) - 1}").dead
    assert replace(itself, born=f"another-boot {namespace} {start}").dead
    assert not replace(itself, born=f"{boot} pid:[1] {int(start) - 1}").dead, "a container's, which is not seen here"


def test_a_name_with_brackets_and_spaces(process: Callable[..., Any]) -> None:
    child = process("open('/proc/self/comm', 'w').write('a) Z 1 (b'); print('up', flush=True); input()")
    assert child.stdout.readline() == "up\n"
    assert len((module._born(child.pid) or "").split()) == 3


def test_a_signal_goes_to_that_process_and_no_other(
    other: tuple[Any, Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    child, itself = other
    boot, namespace, start = itself.born.split()
    for one in (
        replace(itself, born=""),
        replace(itself, born=f"{boot} {namespace} {int(start) - 1}"),
        replace(itself, born=f"{boot} pid:[1] {start}"),
        replace(itself, host="another"),
    ):
        assert not one.here
        assert not one.send(signal.SIGKILL)
    assert itself.here
    assert itself.send(signal.SIGTERM)
    assert child.wait() == -signal.SIGTERM
    assert not itself.here
    assert not itself.send(signal.SIGTERM)


def test_a_signal_where_there_are_no_handles(other: tuple[Any, Process], monkeypatch: pytest.MonkeyPatch) -> None:
    child, itself = other
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    assert not replace(itself, host="another").send(signal.SIGTERM)
    assert itself.send(signal.SIGTERM)
    assert child.wait() == -signal.SIGTERM
    assert not itself.send(signal.SIGTERM)


def test_where_there_is_no_proc(other: tuple[Any, Process], monkeypatch: pytest.MonkeyPatch) -> None:
    child, itself = other
    monkeypatch.setattr(sys, "platform", "darwin")
    itself = replace(itself, born=module._born(child.pid) or "")
    assert not itself.dead
    child.kill()
    child.wait()
    assert itself.dead
    monkeypatch.setattr(os, "name", "nt")
    assert not itself.dead
