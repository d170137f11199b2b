"""Words in a picture that match the query are marked over it."""

from pathlib import Path
from typing import Any

import pytest

from oneword.indexer import JobConfig, index_paths
from tests.pictures_with_text import sign

pytestmark = pytest.mark.web


@pytest.fixture(scope="module")
def signs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a picture that shows words, and another one."""
    pytest.importorskip("rapidocr")
    folder = tmp_path_factory.mktemp("signs")
    sign("harbor museum", "open daily").save(folder / "sign.png")
    sign("castle").save(folder / "other.png")
    index_paths(
        [folder / "sign.png", folder / "other.png"], db=str(folder / "db"), model="hash", config=JobConfig(ocr=True)
    )
    return folder / "db"


def test_words_are_marked_where_they_are(visit: Any, start: Any, signs: Path) -> None:
    visitor = visit(start("--db", signs), "c=default&p=text:museum&r=words")
    assert visitor.found() == ["sign.png"]
    visitor.page.locator(".face").first.click()
    marks = visitor.page.get_by_role("img", name="Marked: museum")
    marks.wait_for()
    assert marks.locator("rect").count() == 1
    assert visitor.page.locator(".matched").inner_text() == "“harbor museum”"
    box, picture = marks.locator("rect").bounding_box(), visitor.page.locator(".plate img").bounding_box()
    assert picture["width"] / 3 < box["x"] + box["width"] / 2 - picture["x"] < picture["width"] * 2 / 3
    assert box["y"] + box["height"] / 2 < picture["y"] + picture["height"] / 2  # in the first of two lines


def test_without_keywords_nothing_is_marked(visit: Any, start: Any, signs: Path) -> None:
    visitor = visit(start("--db", signs), "c=default&p=text:museum")
    visitor.found()
    visitor.page.locator(".card", has_text="sign.png").locator(".face").click()
    visitor.until("document.querySelector('.plate img')?.src.startsWith('blob:')")
    assert visitor.page.locator(".marks").count() == 0
