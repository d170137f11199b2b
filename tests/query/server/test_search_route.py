"""POST /v1/collections/{collection}/search: every kind of part, against a real server."""

import base64
import io
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from indexer import index_paths


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    album = tmp_path_factory.mktemp("album")
    for name, colour in {"red": "red", "blue": "blue", "green": "green"}.items():
        PIL.Image.new("RGB", (40, 30), colour).save(album / f"{name}.png")
    (album / "cat.txt").write_text("the cat sleeps on the sofa", encoding="utf-8")
    (album / "owl.txt").write_text("we saw an owl at night", encoding="utf-8")
    return album


@pytest.fixture(scope="module")
def service(start: Any, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    db = tmp_path_factory.mktemp("store") / "db"
    index_paths([folder], db=str(db), model="hash")
    return start("--db", db)


def names(result: Any) -> list[str]:
    return [hit["uri"].rsplit("/", 1)[1] for hit in result["hits"]]


def data_uri(colour: str) -> str:
    file = io.BytesIO()
    PIL.Image.new("RGB", (40, 30), colour).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def test_words(service: Any) -> None:
    result = service.search({"text": "the cat sleeps"})
    assert names(result)[0] == "cat.txt"
    assert set(result["timings"]) == {"encode_ms", "search_ms", "total_ms"}
    assert (result["model"], result["collection"], result["total"]) == ("hash", "default", 5)
    again = service.search({"text": "the cat sleeps", "offset": 2, "limit": 2, "version": result["version"]})
    assert names(again) == names(result)[2:4]
