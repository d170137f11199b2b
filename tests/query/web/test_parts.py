"""Pages of documents: called by their number, and opened in their document."""

from pathlib import Path
from typing import Any

import pytest

from oneword.indexer import index_paths
from oneword.query.server.keys import changing, make
from tests import papers

pytestmark = pytest.mark.web


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a document of two pages."""
    pytest.importorskip("pypdfium2")
    folder = tmp_path_factory.mktemp("library")
    (folder / "book.pdf").write_bytes(papers.pdf("zebra", "giraffe", extra="/PageLabels << /Nums [0 << /S /r >>] >>"))
    index_paths([folder / "book.pdf"], db=str(folder / "db"), model="hash")
    return folder / "db"


def test_a_page_says_which_one_it_is_and_opens_there(visit: Any, start: Any, library: Path) -> None:
    visitor = visit(start("--db", library), "c=default&p=text:zebra")
    assert visitor.found() == ["book.pdf"] * 2
    parts = visitor.page.locator(".card .part")
    assert sorted(parts.all_inner_texts()) == ["page i (1 of 2)", "page ii (2 of 2)"]
    visitor.page.locator(".card", has_text="page ii (2 of 2)").locator(".face").click()
    link = visitor.page.get_by_role("link", name="Open page ii")
    address = link.get_attribute("href")
    assert address.endswith("/original#page=2")
    with visitor.page.expect_response("**/original") as answered:
        visitor.page.evaluate("(address) => fetch(address).then(() => 0)", address)
    assert answered.value.headers["content-type"] == "application/pdf"


def test_where_keys_are_needed(visit: Any, start: Any, library: Path, tmp_path: Path) -> None:
    with changing(tmp_path / "keys.toml") as keys:
        entry, secret = make("reader", "read")
        keys.append(entry)
    visitor = visit(start("--db", library, "--api-keys", tmp_path / "keys.toml"), None)
    visitor.page.add_init_script(f"sessionStorage.setItem('oneword.key', '{secret}')")
    visitor.go("c=default&p=text:zebra")
    visitor.found()
    visitor.page.locator(".face").first.click()
    with visitor.page.expect_response("**/original") as answered, visitor.page.expect_popup():
        visitor.page.get_by_role("link", name="Open page").click()
    assert answered.value.status == 200


@pytest.fixture(scope="module")
def cinema(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a video of two scenes."""
    pytest.importorskip("av")
    from tests import films

    folder = tmp_path_factory.mktemp("cinema")
    (folder / "trip.webm").write_bytes(films.film(65, 6, kind="webm", codec="libvpx-vp9"))
    index_paths([folder / "trip.webm"], db=str(folder / "db"), model="hash")
    return folder / "db"


def test_a_moment_plays_from_where_it_is(visit: Any, start: Any, cinema: Path) -> None:
    visitor = visit(start("--db", cinema), "c=default&p=text:zebra")
    assert visitor.found() == ["trip.webm"] * 2
    parts = visitor.page.locator(".card .part")
    assert sorted(parts.all_inner_texts()) == ["0:00 of 1:11", "1:05 of 1:11"]
    visitor.page.locator(".card", has_text="1:05 of 1:11").locator(".face").click()
    visitor.until("document.querySelector('.plate video')?.readyState >= 2")
    assert visitor.page.evaluate("document.querySelector('.plate video').currentTime") == pytest.approx(65, abs=0.5)
    link = visitor.page.get_by_role("link", name="Open at 1:05")
    assert link.get_attribute("href").endswith("#t=65.4,71")
    with visitor.page.expect_popup() as opened:
        link.click()
    opened.value.wait_for_selector("video")
    opened.value.wait_for_function("() => document.querySelector('video').currentTime > 65")
