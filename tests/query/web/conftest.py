"""Chromium, headless, against real services; a page that says or breaks anything it should not fails its test."""

import base64
import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from oneword.indexer import index_paths
from oneword.storage import Store

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
)
ARGUMENTS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()

PHOTOGRAPHS = "astronaut.png camera.png chelsea.png coffee.png coins.png horse.png moon.png rocket.jpg"
TEXTS = {
    "cat": "a cat asleep in a basket by the stove",
    "dog": "a dog running along the beach",
    "rocket": "the rocket lifts off at dawn",
    "espresso": "an espresso after lunch",
}

WATCH = """
window.__shift = 0;
window.__violations = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.__shift += entry.value;
}).observe({type: "layout-shift", buffered: true});
window.__spoken = [];
document.addEventListener("DOMContentLoaded", () => {
  const spoken = document.getElementById("spoken");
  new MutationObserver(() => window.__spoken.push(spoken.textContent)).observe(spoken, {childList: true});
});
document.addEventListener("securitypolicyviolation", (event) => window.__violations.push(
  `${event.violatedDirective} ${event.blockedURI}`));
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Of one module: while Playwright's event loop stands still, no other test can have its own."""
    api = pytest.importorskip("playwright.sync_api", reason="the tests of the page need the package playwright")
    if not CHROMIUM:
        pytest.skip("the tests of the page need Chromium")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@dataclass
class Visitor:
    """A tab of its own profile."""

    page: Any
    url: str
    expected: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def go(self, where: str = "") -> "Visitor":
        """To an address of the page: what stands after `#`."""
        self.page.goto(f"{self.url}/{'#' + where if where else ''}")
        return self

    def found(self) -> list[str]:
        """Titles of the hits, once they are there."""
        self.page.wait_for_selector(".hits:not([aria-busy]) .card:not(.bones), .hits:not([aria-busy]) .state")
        titles: list[str] = self.page.locator(".card:not(.bones) .title").all_inner_texts()
        return titles

    def search(self, words: str) -> list[str]:
        """By words, as people do."""
        self.page.get_by_label("Words to search for").fill(words)
        self.page.keyboard.press("Enter")
        return self.found()

    def act(self, title: str, what: str) -> None:
        """One of the things that can be done with a hit."""
        card = self.page.locator(".card", has=self.page.locator(f".title:text-is('{title}')"))
        card.hover()
        card.get_by_role("button", name=what).click()

    def until(self, expression: str) -> None:
        """Until this is true in the page. (Playwright's own way polls by `eval`, which the page's policy forbids.)"""
        end = time.monotonic() + 15
        while not self.page.evaluate(expression):
            assert time.monotonic() < end, expression
            self.page.wait_for_timeout(20)

    def expect(self, *patterns: str) -> None:
        """The browser's console may tell of this: a request that is meant to fail."""
        self.expected += patterns

    def check(self) -> None:
        """Nothing was said on the console, and the policy was not violated."""
        unexpected = [one for one in self.said if not any(pattern in one for pattern in self.expected)]
        assert unexpected == []
        assert self.page.evaluate("window.__violations ?? []") == []


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Visitor]]:
    """Opens a new profile at a service; options are a browser context's."""
    opened: list[tuple[Any, Visitor]] = []

    def visiting(service: Any, where: str | None = "", **options: Any) -> Visitor:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        context.set_default_timeout(15_000)
        context.add_init_script(WATCH)
        page = context.new_page()
        visitor = Visitor(page, service.url)
        opened.append((context, visitor))
        page.on("console", lambda message: visitor.said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: visitor.said.append(f"error: {error}"))
        if where is not None:
            visitor.go(where)
        return visitor

    yield visiting
    try:
        for _, visitor in opened:
            visitor.check()
    finally:
        for context, _ in opened:
            context.close()


@pytest.fixture(scope="session")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs that scikit-image brings, and texts."""
    folder = tmp_path_factory.mktemp("album")
    for name in PHOTOGRAPHS.split():
        shutil.copyfile(str(files("skimage.data") / name), folder / name)
    for name, text in TEXTS.items():
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def picture(album: Path) -> Callable[..., dict[str, Any]]:
    """A photograph as a browser has a file."""

    def reading(name: str = "chelsea.png") -> dict[str, Any]:
        return {"name": name, "mimeType": "image/png", "buffer": (album / name).read_bytes()}

    return reading


@pytest.fixture(scope="session")
def service(start_for_all: Any, album: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The model `hash` over photographs and texts (`default`), 60 notes with metadata (`notes`), and `empty`."""
    db = tmp_path_factory.mktemp("store") / "db"
    index_paths([album], db=str(db), model="hash")
    space = Store(str(db)).open("default").space
    for name in ("notes", "empty", "shelf"):
        Store(str(db)).create(name, space)
    service = start_for_all("--db", db)
    notes = [
        {
            "id": f"note-{number}",
            "text": f"note {number} about {'tea' if number % 3 else 'coffee'}",
            "metadata": {"year": 2000 + number, "tags": ["odd" if number % 2 else "even", "all"], "draft": number < 5},
        }
        for number in range(60)
    ]
    assert service.post("/collections/notes/items", {"items": notes}).status_code == 200
    return service


DROP = """
([encoded, name, type, kind]) => {
  const bytes = Uint8Array.from(atob(encoded), (one) => one.charCodeAt(0));
  const carried = new DataTransfer();
  carried.items.add(new File([bytes], name, {type}));
  if (kind === "paste") {
    document.activeElement.dispatchEvent(new ClipboardEvent("paste", {clipboardData: carried, bubbles: true}));
    return;
  }
  const target = document.querySelector("main");
  for (const step of ["dragenter", "dragover", "drop"]) {
    target.dispatchEvent(new DragEvent(step, {dataTransfer: carried, bubbles: true, cancelable: true}));
  }
}
"""


@pytest.fixture(scope="session")
def give() -> Callable[..., None]:
    """Drops or pastes a file, as `picture` has it, into the page."""

    def giving(visitor: Visitor, file: dict[str, Any], kind: str = "drop") -> None:
        encoded = base64.b64encode(file["buffer"]).decode()
        visitor.page.evaluate(DROP, [encoded, file["name"], file["mimeType"], kind])

    return giving


@pytest.fixture(scope="session")
def conditions() -> Callable[..., str]:
    """Filters as an address has them."""
    return lambda *given: "".join(f"&f={json.dumps(one)}" for one in given)
