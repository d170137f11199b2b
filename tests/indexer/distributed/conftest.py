"""A real Ray cluster on loopback: two nodes, each with a raylet of its own. Jobs run in processes of their own."""

from __future__ import annotations

import csv
import json
import os
import random
import re
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from oneword import indexer
from oneword.storage import Store

ROOT = Path(indexer.__file__).parents[2]
NODE = {"num_cpus": 2, "object_store_memory": 150 * 2**20}
QUIET = {"RAY_USAGE_STATS_ENABLED": "0"}
WORDS = "red blue car cat house tree river sky night small large old new".split()


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    pytest.importorskip("lance")
    os.environ.update(QUIET, PYTHONPATH=os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("ray")
        from ray.cluster_utils import Cluster

        made = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    add_node(made)
    yield made
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made.shutdown()


def add_node(cluster: Any) -> Any:
    """One more node. Starting it forks, which Lance warns of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = cluster.add_node(**NODE)
        cluster.wait_for_nodes()
    return made


@pytest.fixture
def corpus(tmp_path: Path) -> list[str]:
    """Short texts with repetitions, long ones, pictures with copies; 2 texts and 6 pictures cannot be indexed."""
    draw = random.Random(1)
    with (tmp_path / "texts.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "text", "year"])
        for number in range(600):
            text = " ".join(draw.choices(WORDS, k=3 if number % 5 else 2))
            rows.writerow([f"t{number}", "" if number % 300 == 7 else text, number % 50])
    with (tmp_path / "long.jsonl").open("w") as file:
        for number in range(12):
            text = ". ".join(" ".join(draw.choices(WORDS, k=20)) for _ in range(20 + number))
            file.write(json.dumps({"id": f"d{number}", "text": text, "tags": ["long"]}) + "\n")
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(120):
        picture(pictures / f"{number}.png", number // 2)
        if number % 20 == 3:
            (pictures / f"{number}.png").write_bytes(b"\x89PNG broken")
    return [str(tmp_path / "texts.csv"), str(tmp_path / "long.jsonl"), str(pictures)]


def picture(path: Path, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    PIL.Image.fromarray(pixels).save(path)


def rows(db: Path) -> dict[str, Any]:
    """Everything but times."""
    if not (db / "default.lance" / "_versions").is_dir():
        return {}
    return {
        item.id: (
            (item.uri, item.text, item.modality, item.content_hash, item.image_hash, item.width, item.height),
            dict(item.metadata),
            item.thumbnail,
            item.vector.tobytes(),
        )
        for items in Store(db).open("default").scan(vectors=True)
        for item in items
        if item.vector is not None
    }


def quarantined(db: Path) -> dict[str, Any]:
    return {
        one.uri: (one.kind, re.sub(r" at 0x\w+", "", one.reason), one.tries, one.source)
        for one in Store(db).quarantine("default").list()
    }


def wait_until(what: Callable[[], Any], seconds: float = 120) -> Any:
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
    return found


def start(*arguments: Any, errors: Any = None) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, *map(str, arguments)], stdout=subprocess.PIPE, stderr=errors, text=True)
