"""The row of docs/models.md that a measurement ends with."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from oneword.engine.catalog import describe
from oneword.engine.evaluation.report import Report
from oneword.engine.evaluation.row import HEAD, row, row_of
from oneword.engine.hashing import HashEncoder

REPORT = Report(
    task="text-image",
    data="/data/flickr30k/",
    model="any",
    fingerprints={},
    counts={"images": 1000, "captions": 5000},
    metrics={"text to image R@1": 80.123, "image to text R@1": 88.0},
)
WHERE = "`oneword eval text-image`, flickr30k, 1,000 images, 5,000 captions"
MEASURED = f"text to image R@1 80.1, image to text R@1 88.0 ({WHERE})"


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def test_a_known_models_row_is_the_pages_with_its_figures() -> None:
    known = describe("siglip2")
    assert known is not None
    encoder: Any = HashEncoder()
    encoder.name = known.name
    assert cells(row_of(encoder, REPORT)) == [*cells(row(known))[:-1], MEASURED]
    assert row(known) in Path(__file__).parents[3].joinpath("docs", "models.md").read_text(encoding="utf-8")


def test_any_models_row_has_what_is_known_of_it(table: Any) -> None:
    encoder = table({})
    assert cells(row_of(encoder, REPORT)) == ["`table`", "?", "3", "?", "?", "?", "one forward pass", "?", MEASURED]
    space = encoder.space
    encoder.space = lambda view: replace(space(view), preprocessing={"image_in_composed": 1.0})
    assert cells(row_of(encoder, REPORT))[6] == "sum of both"
    assert len(cells(row_of(encoder, REPORT))) == len(cells(HEAD.splitlines()[0]))


def test_one_command_prints_it(tmp_path: Path, paint: Callable[..., None]) -> None:
    paint(tmp_path, "red", "blue")
    images = [{"filename": f"{one}.png", "split": "test", "sentences": [{"raw": one}]} for one in ("red", "blue")]
    (tmp_path / "dataset_flickr30k.json").write_text(json.dumps({"images": images}), encoding="utf-8")
    command = [sys.executable, "-m", "oneword", "eval", "text-image", "--data", str(tmp_path), "--model", "hash"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3]).stdout
    assert "Its row of docs/models.md:\n| `hash` | Word and color hashing" in said
    assert "text to image R@1" in said.splitlines()[-1]
