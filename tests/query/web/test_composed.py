"""A picture and an edit, side by side with what is found; and the chain of edits, each step of which can be seen."""

from typing import Any

import pytest

from oneword.indexer import index_paths
from oneword.query import SearchService

pytestmark = pytest.mark.web


@pytest.fixture(scope="module")
def meaning(start_for_all: Any, album: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The same photographs and texts, by a model that understands them."""
    db = tmp_path_factory.mktemp("meaning") / "db"
    index_paths([album], db=str(db), model="basic")
    searching = SearchService(str(db))
    searching.collection.build_index(unrelated=searching.unrelated)
    return start_for_all("--db", db)


def test_a_picture_and_an_edit(visit: Any, meaning: Any, picture: Any, give: Any) -> None:
    visitor = visit(meaning)
    assert visitor.search("a cat")[:1] == ["chelsea.png"]
    assert visitor.page.locator(".card", has_text="low confidence").count()
    assert not visitor.page.locator(".card:has-text('chelsea.png'):has-text('low confidence')").count()
    visitor.go().page.wait_for_selector(".example")
    give(visitor, picture())
    assert visitor.found()[0] == "chelsea.png"
    edit = visitor.page.get_by_label("How results should differ from this picture")
    edit.fill("but a dog on the beach instead of the cat")
    edit.press("Enter")
    visitor.page.wait_for_url(lambda url: "e=but+a+dog" in url)
    assert visitor.found()[0] == "dog.txt"
    side = visitor.page.get_by_role("complementary", name="Reference and edits")
    assert side.get_by_alt_text("The reference picture").is_visible()
    assert "“but a dog on the beach instead of the cat”" in side.inner_text()
    assert side.bounding_box()["x"] < visitor.page.locator(".hits").bounding_box()["x"], "side by side"


def test_where_nothing_fits_the_nearest_are_folded_away(visit: Any, meaning: Any) -> None:
    page = visit(meaning).page
    page.get_by_label("Words to search for").fill("a tax return")
    page.keyboard.press("Enter")
    page.get_by_text("Nothing fits well").wait_for()
    card = page.locator(".card:not(.bones)").first
    assert not card.is_visible()
    page.get_by_text("Show the nearest").click()
    card.wait_for()
    assert "low confidence" in card.inner_text()


def test_the_chain_of_edits(visit: Any, service: Any) -> None:
    visitor = visit(service)
    visitor.search("the rocket lifts off")
    visitor.act("the rocket lifts off at dawn", "Edit this")
    page = visitor.page
    page.keyboard.type("a cat asleep")  # the edit box has the focus
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "e=a+cat+asleep" in url)
    first = visitor.found()
    assert "cat.txt" in first[:3]
    visitor.act("coffee.png", "Edit this")
    page.keyboard.type("a dog running")
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "e=a+dog+running" in url)
    second = visitor.found()
    assert second != first
    chain = page.get_by_role("navigation", name="Chain of edits")
    steps = chain.get_by_role("button")
    assert [text.strip() for text in steps.all_inner_texts()] == ["“a cat asleep”", "“a dog running”"]
    assert steps.nth(1).get_attribute("aria-current") == "step"
    steps.nth(0).click()
    assert visitor.found() == first, "each step can be returned to"
    assert chain.get_by_role("button").count() == 2, "and the later ones stay in sight"
    assert chain.get_by_role("button").nth(0).get_attribute("aria-current") == "step"
    page.go_back()
    assert visitor.found() == second
    other = visit(service, page.url.split("#")[1])
    assert other.found() == second
    assert other.page.get_by_role("navigation", name="Chain of edits").get_by_role("button").count() == 2


def test_an_edit_is_changed_and_taken_back(visit: Any, service: Any) -> None:
    visitor = visit(service)
    visitor.search("the rocket lifts off")
    visitor.act("the rocket lifts off at dawn", "Edit this")
    page = visitor.page
    side = page.get_by_role("complementary", name="Reference and edits")
    side.get_by_role("button", name="Say how results should differ").click()
    page.keyboard.type("a dog")
    page.keyboard.press("Enter")
    side.get_by_text("“a dog”").wait_for()
    visitor.found()
    page.get_by_label("How results should differ").fill("a cat")
    page.keyboard.press("Enter")
    side.get_by_text("“a cat”").wait_for()
    visitor.found()
    page.get_by_role("button", name="Remove the picture").click()
    page.wait_for_selector(".example")
    assert side.count() == 0
