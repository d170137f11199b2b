"""A model that embeds queries otherwise than documents is asked for each where it belongs."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from oneword.engine import Side, Space, View
from oneword.engine.evaluation.captioned import read_captioned
from oneword.engine.evaluation.text_image import text_image
from oneword.engine.evaluation.vectors import VectorCache

X, Y, Z, NONE = [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]
TABLE = {
    ("a red one", Side.QUERY): X,
    ("a blue one", Side.QUERY): Y,
    ("red", Side.GALLERY): X,
    ("blue", Side.GALLERY): Y,
    ("red", Side.QUERY): Z,
    ("blue", Side.QUERY): NONE,
    ("a red one", Side.GALLERY): Z,
    ("a blue one", Side.GALLERY): NONE,
}


def test_captions_and_images_are_asked_and_stored(tmp_path: Path, paint: Callable[..., None], table: Any) -> None:
    paint(tmp_path, "red", "blue")
    images = [
        {"filename": f"{colour}.png", "split": "test", "sentences": [{"raw": f"a {colour} one"}]}
        for colour in ("blue", "red")
    ]
    (tmp_path / "dataset_flickr30k.json").write_text(json.dumps({"images": images}), encoding="utf-8")
    encoder = table(TABLE)
    prepare, space = encoder.prepare, encoder.space

    def sided(inputs: Any, view: View, side: Side) -> Any:
        return [(key, side) for key in prepare(inputs, view, side)]

    def with_prompts(view: View) -> Space:
        return replace(space(view), preprocessing={"prompts": {"query": "q: ", "gallery": "d: "}}, dimension=4)

    encoder.prepare, encoder.space, encoder.dimension = sided, with_prompts, 4
    report = text_image(read_captioned(tmp_path), "here", VectorCache(encoder))
    assert report.metrics["text to image R@1"] == 100
    assert report.metrics["image to text R@1"] == 100
