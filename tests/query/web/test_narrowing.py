"""Filters made of a collection's metadata, kinds of items, ranking by words; and pages that never repeat."""

from typing import Any

import pytest

pytestmark = pytest.mark.web


def test_filters_are_made_of_metadata(visit: Any, service: Any) -> None:
    visitor = visit(service, "c=notes&p=text:note+about+tea")
    visitor.found()
    page = visitor.page
    page.get_by_role("button", name="Filters").click()
    assert page.get_by_label("year from").get_attribute("placeholder") == "2000"
    page.get_by_label("year from").fill("2055")
    page.get_by_label("year from").press("Enter")
    page.wait_for_url(lambda url: "gte" in url)
    assert len(visitor.found()) == 5
    page.get_by_role("checkbox", name="even").check(force=True)
    page.wait_for_url(lambda url: "even" in url)
    assert len(visitor.found()) == 2, "2056 and 2058"
    assert page.get_by_role("button", name="Filters").locator(".count").inner_text() == "2"
    page.get_by_label("year from").fill("")
    page.get_by_label("year from").press("Enter")
    page.get_by_role("group", name="draft").get_by_role("checkbox", name="true").check(force=True)
    page.wait_for_url(lambda url: "true" in url)
    assert len(visitor.found()) == 3, "0, 2 and 4"
    page.get_by_role("button", name="Clear filters").click()
    page.wait_for_url(lambda url: "f=" not in url)
    assert len(visitor.found()) == 24


def test_what_filters_leave_nothing_of(visit: Any, service: Any, conditions: Any) -> None:
    visitor = visit(service, "c=notes&p=text:tea" + conditions({"field": "year", "range": {"gte": 3000}}))
    assert visitor.found() == []
    visitor.page.get_by_role("heading", name="Nothing found").wait_for()
    visitor.page.get_by_role("button", name="Clear filters").last.click()
    visitor.page.wait_for_url(lambda url: "f=" not in url)
    assert len(visitor.found()) == 24


def test_kinds_of_items(visit: Any, service: Any) -> None:
    visitor = visit(service)
    everything = visitor.search("a cat asleep")
    visitor.page.get_by_label("Pictures", exact=True).check(force=True)
    visitor.page.wait_for_url(lambda url: "m=image" in url)
    pictures = visitor.found()
    visitor.page.get_by_label("Texts", exact=True).check(force=True)
    visitor.page.wait_for_url(lambda url: "m=text" in url)
    assert sorted(pictures + visitor.found()) == sorted(everything)
    assert len(pictures) == 8


def test_keywords_and_both(visit: Any, service: Any, picture: Any, give: Any) -> None:
    visitor = visit(service)
    visitor.search("espresso")
    visitor.page.get_by_label("Keywords").check(force=True)
    visitor.page.wait_for_url(lambda url: "r=words" in url)
    assert visitor.found() == ["espresso.txt"], "the only text that has the word"
    assert visitor.page.locator(".about .model").inner_text() == "no model"
    visitor.page.get_by_label("Both").check(force=True)
    visitor.page.wait_for_url(lambda url: "r=both" in url)
    both = visitor.found()
    assert both[0] == "espresso.txt"
    assert len(both) > 1
    assert float(visitor.page.locator(".score").first.inner_text()) < 0.04, "what the fusion of two rankings gives"
    visitor.go().page.wait_for_selector(".example")
    give(visitor, picture())
    visitor.found()
    assert visitor.page.get_by_label("Keywords").is_disabled(), "without words in the query there are none"


def test_scrolling_goes_on_without_repeats_of_one_version(visit: Any, service: Any) -> None:
    visitor = visit(service, "c=notes&p=text:note+about+coffee")
    assert len(visitor.found()) == 24
    ids = visitor.page.locator(".card:not(.bones)").evaluate_all("cards => cards.map((card) => card.dataset.id)")
    notes = service.post("/collections/notes/items:get", {"ids": ids[:2]}).json()["items"]
    late = {"id": "late", "text": "note about coffee", "metadata": {"year": 1999}}
    assert service.post("/collections/notes/items:delete", {"ids": ids[:2]}).status_code == 200
    assert service.post("/collections/notes/items", {"items": [late]}).status_code == 200
    try:
        for _ in range(40):
            visitor.page.mouse.wheel(0, 3000)
            visitor.page.wait_for_timeout(100)
            if visitor.page.get_by_text("That is all:").count():
                break
        ids = visitor.page.locator(".card:not(.bones)").evaluate_all("cards => cards.map((card) => card.dataset.id)")
        assert len(ids) == len(set(ids)) == 60, "of the version that was asked: none twice, none left out"
        assert "late" not in ids, "which would be the best hit now"
    finally:
        again = [{name: note[name] for name in ("id", "text", "metadata")} for note in notes]
        assert service.post("/collections/notes/items", {"items": again}).status_code == 200
        assert service.http.delete(f"{service.url}/v1/collections/notes/items/late").status_code == 204


def test_only_the_last_answer_is_shown(visit: Any, service: Any) -> None:
    visitor = visit(service)
    visitor.page.wait_for_selector(".example")
    held: list[Any] = []

    def slow(route: Any) -> None:
        if "asleep" in (route.request.post_data or ""):
            held.append(route)  # answered late
        else:
            route.continue_()

    visitor.page.route("**/search", slow)
    visitor.page.get_by_label("Words to search for").fill("a cat asleep")
    visitor.page.keyboard.press("Enter")
    visitor.page.wait_for_selector(".card.bones")
    visitor.page.wait_for_timeout(100)
    assert visitor.search("a dog running")[0] == "dog.txt"
    assert held
    held[0].abort()
    visitor.page.wait_for_timeout(200)
    assert visitor.found()[0] == "dog.txt"
    assert visitor.page.get_by_role("alert").count() == 0


def test_whole_numbers_beyond_what_javascript_holds(visit: Any, service: Any) -> None:
    numbers = [2**53 - 1, 2**53, 2**53 + 1, 2**53 + 2]
    service.post("/collections", {"name": "large"}).raise_for_status()
    items = [{"id": f"{number}", "text": f"tea {number}", "metadata": {"number": number}} for number in numbers]
    service.post("/collections/large/items", {"items": items}).raise_for_status()
    visitor = visit(service, "c=large&p=text:tea")
    assert len(visitor.found()) == 4
    page = visitor.page
    page.get_by_role("button", name="Filters").click()
    page.get_by_label("number from").fill(f"{2**53 + 1}")
    page.get_by_label("number from").press("Enter")
    page.wait_for_url(lambda url: "gte" in url)
    assert sorted(visitor.found()) == [f"tea {2**53 + 1}", f"tea {2**53 + 2}"]
    page.reload()
    assert sorted(visitor.found()) == [f"tea {2**53 + 1}", f"tea {2**53 + 2}"]
    service.http.delete(f"{service.url}/v1/collections/large").raise_for_status()
