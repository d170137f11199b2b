"""Wall time of commands, each a process of its own, as a person waits for them.

    python benchmarks/cli.py [--runs 10] [--pictures 100] [--package FOLDER]

One JSON line: medians in seconds, by the model `basic`. `warm_search_s` and `warm_image_s` are searches by words and
by a picture that the resident process answers, `cold_search_s` one without it. `rclip_s`: rclip over the same
pictures, where it is installed and has its model; it has no resident process. --package: another checkout, to compare.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image

ROOT = Path(__file__).resolve().parents[1]
WORDS = "a red car"


class Commands:
    """Runs commands of one checkout in a folder, without or with a resident process."""

    def __init__(self, package: Path, folder: Path) -> None:
        self._folder = folder
        self._environment = {
            **os.environ,
            "PYTHONPATH": str(package),
            "XDG_RUNTIME_DIR": str(folder / "run"),
            "COLUMNS": "100",
        }
        (folder / "run").mkdir(mode=0o700)

    def said(self, *arguments: str, resident: bool = False) -> str:
        """What one prints."""
        environment = {**self._environment, "ONEWORD_DAEMON": "1" if resident else "0"}
        command = [sys.executable, "-m", "oneword", *arguments]
        done = subprocess.run(command, cwd=self._folder, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def run(self, *arguments: str, resident: bool = False) -> float:
        """The seconds that one took."""
        began = time.perf_counter()
        self.said(*arguments, resident=resident)
        return time.perf_counter() - began

    def resident_mib(self) -> float | None:
        """Memory of the resident process and its decoder, what they share with others included; on Linux."""
        (about,) = json.loads(self.said("stop", "--list", "--json"))["running"]
        try:
            children = Path(f"/proc/{about['pid']}/task/{about['pid']}/children").read_text().split()
            pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in (about["pid"], *children)]
        except OSError:
            return None
        return round(sum(pages) * os.sysconf("SC_PAGESIZE") / 2**20)


def median(runs: int, one: Callable[[], float]) -> float:
    """Of `runs` times, after one that does not count."""
    one()
    return round(statistics.median(one() for _ in range(runs)), 3)


def draw(folder: Path, count: int) -> None:
    """Smooth random pictures, and as many texts."""
    folder.mkdir()
    noise = np.random.default_rng(0)
    for place in range(count):
        small = PIL.Image.fromarray(noise.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        small.resize((640, 480), PIL.Image.Resampling.BICUBIC).save(folder / f"{place}.jpg", quality=90)
        (folder / f"note {place}.txt").write_text(f"a photo of {place} cars beside a house", encoding="utf-8")


def measured(folder: Path, package: Path, runs: int, count: int) -> dict[str, float | None]:
    """The medians."""
    draw(folder / "pictures", count)
    commands = Commands(package, folder)
    commands.run("index", "pictures", "--model", "basic")
    like = json.loads(commands.said("search", "--keywords", "house", "-k", "1", "--json"))["hits"][0]["id"]
    image = ["search", "--image", "pictures/0.jpg"]
    found: dict[str, float | None] = {"warm_search_s": None, "warm_image_s": None, "resident_mib": None}
    if (package / "query" / "resident").is_dir():
        commands.run("search", WORDS, resident=True)  # starts it
        while not any((folder / "run").rglob("*.sock")):
            time.sleep(0.1)
        commands.run("search", WORDS, resident=True)  # waits for its model
        found["warm_search_s"] = median(runs, lambda: commands.run("search", WORDS, resident=True))
        found["warm_image_s"] = median(runs, lambda: commands.run(*image, resident=True))
        found["resident_mib"] = commands.resident_mib()
        commands.run("stop")
    lines = {
        "cold_search_s": ["search", WORDS],
        "cold_image_s": image,
        "keyword_s": ["search", "--keywords", "house"],
        "like_s": ["search", "--like", like],
        "info_s": ["info"],
        "collections_s": ["collections"],
        "help_s": ["--help"],
    }
    for name, line in lines.items():
        found[name] = median(runs, lambda line=line: commands.run(*line))  # type: ignore[misc]
    return {**found, "rclip_s": rclip(folder / "pictures", runs)}


def rclip(pictures: Path, runs: int) -> float | None:
    """rclip's search over the same pictures, which it has indexed; None if it is not installed or does not run."""
    if shutil.which("rclip") is None:
        return None
    search = ["rclip", "--no-indexing", WORDS]
    if subprocess.run(["rclip", WORDS], cwd=pictures, capture_output=True).returncode:
        return None

    def one() -> float:
        began = time.perf_counter()
        subprocess.run(search, cwd=pictures, capture_output=True, check=True)
        return time.perf_counter() - began

    return median(runs, one)


def main() -> None:
    """Prints one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--pictures", type=int, default=100)
    parser.add_argument("--package", type=Path, default=ROOT)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measured(Path(folder), options.package.resolve(), options.runs, options.pictures)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
