"""Photographs the web demo over the demo's data, in Chromium: `make screenshots`.

python demo/screenshots.py FOLDER [STORE]
"""

import io
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import PIL.Image
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parents[1]
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]

MIXED = "c=default&p=text:a+flower&p=text:a+hot+drink&w=0.8&p=text:a+bicycle&w=-0.3"
"""Two wishes and something unwanted."""


def main(folder: Path, store: Path) -> None:
    """Takes all the pictures; a store that is not there is made first."""
    if not store.exists():
        made(store)
    with served(store) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        for name, steps, scheme, phone in SCENES:
            options: dict[str, Any] = (
                {"viewport": PHONE, "device_scale_factor": 2, "is_mobile": True, "has_touch": True} if phone else {}
            )
            context = browser.new_context(**{"viewport": DESKTOP, "color_scheme": scheme, **options})
            page = context.new_page()
            steps(page, url)
            page.mouse.move(2, 2)
            page.wait_for_timeout(400)  # hovering fades
            size = saved(page.screenshot(), folder / f"web-{name}.webp")
            print(f"web-{name}.webp: {size // 1000} kB")
            context.close()
        browser.close()


def welcome(page: Page, url: str) -> None:
    """First sight."""
    page.goto(url)
    page.wait_for_selector(".example img")


def search(page: Page, url: str) -> None:
    """A weighted mix of words."""
    page.goto(f"{url}/#{MIXED}")
    page.wait_for_selector(".card img")


def composed(page: Page, url: str) -> None:
    """Two edits, one after the other: a flower, but coffee; that, but beer."""
    page.goto(f"{url}/#c=default&p=text:a+flower")
    edit(page, "flower.jpg", "a cup of coffee instead")
    edit(page, "coffee.png", "a glass of beer instead")
    page.evaluate("document.activeElement.blur()")


def edit(page: Page, title: str, words: str) -> None:
    """ "Edit this" on a hit."""
    card = page.locator(".card", has=page.locator(f".title:text-is('{title}')"))
    card.hover()
    card.get_by_role("button", name="Edit this").click()
    page.keyboard.type(words)
    with page.expect_response("**/search"):
        page.keyboard.press("Enter")
    page.wait_for_selector(".hits:not([aria-busy]) .card img")


def collection(page: Page, url: str) -> None:
    """The page of a collection."""
    page.goto(f"{url}/#c=default&page=collection")
    page.wait_for_selector(".gap")


Scene = tuple[str, Callable[[Page, str], None], str, bool]
SCENES: tuple[Scene, ...] = (
    ("welcome", welcome, "light", False),
    ("search", search, "light", False),
    ("composed", composed, "light", False),
    ("collection", collection, "light", False),
    ("composed-dark", composed, "dark", False),
    ("phone", search, "light", True),
    ("phone-composed", composed, "dark", True),
    ("phone-collection", collection, "light", True),
)


def made(store: Path) -> None:
    """Indexes what `make demo` does."""
    pictures = store.with_name("pictures")
    subprocess.run([sys.executable, ROOT / "demo/pictures.py", pictures], check=True)
    index = [sys.executable, "-m", "oneword", "index", pictures, ROOT / "demo/texts", "--db", store]
    subprocess.run(index, check=True, cwd=ROOT)


@contextmanager
def served(store: Path) -> Iterator[str]:
    """A service over the store; its URL, once it is ready."""
    command = [sys.executable, "-m", "oneword", "serve", "--port", "0", "--drain", "0", "--db", str(store)]
    with (
        tempfile.NamedTemporaryFile("w+") as log,
        subprocess.Popen(command, cwd=ROOT, stderr=log) as process,
    ):
        try:
            url = ""
            while not (url and '"message": "ready"' in Path(log.name).read_text()):
                if process.poll() is not None:
                    sys.exit(Path(log.name).read_text())
                for line in Path(log.name).read_text().splitlines():
                    url = url or line.partition("listening on ")[2].partition('"')[0]
                time.sleep(0.1)
            yield url
        finally:
            process.terminate()


def saved(png: bytes, path: Path) -> int:
    """Writes a picture as WebP; its bytes."""
    PIL.Image.open(io.BytesIO(png)).convert("RGB").save(path, quality=90, method=6)
    return path.stat().st_size


def chromium() -> str:
    """Where the browser is."""
    found = next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )
    if found is None:
        sys.exit("Chromium is needed: apt install chromium")
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else ROOT / ".demo/web-db"))
