"""Collections, results and the search box in a notebook, run by a kernel as a user's is."""

from pathlib import Path
from typing import Any

import nbformat
import PIL.Image
import pytest
from nbclient import NotebookClient

import oneword
from oneword.query.result import data_uri
from oneword.query.wire import image_uri

ROOT = Path(__file__).parents[1]

CELLS = (
    "import oneword\nphotos = oneword.connect('db').collection('photos', model='basic')\nphotos",
    "photos.index('pictures'); photos",
    "photos.search('red bicycle', explain=2)",
    "box = oneword.widget(photos, query='red bicycle')\nbox",
    "box.where = 'format = txt'\n[hit['name'] for hit in box.hits]",
    "box.where = 'format ='\nbox.note, box.hits",
)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for color in ("red", "blue"):
        PIL.Image.new("RGB", (60, 40), color).save(folder / f"{color}.png")
    (folder / "<b>.txt").write_text("a red bicycle <script>alert(1)</script>")
    return folder


def test_a_notebook_shows_all_of_it(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(pictures.parent)}})
    client.execute()
    shown = [next(one for one in cell.outputs if one.output_type == "execute_result").data for cell in notebook.cells]
    assert "Collection(&#x27;photos&#x27;)" in shown[0]["text/html"]
    assert "1 texts" in shown[1]["text/html"]
    assert shown[1]["text/html"].count("data:image/") == 2
    grid = shown[2]["text/html"]
    assert (grid.count("<figure"), grid.count("data:image/"), "<script" in grid) == (3, 2, False)
    assert "Words of the query: " in grid
    assert "application/vnd.jupyter.widget-view+json" in shown[3]
    assert shown[4]["text/plain"] == "['%3Cb%3E.txt']"
    assert "expected" in shown[5]["text/plain"]
    assert shown[5]["text/plain"].endswith("[])")


def test_the_box_searches_whenever_it_is_changed(pictures: Path) -> None:
    photos = oneword.connect(pictures.parent / "db").collection("photos", model="hash")
    photos.index(pictures)
    box: Any = oneword.widget(photos)
    assert (box.hits, box.note, box.result) == ([], "", None)
    box.image = image_uri(pictures / "red.png")
    assert [hit["name"] for hit in box.hits][:1] == ["red.png"]
    assert box.hits[0]["image"] == data_uri(box.result.thumbnails()[box.hits[0]["id"]])
    box.query = "but blue"
    assert "red.png" not in [hit["name"] for hit in box.hits]  # its own copy
    box.limit = 1
    assert len(box.hits) == 1
    box.image = "data:image/png;base64,%%%"
    assert (box.hits, box.result) == ([], None)
    assert "not a data URI" in box.note
