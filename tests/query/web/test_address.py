"""A search is an address: to be shared, to go back to, to be loaded again."""

from typing import Any

import pytest

pytestmark = pytest.mark.web


def test_an_address_is_shared(visit: Any, service: Any, conditions: Any) -> None:
    visitor = visit(service)
    visitor.search("a cat asleep")
    visitor.act("dog.txt", "Unlike")
    visitor.page.get_by_label("Texts").check(force=True)
    visitor.page.wait_for_url(lambda url: "m=text" in url)
    found = visitor.found()
    assert found[0] == "cat.txt"
    other = visit(service, visitor.page.url.split("#")[1])
    assert other.found() == found
    assert other.page.locator(".chip").count() == 2
    assert other.page.get_by_label("Texts").is_checked()
    assert other.page.get_by_label("Words to search for").input_value() == "a cat asleep"


def test_back_and_forward(visit: Any, service: Any) -> None:
    visitor = visit(service)
    cat = visitor.search("a cat asleep")
    dog = visitor.search("a dog running")
    visitor.page.go_back()
    visitor.page.wait_for_url(lambda url: "cat" in url)
    assert visitor.found() == cat
    assert visitor.page.get_by_label("Words to search for").input_value() == "a cat asleep"
    visitor.page.go_forward()
    visitor.page.wait_for_url(lambda url: "dog" in url)
    assert visitor.found() == dog
    visitor.page.go_back()
    visitor.page.go_back()
    visitor.page.wait_for_selector(".example")
    assert visitor.page.locator(".chip").count() == 0


def test_a_dropped_picture_is_there_after_a_reload_and_missed_elsewhere(
    visit: Any, service: Any, picture: Any, give: Any
) -> None:
    visitor = visit(service)
    give(visitor, picture("coffee.png"))
    found = visitor.found()
    visitor.page.reload()
    assert visitor.found() == found
    visitor.search("and a cat")
    visitor.page.go_back()
    assert visitor.found() == found
    other = visit(service, visitor.page.url.split("#")[1])
    other.page.get_by_role("alert").get_by_text("a picture that is not in this browser").wait_for()


def test_what_an_address_says_wrongly_is_left_out(visit: Any, service: Any) -> None:
    visitor = visit(service, "c=default&p=text:a+cat&w=x&at=9&m=smell&r=luck&f={&s=nothing&p=:&e=&zzz")
    assert visitor.found()[0] == "cat.txt"
    assert visitor.page.locator(".chip").count() == 1
