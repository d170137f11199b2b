"""One bar for everything: words, and pictures dropped, pasted, chosen or named by a URL; chips with weights."""

from typing import Any

import pytest

pytestmark = pytest.mark.web


def chips(page: Any) -> list[str]:
    return [text.strip() for text in page.locator(".chip .said").all_inner_texts()]


def set_weight(page: Any, name: str, weight: float) -> None:
    page.get_by_label(name).evaluate(
        "(slider, weight) => { slider.value = weight; slider.dispatchEvent(new Event('input', {bubbles: true})); }",
        weight,
    )


def settled(visitor: Any, part: str) -> list[str]:
    """Hits, once the address has this in it and the answer to it is shown."""
    visitor.page.wait_for_url(lambda url: part in url)
    visitor.page.wait_for_timeout(200)  # longer than a slider rests
    titles: list[str] = visitor.found()
    return titles


def test_words(visit: Any, service: Any) -> None:
    visitor = visit(service)
    assert visitor.search("a cat asleep")[0] == "cat.txt"
    assert visitor.page.locator(".about").inner_text().startswith("11 ranked")
    assert visitor.page.locator(".about .model").inner_text() == "hash"
    assert visitor.page.get_by_label("Words to search for").input_value() == "a cat asleep"
    found = visitor.search("the rocket lifts off")
    assert found[0] == "the rocket lifts off at dawn", "a picture with its caption, and the old words are gone"
    assert chips(visitor.page) == ["“the rocket lifts off”"]


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_a_picture_is_dropped_or_pasted(visit: Any, service: Any, picture: Any, give: Any, kind: str) -> None:
    visitor = visit(service)
    visitor.page.get_by_label("Words to search for").focus()
    give(visitor, picture(), kind)
    assert visitor.found()[0] == "chelsea.png"
    assert visitor.page.locator(".chip .thumb img").count() == 1


def test_a_picture_is_chosen_and_one_named_by_url(visit: Any, service: Any, picture: Any) -> None:
    visitor = visit(service)
    visitor.page.get_by_label("Pictures to search by").set_input_files(picture("coffee.png"))
    assert visitor.found()[0] == "coffee.png"
    visitor.expect("422")
    visitor.page.get_by_label("Words to search for").fill("http://127.0.0.1/cat.jpg")
    visitor.page.keyboard.press("Enter")
    visitor.page.get_by_role("alert").get_by_text("private").first.wait_for()
    assert "p=url%3Ahttp%3A%2F%2F127.0.0.1%2Fcat.jpg" in visitor.page.url


def test_what_is_no_picture_is_refused(visit: Any, service: Any, give: Any) -> None:
    visitor = visit(service)
    visitor.page.wait_for_selector(".example")
    give(visitor, {"name": "notes.pdf", "mimeType": "application/pdf", "buffer": b"%PDF"})
    visitor.page.get_by_role("alert").get_by_text("“notes.pdf” is not an image").wait_for()
    visitor.expect("422")
    visitor.go().page.wait_for_selector(".example")
    give(visitor, {"name": "broken.png", "mimeType": "image/png", "buffer": b"\x89PNG broken"})
    alert = visitor.page.get_by_role("alert")
    alert.get_by_text("Send a JPEG, PNG").wait_for()
    assert "Request" in alert.inner_text()
    # Beside another part: the one that is wrong is marked, and can be taken away.
    visitor.page.get_by_label("Words to search for").fill("a cat asleep")
    visitor.page.get_by_role("button", name="Add").click()
    visitor.page.locator(".chip.blamed").wait_for()
    assert visitor.page.locator(".chip.blamed .thumb").count() == 1
    assert visitor.page.locator(".chip").count() == 2
    visitor.page.get_by_role("button", name="Search without the marked part").click()
    assert visitor.found()[0] == "cat.txt"
    assert visitor.page.locator(".chip.blamed").count() == 0


def test_weights_also_below_zero(visit: Any, service: Any) -> None:
    visitor = visit(service)
    visitor.search("a dog running")
    visitor.page.get_by_label("Words to search for").fill("a cat asleep")
    visitor.page.get_by_role("button", name="Add").click()
    assert set(visitor.found()[:2]) == {"cat.txt", "dog.txt"}
    assert chips(visitor.page) == ["“a dog running”", "“a cat asleep”"]
    set_weight(visitor.page, "Weight of the words “a dog running”", -0.5)
    titles = settled(visitor, "w=-0.5")
    assert titles[0] == "cat.txt"
    assert titles[-1] == "dog.txt", "less like this"
    assert visitor.page.locator(".chip.negative").count() == 1
    assert visitor.page.locator(".chip.negative output").inner_text() == "−0.5"
    set_weight(visitor.page, "Weight of the words “a dog running”", 0)
    settled(visitor, "w=0&")
    visitor.page.get_by_role("button", name="Remove the words “a dog running”").click()
    visitor.until("document.querySelectorAll('.chip').length === 1")
    assert visitor.found()[0] == "cat.txt"


def test_parts_are_moved_by_drag_and_by_keyboard(visit: Any, service: Any) -> None:
    page = visit(service, "c=default&p=text:one&p=text:two&p=text:three").page
    page.wait_for_selector(".chip")
    assert chips(page) == ["“one”", "“two”", "“three”"]
    grip = page.get_by_role("button", name="Move the words “one”;")
    grip.focus()
    page.keyboard.press("ArrowRight")
    assert chips(page) == ["“two”", "“one”", "“three”"]
    assert "the words “one” is now 2 of 3" in page.evaluate("window.__spoken")
    page.keyboard.press("ArrowRight")
    assert chips(page) == ["“two”", "“three”", "“one”"], "the focus has stayed on it"
    from_, to = page.locator(".grip").nth(2).bounding_box(), page.locator(".chip").nth(0).bounding_box()
    page.mouse.move(from_["x"] + 8, from_["y"] + 8)
    page.mouse.down()
    page.mouse.move(to["x"] + 30, to["y"] + 20, steps=8)
    page.mouse.up()
    page.wait_for_url(lambda url: url.endswith("p=text%3Aone&p=text%3Atwo&p=text%3Athree"))
    assert chips(page) == ["“one”", "“two”", "“three”"]


def test_hits_are_more_or_less_what_is_meant(visit: Any, service: Any) -> None:
    visitor = visit(service)
    visitor.search("a cat asleep")
    visitor.act("dog.txt", "More like this")
    visitor.page.wait_for_url(lambda url: "p=like" in url)
    visitor.page.get_by_text("like “a dog running").wait_for()
    assert "dog.txt" not in visitor.found(), "an item is not a hit of itself"
    visitor.search("an espresso or a cat")
    visitor.act("cat.txt", "Unlike")
    visitor.page.wait_for_url(lambda url: "w=-0.15" in url)
    assert "cat.txt" not in visitor.found()


def test_by_keyboard_alone(visit: Any, service: Any) -> None:
    visitor = visit(service)
    page = visitor.page
    page.wait_for_selector(".example")
    page.keyboard.press("/")
    page.keyboard.type("a cat asleep")
    page.keyboard.press("Enter")
    assert visitor.found()[0] == "cat.txt"
    assert "the first is a text, a cat asleep" in page.evaluate("window.__spoken")[-1]

    def tab_to(label: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            name = page.evaluate(
                "document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent"
            )
            if label in name:
                return
        raise AssertionError(f"no way by Tab to {label}")

    tab_to("Weight of the words")
    page.keyboard.press("ArrowLeft")
    assert settled(visitor, "w=0.95")[0] == "cat.txt"
    tab_to("Text, score")
    page.keyboard.press("Enter")
    page.get_by_role("dialog").wait_for()
    assert page.get_by_role("dialog").get_by_role("heading", name="cat.txt").is_visible()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="hidden")
    assert "Show more" in page.evaluate("document.activeElement.getAttribute('aria-label')"), "the focus comes back"
    tab_to("Unlike")
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "p=like" in url)
