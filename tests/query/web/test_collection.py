"""The page of a collection: its numbers, its index, its map, and what becomes of files put into it."""

from typing import Any

import pytest

pytestmark = pytest.mark.web


def test_numbers_index_and_map(visit: Any, service: Any) -> None:
    page = visit(service, "c=default&page=collection").page
    tiles = page.locator(".tiles .tile")
    tiles.first.wait_for()
    assert [tile.split() for tile in tiles.all_inner_texts()][:3] == [
        ["Items", "11"],
        ["Pictures", "8"],
        ["Texts", "3"],
    ]
    assert "Model\nhash" in page.locator(".summary").inner_text()
    page.get_by_text("recall at 10, measured when it was built").wait_for()
    page.get_by_role("button", name="Measure recall now").click()
    page.get_by_text("It is right: recall 1.000").wait_for()
    map_ = page.get_by_role("img", name="Map of 11 items")
    map_.wait_for()
    assert "modality gap. The middle of the texts is 0.9" in page.locator(".gap").inner_text()
    assert "8 pictures" in page.locator(".legend").inner_text()
    page.get_by_text("The map as a table").click()
    assert page.get_by_role("table", name="Points of the map").get_by_role("row").count() == 12
    coloured = page.evaluate("""() => {
      const plane = document.querySelector("canvas");
      const {data} = plane.getContext("2d").getImageData(0, 0, plane.width, plane.height);
      let blue = 0, brown = 0;
      for (let at = 0; at < data.length; at += 4) {
        if (data[at + 3] > 100 && data[at + 2] > data[at] + 60) blue += 1;
        if (data[at + 3] > 100 && data[at] > data[at + 2] + 60) brown += 1;
      }
      return [blue, brown];
    }""")
    assert min(coloured) > 30, "both kinds are drawn, each in its colour"


def test_a_point_of_the_map_is_shown(visit: Any, service: Any) -> None:
    page = visit(service, "c=default&page=collection").page
    canvas = page.locator("canvas.plane")
    canvas.wait_for()
    box = canvas.bounding_box()
    for across in range(20):
        for down in range(14):
            page.mouse.move(box["x"] + box["width"] * (across + 0.5) / 20, box["y"] + box["height"] * (down + 0.5) / 14)
            if canvas.evaluate("canvas => canvas.classList.contains('over')"):
                page.mouse.down()
                page.mouse.up()
                dialog = page.get_by_role("dialog")
                dialog.get_by_text("Id", exact=True).wait_for()
                assert dialog.get_by_role("heading").inner_text() == page.locator(".tip").inner_text()
                return
    raise AssertionError("no point was met")


def test_good_and_bad_files(visit: Any, service: Any, picture: Any) -> None:
    visitor = visit(service, "c=shelf&page=collection")
    page = visitor.page
    visitor.expect("422")
    page.get_by_text("so there is nothing to map").wait_for()
    page.get_by_label("Files to store").set_input_files(
        [
            picture("coffee.png"),
            {"name": "broken.png", "mimeType": "image/png", "buffer": b"\x89PNG\r\n\x1a\n and then nothing"},
            {"name": "note.txt", "mimeType": "text/plain", "buffer": b"a parrot on a swing"},
            {"name": "blank.txt", "mimeType": "text/plain", "buffer": b"   "},
        ]
    )
    page.get_by_text("Done: 2 stored, 2 refused.", exact=True).wait_for()
    outcomes = {
        row.locator(".name").inner_text(): row.locator(".outcome").inner_text()
        for row in page.get_by_role("list", name="What became of each file").get_by_role("listitem").all()
    }
    assert outcomes["coffee.png"] == outcomes["note.txt"] == "stored"
    assert "Send a JPEG, PNG" in outcomes["broken.png"]
    assert "visible character" in outcomes["blank.txt"]
    assert page.get_by_role("progressbar", name="Upload").evaluate("bar => bar.value") == 1
    visitor.until("document.querySelector('.tiles dd').textContent === '2'")
    page.get_by_label("Files to store").set_input_files([picture("coffee.png")])
    page.get_by_text("Done: 2 stored, 1 there already, 2 refused.", exact=True).wait_for()
    page.get_by_role("button", name="Search", exact=True).first.click()
    page.wait_for_selector(".example")
    assert visitor.search("a parrot")[0] == "note.txt", "found by the next search"


def test_files_are_dropped_and_quarantine_says_why(
    visit: Any, start_for_all: Any, tmp_path: Any, picture: Any, give: Any
) -> None:
    from oneword.indexer import index_paths

    album, db = tmp_path / "album", tmp_path / "db"
    album.mkdir()
    (album / "good.png").write_bytes(picture("horse.png")["buffer"])
    (album / "torn.png").write_bytes(picture("horse.png")["buffer"][:400])
    index_paths([album], db=str(db), model="hash")
    visitor = visit(start_for_all("--db", db), "c=default&page=collection")
    held = visitor.page.locator(".panel", has=visitor.page.get_by_role("heading", name="Could not be indexed"))
    held.get_by_text("torn.png", exact=True).wait_for()
    assert len(held.locator(".outcome").inner_text()) > 10
    give(visitor, picture("coins.png"))
    visitor.page.get_by_text("Done: 1 stored.", exact=True).wait_for()
