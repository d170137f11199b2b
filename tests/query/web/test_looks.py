"""What every visitor gets: no barriers that axe-core knows of, themes, phone width, few bytes, and nothing jumps."""

import time
from typing import Any

import pytest

pytestmark = pytest.mark.web

STATES = {
    "welcome": "",
    "results": "c=default&p=text:a+cat&p=text:blurry&w=-0.5",
    "composed": "c=default&p=hit:ID&e=a+cat&s=hit:ID&e=a+dog&s=hit:ID&e=a+cat&at=1",
    "joined": "c=default&p=hit:ID&x=0.2,0.2,0.5,0.5&p=text:a+cat&p=like:ID&w=-0.15&j=1",
    "nothing": 'c=notes&p=text:tea&f={"field":"year","range":{"gte":3000}}',
    "error": 'c=default&p=text:tea&f={"field":"colour","any":["red"]}',
    "collection": "c=default&page=collection",
    "empty": "c=empty",
    "unknown": "c=gone",
}


def settle(visitor: Any) -> None:
    """Until all that was asked for is there."""
    visitor.page.wait_for_selector("main > *")
    visitor.until("document.querySelectorAll('.bones, [aria-busy]').length === 0")


@pytest.fixture(scope="module")
def rocket(service: Any) -> str:
    return str(service.search({"text": "the rocket lifts off"})["hits"][0]["id"])


@pytest.mark.parametrize("state", STATES)
def test_no_barriers(visit: Any, service: Any, rocket: str, state: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python").Axe()
    visitor = visit(service, STATES[state].replace("ID", rocket), reduced_motion="reduce")
    visitor.expect("422")
    settle(visitor)
    if state == "results":
        visitor.page.get_by_role("button", name="Filters").click()
        visitor.page.get_by_role("group", name="format").wait_for()
    assert barriers(axe, visitor) == []
    visitor.page.emulate_media(color_scheme="dark")
    assert barriers(axe, visitor, "color-contrast") == []
    if state == "results":
        visitor.page.locator(".card .face").first.click()
        visitor.page.get_by_role("dialog").get_by_text("Id", exact=True).wait_for()
        assert barriers(axe, visitor) == []
    if state == "joined":
        visitor.page.get_by_role("button", name="Change the region").click()
        visitor.page.locator(".frame img").wait_for()
        assert barriers(axe, visitor) == []


def barriers(axe: Any, visitor: Any, *rules: str) -> list[str]:
    options = {"runOnly": rules} if rules else {}
    found = axe.run(visitor.page, options={"resultTypes": ["violations"], **options}).response["violations"]
    return [
        f"{one['id']}: {[node['target'] for node in one['nodes']][:3]}"
        for one in found
        if one["impact"] in ("serious", "critical", "moderate")
    ]


@pytest.mark.parametrize("state", ["welcome", "results", "composed", "joined", "collection"])
def test_phone_width(visit: Any, service: Any, rocket: str, state: str) -> None:
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    visitor = visit(service, STATES[state].replace("ID", rocket), **phone)
    settle(visitor)
    assert visitor.page.evaluate("document.documentElement.scrollWidth") == 390, "nothing sticks out"
    if state == "results":
        assert visitor.page.locator(".card .actions").first.evaluate("one => getComputedStyle(one).opacity") == "1"
        visitor.page.get_by_role("button", name="Edit this").first.tap()
        visitor.page.get_by_label("How results should differ").wait_for()


def test_themes(visit: Any, service: Any) -> None:
    visitor = visit(service, color_scheme="dark")
    page = visitor.page
    settle(visitor)
    background = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(background)
    page.get_by_role("button", name="Theme: as the system").click()
    light = page.evaluate(background)
    assert light != dark
    page.reload()
    assert page.evaluate(background) == light, "the choice is kept"
    page.get_by_role("button", name="Theme: light").click()
    assert page.evaluate(background) == dark
    page.emulate_media(color_scheme="light")
    assert page.evaluate(background) == dark, "whatever the system says"
    page.get_by_role("button", name="Theme: dark").click()
    assert page.evaluate(background) == light


def test_few_bytes_of_this_host_alone(visit: Any, service: Any) -> None:
    visitor = visit(service, None)
    session = visitor.page.context.new_cdp_session(visitor.page)
    session.send("Network.enable")
    taken: list[float] = []
    session.on("Network.loadingFinished", lambda event: taken.append(event["encodedDataLength"]))
    asked: list[str] = []
    visitor.page.on("request", lambda request: asked.append(request.url))
    visitor.go()
    settle(visitor)
    visitor.page.wait_for_selector(".example img")
    assert sum(taken) < 300_000, f"{sum(taken):,.0f} bytes"
    assert len(taken) >= 30
    assert {url.split("/")[2] for url in asked if not url.startswith(("data:", "blob:"))} == {service.url.split("/")[2]}


@pytest.mark.parametrize("size", [(1280, 800), (390, 844)])
def test_nothing_jumps_while_thumbnails_load(visit: Any, service: Any, rocket: str, size: tuple[int, int]) -> None:
    viewport = {"width": size[0], "height": size[1]}

    searches: list[Any] = []

    def late(route: Any) -> None:
        time.sleep(0.05)
        route.continue_()

    for state in ("welcome", "results", "composed", "collection"):
        visitor = visit(service, None, viewport=viewport)
        visitor.page.route("**/v1/**", late)
        hits = state in ("results", "composed")
        visitor.page.route("**/search", lambda route: searches.append(route))
        visitor.go(STATES[state].replace("ID", rocket))
        if hits:
            held = places(visitor, ".bones")
            while not searches:
                visitor.page.wait_for_timeout(20)
            searches.pop().continue_()
        settle(visitor)
        assert visitor.page.evaluate("window.__shift") < 0.02, state
        if hits:
            assert places(visitor, ":not(.bones)") == held, "each hit is where its place was held"


def places(visitor: Any, kind: str) -> list[dict[str, float]]:
    """Where the first four hits are, or are going to be."""
    visitor.page.wait_for_selector(f".card{kind} .box")
    boxes = (
        "boxes => boxes.slice(0, 4).map((box) => [box.offsetLeft, box.offsetTop, box.offsetWidth, box.offsetHeight])"
    )
    found: list[dict[str, float]] = visitor.page.locator(f".card{kind} .box").evaluate_all(boxes)
    return found


def test_the_policy_holds(visit: Any, service: Any) -> None:
    visitor = visit(service)
    settle(visitor)
    visitor.expect("Content Security Policy")
    blocked = visitor.page.evaluate("""async () => {
      const script = document.createElement("script");
      script.textContent = "window.__ran = true";
      document.body.append(script);
      const marked = document.createElement("div");
      marked.setAttribute("style", "color: red");
      const refused = await fetch("https://example.org/").then(() => false, () => true);
      return [window.__ran === undefined, marked.style.length === 0, refused];
    }""")
    assert blocked == [True, True, True]
    visitor.page.evaluate("window.__violations.length = 0")
