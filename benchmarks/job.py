"""`oneword index` on a device: killed in mid-run, run again, and compared with the encoder. A section of gpu.py."""

import csv
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from drawn import images, jpeg, texts, worst

from oneword.engine import Image, Text, encode, views
from oneword.engine.images import decode

ROOT = Path(__file__).resolve().parents[1]
CHECKED = 32
"""Items of each kind whose vectors are compared."""


def ran(encoder: Any, model: Path, folder: Path, *, count: int) -> dict[str, Any]:
    """Indexes JPEG files of 640x480 and twice as many texts, with `kill -9` after the first commit, then again.

    Args:
        encoder: computes the vectors that the stored ones are compared with.
        model: the checkpoint.
        folder: an empty folder for the files and the store.

    Returns:
        Of the second run, which embeds what is left: seconds of the whole command, share of the job in which the
        encoder was at work, rates and stages. How many items are missing or there twice, and the lowest cosine of a
        stored vector to the encoder's.
    """
    photos, table = folder / "photos", folder / "texts.csv"
    photos.mkdir(parents=True)
    for number, image in enumerate(images(count, (640, 480))):
        (photos / f"{number:05}.jpg").write_bytes(jpeg(image.pixels))
    rows = [(f"text-{number}", one.text) for number, one in enumerate(texts(2 * count, 16)) if isinstance(one, Text)]
    with table.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("id", "text"), *rows])
    command = [sys.executable, "-m", "oneword", "index", str(photos), str(table), "--id-column", "id"]
    command += ["--text-column", "text", "--model", str(model), "--db", str(folder / "db"), "--json"]
    committed = killed(command, folder)
    began = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(done.stderr.strip()[-500:])
    report = json.loads(done.stdout)
    wrong = compared(encoder, folder, photos, dict(rows))
    return {
        "committed_before_kill": committed,
        "indexed_after": report["indexed"],
        "unchanged": report["unchanged"],
        "seconds": round(seconds, 1),
        "busy": round(report["stages"]["encode"] / report["seconds"], 3),
        "inputs_per_second": report["inputs_per_second"],
        "stages": report["stages"],
        "peak_mib": report["peak_mib"],
        **wrong,
        "met": wrong["missing"] == wrong["surplus"] == 0 and wrong["cosine"] >= 0.999,
    }


def killed(command: list[str], folder: Path) -> int:
    """Kills a job once it has committed, or lets it end. Returns the number of items that are stored."""
    import oneword

    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as job:
        collection = oneword.connect(folder / "db").collection("default")
        while job.poll() is None:
            try:
                if collection.count():
                    job.kill()
            except oneword.Error:  # not made yet
                pass
            time.sleep(0.2)
    return collection.count()


def compared(encoder: Any, folder: Path, photos: Path, texts_by_id: dict[str, str]) -> dict[str, Any]:
    """Counts items that are missing, or that nothing was given for; compares vectors of some."""
    import oneword

    collection = oneword.connect(folder / "db").collection("default")
    stored = list(collection.scroll(page=1000))
    files = {file.as_uri(): file for file in sorted(photos.iterdir())}
    given = set(texts_by_id) | set(files)
    there = [item.id if item.id in texts_by_id else item.uri for item in stored]
    some = [item.id for item in stored if item.id in texts_by_id][:CHECKED]
    some += [item.id for item in stored if item.uri in files][:CHECKED]
    held = collection.get(some, include=("payload", "vector"))
    inputs = [
        Text(text=texts_by_id[id_])
        if id_ in texts_by_id
        else Image(pixels=decode(files[str(held[id_].uri)].read_bytes()))
        for id_ in some
    ]
    vectors = np.array([held[id_].vector for id_ in some], dtype=np.float32)
    return {
        "missing": len(given - set(there)),
        "surplus": len(there) - len(given & set(there)),
        "cosine": worst(vectors, encode(encoder, inputs, views.DEFAULT)),
    }
