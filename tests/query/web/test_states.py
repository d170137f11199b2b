"""What stands where results would: no key, no connection, an error, nothing stored. Never a blank page."""

from pathlib import Path
from typing import Any

import pytest

from oneword.query.server.keys import changing, make

pytestmark = pytest.mark.web


def test_an_error_is_told_whole(visit: Any, service: Any, conditions: Any) -> None:
    visitor = visit(service, "c=default&p=text:a+cat" + conditions({"field": "colour", "any": ["red"]}))
    visitor.expect("422")
    alert = visitor.page.get_by_role("alert")
    alert.get_by_text("colour").first.wait_for()
    told = alert.inner_text()
    assert "GET /v1/collections/NAME" in told, "what to do"
    assert "Request " in told, "what the operator can look for"
    visitor.go("c=default&p=text:a+cat")
    assert visitor.found()[0] == "cat.txt"


def test_offline_and_back(visit: Any, service: Any) -> None:
    visitor = visit(service)
    visitor.expect("ERR_INTERNET_DISCONNECTED")
    visitor.page.wait_for_selector(".example")
    visitor.page.context.set_offline(True)
    visitor.page.get_by_label("Words to search for").fill("a cat asleep")
    visitor.page.keyboard.press("Enter")
    visitor.page.get_by_role("heading", name="No connection").wait_for()
    assert "This device is offline" in visitor.page.get_by_role("alert").inner_text()
    assert visitor.page.locator(".chip").count() == 1, "the query is kept"
    visitor.page.get_by_role("button", name="Try again").click()
    visitor.page.get_by_role("heading", name="No connection").wait_for()
    visitor.page.context.set_offline(False)
    visitor.page.wait_for_selector(".card:not(.bones)")  # by itself
    assert visitor.found()[0] == "cat.txt"


def test_a_later_page_that_fails_is_asked_for_again(visit: Any, service: Any) -> None:
    visitor = visit(service, "c=notes&p=text:note+about+tea")
    visitor.expect("ERR_FAILED")
    visitor.page.route(
        "**/search", lambda route: route.abort() if "offset" in route.request.post_data else route.continue_()
    )
    visitor.found()
    visitor.page.mouse.wheel(0, 9000)
    visitor.page.get_by_text("The next results could not be had").wait_for()
    visitor.page.unroute("**/search")
    visitor.page.get_by_role("button", name="Try again").click()
    visitor.until("document.querySelectorAll('.card:not(.bones)').length > 24")


@pytest.fixture(scope="module")
def keyed(start: Any, service: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A service that wants keys, and two of them."""
    file = tmp_path_factory.mktemp("keys") / "keys.toml"
    secrets = {}
    with changing(file) as keys:
        for scope in ("read", "admin"):
            key, secrets[scope] = make(scope, scope)
            keys.append(key)
    db = service.process.args[service.process.args.index("--db") + 1]
    return start("--db", db, "--api-keys", file), secrets


def test_a_key_is_asked_for(visit: Any, keyed: Any) -> None:
    service, keys = keyed
    visitor = visit(service, "c=default&p=text:a+cat+asleep")
    visitor.expect("401")
    page = visitor.page
    page.get_by_role("heading", name="This service requires a key").wait_for()
    assert page.evaluate("document.activeElement.id") == "key"
    page.keyboard.type("wrong")
    page.keyboard.press("Enter")
    page.get_by_text("the API key is unknown").wait_for()
    page.get_by_label("API key").fill(keys["read"])
    page.keyboard.press("Enter")
    assert visitor.found()[0] == "cat.txt", "the address was kept"
    assert page.locator(".card img").count() > 0, "pictures need the key too"
    page.locator(".card.image .face").first.click()
    visitor.until("document.querySelector('dialog img')?.src.startsWith('blob:')")
    page.keyboard.press("Escape")
    page.reload()
    assert visitor.found()[0] == "cat.txt", "it is kept until the tab is closed"
    assert keys["read"] not in page.url
    page.get_by_role("button", name="Collection", exact=True).click()
    page.get_by_text("Your key may search this collection, not write to it").wait_for()
    page.get_by_text("recall at 10").wait_for()
    assert page.get_by_role("button", name="Measure recall now").count() == 0, "that is for admins"
    page.get_by_role("button", name="Forget the key").click()
    page.get_by_role("heading", name="This service requires a key").wait_for()


def test_a_key_that_may_not(visit: Any, keyed: Any) -> None:
    service, keys = keyed
    visitor = visit(service, None)
    visitor.page.add_init_script(f"sessionStorage.setItem('oneword.key', '{keys['admin']}')")
    visitor.go("c=shelf&page=collection")
    visitor.page.get_by_text("Choose files").wait_for()
    visitor.page.evaluate("(key) => sessionStorage.setItem('oneword.key', key)", keys["read"])  # meanwhile another
    visitor.expect("403")
    visitor.page.get_by_label("Files to store").set_input_files(
        [{"name": "one.txt", "mimeType": "text/plain", "buffer": b"one"}]
    )
    visitor.page.get_by_text("this needs the scope 'write'").wait_for()


def test_nothing_is_stored(visit: Any, service: Any, start_for_all: Any, tmp_path: Path) -> None:
    page = visit(service, "c=empty").page
    page.get_by_role("heading", name="“empty” is empty").wait_for()
    assert page.get_by_text("oneword index photos --collection empty").is_visible()
    page.get_by_role("button", name="Upload images and texts").click()
    page.get_by_text("Choose files, or drop them here").wait_for()
    lost = visit(service, "c=gone&p=text:a+cat").page
    lost.get_by_role("heading", name="There is no collection “gone”").wait_for()
    lost.get_by_role("alert").get_by_role("button", name="default").click()
    lost.get_by_text("cat.txt").wait_for()
    none = visit(start_for_all("--db", tmp_path / "db", "--model", "hash")).page
    none.get_by_role("heading", name="No collection yet").wait_for()
    assert none.get_by_text("oneword index photos", exact=True).is_visible()


def test_another_collection_is_picked(visit: Any, service: Any) -> None:
    visitor = visit(service)
    visitor.search("a cat asleep")
    visitor.page.get_by_label("Collection", exact=True).select_option("notes")
    visitor.page.wait_for_url(lambda url: "c=notes" in url)
    assert visitor.found()[0].startswith("note "), "the words are asked of the other one"
    assert "view default" in visitor.page.locator(".picker").inner_text()
