"""A region drawn on a picture, relevance feedback on hits, and pictures with words between them as one query."""

import json
from typing import Any

import PIL.Image
import pytest

from tests.query.web.conftest import Visitor

pytestmark = pytest.mark.web


def chips(page: Any) -> list[str]:
    return [text.strip() for text in page.locator(".chip").all_inner_texts()]


def weights(page: Any) -> list[str]:
    return [text.strip() for text in page.locator(".chip output").all_inner_texts()]


RECORD = """
window.__queries = [];
const real = window.fetch;
window.fetch = (url, options) => {
  const body = options?.body;
  if (url.endsWith("/search")) window.__queries.push(typeof body === "string" ? body : body.get("query"));
  return real(url, options);
};
"""


class Sent:
    """The queries that the page sends from now on, until it is loaded again."""

    def __init__(self, visitor: Visitor) -> None:
        self.page = visitor.page
        self.page.evaluate(f"() => {{{RECORD}}}")

    def last(self) -> Any:
        return json.loads(self.page.evaluate("window.__queries.at(-1)"))


def like(visitor: Visitor, title: str, what: str) -> None:
    """Judges a hit; "Like" is also in other names."""
    card = visitor.page.locator(".card", has=visitor.page.locator(f".title:text-is('{title}')"))
    card.hover()
    card.get_by_role("button", name=f"{what}: {title}", exact=True).click()


def test_a_region_is_drawn_with_the_mouse(visit: Any, service: Any, picture: Any, give: Any) -> None:
    visitor = visit(service)
    queries = Sent(visitor)
    give(visitor, picture("coffee.png"))
    whole = visitor.found()
    page = visitor.page
    page.get_by_role("button", name="Search by a region of this picture").click()
    page.locator(".frame img").wait_for()
    bounds = page.locator(".frame").bounding_box()
    left, top, width, height = (bounds[name] for name in ("x", "y", "width", "height"))
    page.mouse.move(left + 0.75 * width, top + 0.75 * height)
    page.mouse.down()
    page.mouse.move(left + 0.5 * width, top + 0.5 * height, steps=4)
    page.mouse.move(left + 0.25 * width, top + 0.25 * height, steps=4)
    page.mouse.up()
    shown = [float(page.get_by_label(f"{name}, percent").input_value()) for name in ("Left", "Top", "Width", "Height")]
    assert shown == pytest.approx([25, 25, 50, 50], abs=1)
    page.get_by_role("button", name="Search by this region").click()
    page.wait_for_url(lambda url: "x=0.2" in url)
    visitor.until("document.querySelector('.chip .crop')?.textContent === 'region'")
    found = visitor.found()
    (part,) = queries.last()["parts"]
    assert part["crop"] == pytest.approx([0.25, 0.25, 0.5, 0.5], abs=0.01)
    page.reload()
    assert visitor.found() == found, "the address has the region"
    page.go_back()
    assert visitor.found() == whole
    assert page.locator(".chip .crop").inner_text() == ""


def test_a_region_by_keyboard_and_typed(visit: Any, service: Any, picture: Any, give: Any) -> None:
    visitor = visit(service)
    queries = Sent(visitor)
    give(visitor, picture("coffee.png"))
    visitor.found()
    page = visitor.page
    page.get_by_role("button", name="Search by a region of this picture").focus()
    page.keyboard.press("Enter")
    page.get_by_role("dialog").wait_for()
    assert page.evaluate("document.activeElement.className") == "region", "the focus is on the region"
    for _ in range(40):
        page.keyboard.press("Shift+ArrowLeft")
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    for _ in range(70):  # stops at the border
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowUp")
    assert "Left 40 %, Top 0 %, Width 60 %, Height 99 %" in page.evaluate("window.__spoken")[-1]
    page.get_by_label("Height, percent").fill("150")  # no further than the border
    page.get_by_label("Top, percent").fill("20")
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "x=0.4%2C0.2%2C0.6%2C0.8" in url)
    visitor.found()
    assert queries.last()["parts"][0]["crop"] == [0.4, 0.2, 0.6, 0.8]
    assert "crop" in page.evaluate("document.activeElement.className"), "the focus comes back"
    page.keyboard.press("Enter")
    assert page.get_by_label("Left, percent").input_value() == "40"
    page.get_by_role("button", name="Whole picture").click()
    page.wait_for_url(lambda url: "x=" not in url)
    visitor.found()
    assert "crop" not in queries.last()["parts"][0]


def test_hits_are_liked_and_unliked_and_share_rocchios_weights(visit: Any, service: Any) -> None:
    visitor = visit(service)
    queries = Sent(visitor)
    first = visitor.search("a cat asleep")
    like(visitor, "dog.txt", "Like")
    visitor.page.wait_for_url(lambda url: "w=0.75" in url)
    visitor.until("document.querySelectorAll('.chip').length === 2")
    assert "dog.txt" not in visitor.found()
    assert weights(visitor.page) == ["1.0", "0.75"]
    like(visitor, "espresso.txt", "Like")
    visitor.page.wait_for_url(lambda url: "w=0.375" in url)
    visitor.until("document.querySelectorAll('.chip').length === 3")
    visitor.found()
    like(visitor, "moon.png", "Unlike")
    visitor.page.wait_for_url(lambda url: "w=-0.15" in url)
    visitor.until("document.querySelectorAll('.chip').length === 4")
    found = visitor.found()
    assert not {"dog.txt", "espresso.txt", "moon.png"} & set(found)
    assert [part["weight"] for part in queries.last()["parts"]] == [1, 0.375, 0.375, -0.15]
    assert visitor.page.locator(".chip.negative output").inner_text() == "−0.15"
    slider = visitor.page.get_by_label("Weight of the item").first
    assert float(slider.input_value()) == pytest.approx(0.375, abs=0.03), "the weights can be changed"
    for _ in range(3):
        visitor.page.get_by_role("button", name="Remove the item").first.click()
    visitor.until("document.querySelectorAll('.chip').length === 1")
    assert visitor.found() == first


def test_pictures_with_words_between_them_are_read_as_one(visit: Any, service: Any, picture: Any, give: Any) -> None:
    visitor = visit(service)
    queries = Sent(visitor)
    page = visitor.page
    give(visitor, picture("coffee.png"))
    visitor.found()
    page.get_by_label("Words to search for").fill("the cup of this")
    page.get_by_role("button", name="Add").click()
    visitor.until("document.querySelectorAll('.chip').length === 2")
    give(visitor, picture("chelsea.png"))
    visitor.until("document.querySelectorAll('.chip').length === 3")
    apart = visitor.found()
    page.get_by_label("Read as one").check()
    page.wait_for_url(lambda url: "j=1" in url)
    visitor.until("document.querySelectorAll('.chip.joined').length === 3")
    together = visitor.found()
    (part,) = queries.last()["parts"]
    assert [next(iter(piece)) if isinstance(piece, dict) else piece for piece in part["composed"]] == [
        "image", "the cup of this", "image"
    ]  # fmt: skip
    assert {"coffee.png", "chelsea.png"} <= set(apart)
    assert not {"coffee.png", "chelsea.png"} & set(together), "its own images are not hits"
    page.reload()
    assert visitor.found() == together


def test_an_error_of_a_piece_marks_its_chip(visit: Any, service: Any, picture: Any, give: Any) -> None:
    visitor = visit(service, "c=default&p=text:a+cat")
    visitor.expect("422")
    give(visitor, picture("coffee.png"))
    give(visitor, {"name": "broken.png", "mimeType": "image/png", "buffer": b"\x89PNG broken"})
    visitor.page.locator(".chip.blamed").wait_for()
    visitor.page.get_by_label("Read as one").check()
    visitor.page.wait_for_url(lambda url: "j=1" in url)
    visitor.page.locator(".chip.blamed").wait_for()
    assert visitor.page.locator(".chip").nth(2).get_attribute("class").split()[-1] == "blamed"


def test_a_text_that_was_cut_is_said(visit: Any, service: Any) -> None:
    visitor = visit(service)
    visitor.page.route(
        "**/v1/collections/default/search",
        lambda route: route.fulfill(json={**(answer := route.fetch().json()), "shortened": 1, "hits": answer["hits"]}),
    )
    visitor.search("a cat asleep")
    assert "a text was cut to what the model reads" in visitor.page.locator(".about").inner_text()


def test_copies_are_folded(visit: Any, service: Any) -> None:
    visitor = visit(service, "c=notes&p=text:note+about+tea")
    whole = visitor.found()
    visitor.page.get_by_label("Fold copies").check()
    visitor.page.wait_for_url(lambda url: "d=1" in url)
    queries = Sent(visitor)
    visitor.page.get_by_label("Texts").check(force=True)
    visitor.until("window.__queries.length === 1")
    assert queries.last()["fold_copies"] == 0.97
    assert len(visitor.found()) <= len(whole)


def test_the_region_of_a_picture_of_another_shape(visit: Any, service: Any, give: Any, tmp_path: Any) -> None:
    PIL.Image.new("RGB", (30, 400), "red").save(tmp_path / "tall.png")
    visitor = visit(service, viewport={"width": 400, "height": 640})
    give(visitor, {"name": "tall.png", "mimeType": "image/png", "buffer": (tmp_path / "tall.png").read_bytes()})
    visitor.found()
    visitor.page.get_by_role("button", name="Search by a region of this picture").click()
    image, frame = (visitor.page.locator(name).bounding_box() for name in (".frame img", ".frame"))
    assert image == pytest.approx(frame, abs=1), "shares of the frame are shares of the picture"
