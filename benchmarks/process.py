"""A rival in a process of its own: peak memory and thread settings are its own, and a build can be given up.

The parent writes commands to its standard input, one JSON a line, and reads answers from its standard output.
"""

import contextlib
import json
import os
import resource
import selectors
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any

import numpy as np

ROOT = Path(__file__).resolve().parent
sys.path[:0] = [str(ROOT.parent), str(ROOT)]

from rival import NEAREST, Data, Rival, Window  # noqa: E402 - they lie beside this file
from rivals import RIVALS  # noqa: E402


class GaveUp(Exception):
    """It took longer than it was given, or died."""


class Process:
    """The parent's side."""

    def __init__(self, rival: str, data: Path, folder: Path, **options: Any) -> None:
        self.rival = rival
        said = json.dumps({"rival": rival, "data": str(data), "folder": str(folder), "options": options})
        self._child = subprocess.Popen(
            [sys.executable, __file__, said], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def ask(self, do: str, limit: float = 600, **given: Any) -> Any:
        """Its answer.

        Raises:
            GaveUp: after `limit` seconds, or if it died; it is ended then.
        """
        sent, received = self._child.stdin, self._child.stdout
        assert sent is not None
        assert received is not None
        with contextlib.suppress(BrokenPipeError):
            sent.write(json.dumps({"do": do, **given}) + "\n")
        with selectors.DefaultSelector() as waiting:
            waiting.register(received, selectors.EVENT_READ)
            ready = waiting.select(limit)
        line = received.readline() if ready else ""
        if not line:
            self._child.kill()
            status = self._child.wait()
            why = f"exit status {status}" if ready else f"not done in {limit:.0f} s"
            raise GaveUp(f"{self.rival}: {do}: {why}")
        answer = json.loads(line)
        if "error" in answer:
            self.end()
            raise GaveUp(f"{self.rival}: {do}: {answer['error']}")
        return answer["done"]

    def end(self) -> None:
        """Lets it go."""
        assert self._child.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._child.stdin.close()
        try:
            self._child.wait(60)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()


class Child:
    """The child's side; each method is a command."""

    def __init__(self, rival: str, data: str, folder: str, options: dict[str, Any]) -> None:
        Path(folder).mkdir(parents=True, exist_ok=True)
        kind, given = RIVALS[rival]
        self.data = Data(Path(data))
        self.rival: Rival = kind(self.data, Path(folder), **given, **options)
        self.questions = {name: np.load(Path(data) / f"{name}.npy") for name in ("tuning", "test")}

    def build(self, what: str) -> dict[str, float]:
        """what: fill, build or save."""
        begun = time.perf_counter()
        getattr(self.rival, what)()
        return {"seconds": time.perf_counter() - begun, "peak_mib": peak()}

    def open(self) -> dict[str, Any]:
        """Ready to search."""
        begun = time.perf_counter()
        said = self.rival.open()
        return {"about": said, "seconds": time.perf_counter() - begun, "filters": self.rival.filters}

    def tune(self, window: list[int] | None, goal: float, seconds: float) -> dict[str, Any]:
        """The setting that is quickest of those that reach the goal on the tuning questions, on each ladder the first
        that does; if none does, the one that finds most. No further one is tried after `seconds`."""
        until, reached, best = time.perf_counter() + seconds, [], (-1.0, {})
        for ladder in self.rival.ladders() or [[{}]]:
            low, high = 0, len(ladder) - 1
            while low <= high and time.perf_counter() < until:
                # The topmost first: no ladder is climbed that leads nowhere. Then halves.
                at = high if high == len(ladder) - 1 else (low + high) // 2
                recall, took = self._recall("tuning", window, ladder[at], goal, seconds)
                best = max(best, (recall, ladder[at]), key=lambda one: one[0])
                if recall >= goal:
                    reached.append((took, recall, ladder[at]))
                    high = at - 1
                elif at == len(ladder) - 1:
                    break
                else:
                    low = at + 1
        if reached:
            _, recall, setting = min(reached, key=lambda one: one[0])
            best = (recall, setting)
        setting = best[1] | self._threads(window, best[1])
        return {"setting": setting, "recall": best[0], "reached": bool(reached)}

    def _threads(self, window: list[int] | None, setting: dict[str, int]) -> dict[str, int]:
        """Whether one question is sooner answered by one core or by all; nothing where there is no choice."""
        took = {}
        for threads in self.rival.choices:
            tried = setting | {"threads": threads}
            took[threads] = np.median([self.round(window, tried, 0, 20, 2) for _ in range(2)][1])
        return {"threads": min(took, key=lambda one: took[one])} if took else {}

    def recall(self, window: list[int] | None, setting: dict[str, int], seconds: float) -> float:
        """Of the test questions, or of as many as take `seconds`."""
        return self._recall("test", window, setting, 0.0, seconds)[0]

    def _recall(
        self, name: str, window: list[int] | None, setting: dict[str, int], goal: float, seconds: float = 1e9
    ) -> tuple[float, float]:
        """Share of the ten nearest found, and the median time; stops where the goal is out of reach."""
        until = time.perf_counter() + seconds
        self.rival.threads(setting.get("threads", 0))
        truth = np.load(self.data.folder / f"{name}-{window}.npy")
        may_miss = (1 - goal) * len(truth) * NEAREST
        found, missed, times = 0, 0, []
        for question, nearest in zip(self.questions[name], truth, strict=True):
            begun = time.perf_counter()
            rows = self.rival.search(question, _window(window), setting)
            times.append(time.perf_counter() - begun)
            hits = min(NEAREST, len(set(rows) & set(nearest.tolist()) - {-1}))
            found, missed = found + hits, missed + NEAREST - hits
            if missed > may_miss or begun > until:
                break
        return found / (found + missed), float(np.median(times))

    def round(
        self, window: list[int] | None, setting: dict[str, int], start: int, count: int, seconds: float
    ) -> list[float]:
        """Milliseconds of each of `count` questions, or of as many (1 at least) as take `seconds`."""
        questions, times, until = self.questions["test"], [], time.perf_counter() + seconds
        self.rival.threads(setting.get("threads", 0))
        for number in range(start, start + count):
            begun = time.perf_counter()
            self.rival.search(questions[number % len(questions)], _window(window), setting)
            times.append(1000 * (time.perf_counter() - begun))
            if time.perf_counter() > until:
                break
        return times

    def cold(self, windows: list[list[int]], setting: dict[str, int]) -> list[float]:
        """Milliseconds of a first search with each of these filters."""
        return [self.round(window, setting, number, 1, 0)[0] for number, window in enumerate(windows)]

    def callers(self, threads: int, setting: dict[str, int], seconds: float) -> float:
        """Questions a second that so many threads get answered."""
        answered, until = [0] * threads, time.perf_counter() + seconds

        def call(number: int) -> None:
            self.rival.threads(setting.get("threads", 0) if threads == 1 else 1)
            while time.perf_counter() < until:
                question = self.questions["test"][(answered[number] * threads + number) % len(self.questions["test"])]
                self.rival.search(question, None, setting)
                answered[number] += 1

        begun = time.perf_counter()
        callers = [threading.Thread(target=call, args=(number,)) for number in range(threads)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        return sum(answered) / (time.perf_counter() - begun)

    def kept(self) -> dict[str, Any]:
        """Memory at most so far, MiB, and bytes a vector on disk."""
        return {"peak_mib": peak(), **{name: size / self.data.count for name, size in self.rival.bytes().items()}}


def peak() -> float:
    """Resident memory of this process at most, MiB; files mapped into it count where they were read."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    # Not getrusage's on Linux: it starts at what the parent had when it forked.
    lines = dict(line.split(":", 1) for line in status.read_text(encoding="utf-8").splitlines())
    return int(lines["VmHWM"].split()[0]) / 1024


def _window(given: list[int] | None) -> Window | None:
    return None if given is None else Window(*given)


def _serve(child: Child, commands: IO[str], answers: IO[str]) -> None:
    for line in commands:
        given = json.loads(line)
        try:
            answer = {"done": getattr(child, given.pop("do"))(**given)}
        except Exception as error:  # the parent says which rival failed at what, and goes on
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    answers_ = os.fdopen(os.dup(1), "w")  # what libraries print must not be taken for an answer
    os.dup2(2, 1)
    _serve(Child(**json.loads(sys.argv[1])), sys.stdin, answers_)
