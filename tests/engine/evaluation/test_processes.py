"""Two processes give the report of one; pictures are decoded ahead."""

import json
import os
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch

from oneword.cli import run
from oneword.engine import Image, Input, Text
from oneword.engine.errors import DeviceUnavailable
from oneword.engine.evaluation import vectors
from oneword.engine.evaluation.processes import Processes
from oneword.engine.evaluation.vectors import VectorCache
from oneword.engine.views import DEFAULT
from tests import forkserver

RUN = """
import atexit, json, pathlib, sys
# Runs last. Threads of the process group that are left by then may abort the process at its exit.
threads = pathlib.Path("/proc/self/task")
atexit.register(lambda: print(*(one.read_text() for one in threads.glob("*/comm")), file=sys.stderr))
from oneword.cli import run
from oneword.engine.evaluation import vectors
vectors.CHUNK = 3
print(json.dumps([run(command) for command in json.loads(sys.argv[1])]), file=sys.stderr)
"""


def pictures(folder: Path, names: list[str]) -> None:
    folder.mkdir(parents=True)
    draw = np.random.default_rng(7)
    for name in names:
        shape = (*draw.integers(20, 90, 2).tolist(), 3)
        PIL.Image.fromarray(draw.integers(0, 256, shape, dtype=np.uint8)).save(folder / f"{name}.png")


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Odd counts: 7 pictures make chunks of 3, 3 and 1, one of them for the second process."""
    names = [f"p{i}" for i in range(7)]
    pictures(tmp_path / "flickr" / "images", names)
    entries = [
        {
            "filename": f"{name}.png",
            "split": "test",
            "sentences": [{"raw": f"{name} {n} dogs"} for n in range(1 + i % 3)],
        }
        for i, name in enumerate(names)
    ]
    write(tmp_path / "flickr" / "dataset_flickr30k.json", {"images": entries})
    pictures(tmp_path / "cirr" / "dev", names)
    write(tmp_path / "cirr" / "image_splits" / "split.rc2.val.json", {name: f"./dev/{name}.png" for name in names})
    asked = [
        {
            "pairid": i,
            "reference": names[i],
            "target_hard": names[i + 2],
            "caption": f"make it {i}",
            "img_set": {"members": names[i : i + 3]},
        }
        for i in range(5)
    ]
    write(tmp_path / "cirr" / "captions" / "cap.rc2.val.json", asked)
    pictures(tmp_path / "fashioniq" / "images", names)
    for kind in ("dress", "shirt", "toptee"):
        write(tmp_path / "fashioniq" / "image_splits" / f"split.{kind}.val.json", names)
        garments = [{"candidate": names[i], "target": names[6 - i], "captions": ["is red", f"{i}"]} for i in range(2)]
        write(tmp_path / "fashioniq" / "captions" / f"cap.{kind}.val.json", garments)
    rows = [f"{i}\tdogs {i}\t{'cats' * i} {i}\t{i % 4}\tN" for i in range(11)]
    write(tmp_path / "sts" / "SICK" / "SICK_test_annotated.txt", "\n".join(["a\tb\tc\td\te", *rows]))
    pictures(tmp_path / "broken" / "images", names)
    write(tmp_path / "broken" / "images" / "p4.png", "no picture")  # in the second chunk
    write(tmp_path / "broken" / "dataset_flickr30k.json", {"images": entries})
    return tmp_path


def ran(commands: list[list[str]], folder: Path, processes: int = 2) -> list[subprocess.CompletedProcess[str]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[3])}
    common |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(processes)}
    started = [
        forkserver.start(
            ["-c", RUN, json.dumps(commands)],
            also=forkserver.MODELS,
            cwd=folder,
            env=common | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for rank in range(processes)
    ]
    outputs = [one.communicate(timeout=300) for one in started]
    return [
        subprocess.CompletedProcess(one.args, one.returncode, *output)
        for one, output in zip(started, outputs, strict=True)
    ]


def test_two_processes_report_what_one_does(
    data: Path, small: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    tasks = {"text-image": "flickr", "image-image": "flickr", "cirr": "cirr", "fashioniq": "fashioniq", "sts": "sts"}
    commands = [
        ["eval", task, "--data", folder, "--model", str(small), "--device", "cpu", "--json", "--out", f"{task}.json"]
        for task, folder in tasks.items()
    ]
    commands.append(["eval", "cirr", *commands[2][2:8], "--submission", "answers"])
    commands.append([*commands[4], "--cache", "kept"])
    monkeypatch.setattr(vectors, "CHUNK", 3)
    monkeypatch.chdir(data)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # sums in one order, as in the processes
    assert [run(command) for command in commands] == [0] * 7
    torch.set_num_threads(threads)
    one = capfd.readouterr()
    written = {path.name: path.read_bytes() for path in [*data.glob("*.json"), *data.glob("answers/*")]}
    assert len(written) == 7
    kept = {path: path.stat().st_mtime_ns for path in data.glob("kept/*")}
    assert len(kept) == 8, "two sides of 11 sentences each"
    commands.append(["eval", "text-image", "--data", "broken", *commands[0][4:9]])
    for name in written:
        (data / name).unlink(missing_ok=True)
    main, other = ran(commands, data)
    assert (main.returncode, other.returncode) == (0, 0), main.stderr + other.stderr
    for process in (main, other):
        assert json.dumps([0] * 7 + [1]) in process.stderr.splitlines(), main.stderr + other.stderr
        assert "gloo" not in process.stderr
    reports, error = main.stdout.splitlines()[:-1], json.loads(main.stdout.splitlines()[-1])["error"]
    assert reports == one.out.splitlines()
    assert [json.loads(line)["task"] for line in reports[:5]] == list(tasks)
    assert other.stdout == "", "only the main process prints"
    assert {path.name: path.read_bytes() for path in [*data.glob("*.json"), *data.glob("answers/*")]} == written
    assert {path: path.stat().st_mtime_ns for path in data.glob("kept/*")} == kept, "used again, and nothing added"
    assert "process 1 of 2" in error["message"]
    assert "p4.png" in error["message"]
    assert "p4.png" in other.stderr


def test_a_chunk_is_decoded_while_the_model_has_another(table: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "CHUNK", 2)
    decoded, both = set[int](), threading.Event()

    def make(number: int) -> Callable[[], Input]:
        def load() -> Input:
            decoded.add(number)
            if {2, 3} <= decoded:
                both.set()
            return Text(text=str(number))

        return load

    encoder = table({str(number): [1, number, 0] for number in range(7)})
    seen = []

    def forward(batch: list[Any]) -> list[Any]:
        assert both.wait(30), "the second chunk is decoded before the first one is through the model"
        seen.append(set(decoded))
        return batch

    encoder.forward = forward
    found = VectorCache(encoder).embed([make(number) for number in range(7)], DEFAULT, unit=False)
    assert found[:, 1].tolist() == list(range(7))
    assert max(seen[0]) <= 3, "no more than two chunks are in memory"


def test_tiles_are_cut_where_pictures_are_decoded(table: Any) -> None:
    encoder, threads = table({"red": [1, 0, 0]}), set[str]()

    def tiler(pixels: PIL.Image.Image) -> Any:
        threads.add(threading.current_thread().name)
        return np.asarray(pixels.resize((4, 4))).transpose(2, 0, 1)[None]

    encoder.tiler = tiler
    encoder.prepare = lambda inputs, _view, _side: ["red" for one in inputs if one.tiles.shape == (1, 3, 4, 4)]
    picture = Image(pixels=PIL.Image.new("RGB", (8, 8), "red"))
    assert VectorCache(encoder).embed([lambda: picture], DEFAULT).tolist() == [[1, 0, 0]]
    assert threads
    assert not [name for name in threads if name.startswith("prepare")]


def test_each_process_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    second = Processes(rank=9, count=16, local=1)
    assert [second.device(asked) for asked in ("auto", "cuda", "cpu")] == ["cuda:1", "cuda:1", "cpu"]
    assert Processes().device("cuda:3") == "cuda:3"
    with pytest.raises(DeviceUnavailable, match="16 processes"):
        second.device("cuda:3")
