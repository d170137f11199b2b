"""Pictures and folders that many tests share. No network, no downloads."""

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

os.environ["ONEWORD_CONFIG"] = "no-such-file.toml"  # whatever defaults the user of this machine has
# OpenMP threads that wait spin: with as many test processes as cores, that costs more than the work itself.
# Children inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import PIL.Image
import pytest
from hypothesis import settings

settings.register_profile("oneword", deadline=None)  # a busy machine is no failure
settings.load_profile("oneword")


def pytest_collection() -> None:
    """Nothing is garbage while everything is imported."""
    gc.disable()


def pytest_collection_finish() -> None:
    """What is imported stays: millions of objects that the collector need not look at again and again."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def _away_from_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs each test in its own folder, so that a stray default store never lands in the checkout; asks no server, and
    starts no process that stays."""
    monkeypatch.setenv("ONEWORD_DAEMON", "0")
    for name in ("ONEWORD_DB", "ONEWORD_SERVER", "ONEWORD_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Torch computes with one thread. FAISS sets OpenMP's number of threads, which PyTorch shares, to that of the cores
    and leaves it so; with as many test processes, threads that spin take three times the CPU time."""
    yield
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)


def noise(width: int, height: int, seed: int = 0) -> PIL.Image.Image:
    """A picture unlike any other seed's."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return PIL.Image.fromarray(pixels)


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """A folder with 4 pictures (one captioned, one in a subfolder), 2 texts, and 2 files of other kinds."""
    folder = tmp_path / "album"
    (folder / "sub").mkdir(parents=True)
    PIL.Image.new("RGB", (40, 30), "red").save(folder / "red.png")
    PIL.Image.new("RGB", (30, 40), "blue").save(folder / "blue.jpg")
    noise(50, 50).save(folder / "noise.webp")
    PIL.Image.new("RGB", (20, 20), "green").save(folder / "sub" / "green.PNG")
    (folder / "red.txt").write_text("a red rectangle", encoding="utf-8")
    (folder / "note.txt").write_text("the cat sleeps on the sofa", encoding="utf-8")
    (folder / "sub" / "diary.md").write_text("# Monday\nwe saw an owl", encoding="utf-8")
    (folder / "data.csv").write_text("a,b\n", encoding="utf-8")
    (folder / ".hidden.png").write_bytes(b"")
    return folder
