"""The search box of notebooks, in a browser, against a model that only keeps what it is given."""

from pathlib import Path
from typing import Any

import PIL.Image
import pytest

import oneword

SOURCE = (Path(oneword.__file__).parent / "notebook.js").read_text(encoding="utf-8")

PAGE = """
import box from "data:text/javascript;base64,SOURCE";
const values = { query: "", image: "", note: "", hits: [] };
const listeners = {};
window.model = {
  saved: 0,
  get: (name) => values[name],
  set: (name, value) => { values[name] = value; listeners[`change:${name}`]?.(); },
  save_changes: () => { window.model.saved += 1; },
  on: (name, listener) => { listeners[name] = listener; },
  off: (name) => { delete listeners[name]; },
};
window.end = box.render({ model: window.model, el: document.body });
window.left = () => Object.keys(listeners);
"""


@pytest.fixture
def page(browser: Any) -> Any:
    import base64

    page = browser.new_page()
    page.set_content("<!doctype html><title>A notebook</title><body></body>")
    source = base64.b64encode(SOURCE.encode()).decode()
    page.add_script_tag(type="module", content=PAGE.replace("SOURCE", source))
    page.wait_for_function("() => 'end' in window")
    yield page
    page.close()


def test_words_and_an_image_are_handed_over(page: Any, tmp_path: Path) -> None:
    PIL.Image.new("RGB", (8, 8), "red").save(tmp_path / "red.png")
    page.get_by_role("searchbox", name="Search").fill("a cat")
    page.get_by_role("searchbox", name="Search").press("Enter")
    assert page.evaluate("[model.get('query'), model.saved]") == ["a cat", 1]
    without = page.get_by_role("button", name="Without the image")
    assert not without.is_visible()
    page.get_by_label("Search by an image").set_input_files(tmp_path / "red.png")
    page.wait_for_function("model.get('image').startsWith('data:image/png;base64,')")
    without.click()
    assert page.evaluate("model.get('image')") == ""
    assert not without.is_visible()


def test_hits_are_shown_as_text(page: Any) -> None:
    red = "data:image/gif;base64,R0lGODlhAQABAAAAACw="
    hits = [
        {"id": "1", "score": 0.5, "name": "a.png", "text": "<b onclick=alert(1)>bold</b>", "image": red},
        {"id": "2", "score": 0.25, "name": "b.txt", "text": "", "image": ""},
    ]
    page.evaluate("(hits) => { model.set('hits', hits); model.set('note', '2 items'); }", hits)
    assert page.locator("figure").count() == 2
    assert page.locator("b").count() == 0
    assert page.get_by_text("<b onclick=alert(1)>bold</b>").is_visible()
    assert page.locator("img").get_attribute("alt") == "<b onclick=alert(1)>bold</b>"
    assert page.get_by_text("2 items").is_visible()
    page.evaluate("window.end()")
    assert page.evaluate("window.left()") == []
