"""Pages of PDFs and TIFFs are inputs of their own: synced, retried and refused one by one."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Any

import cloudpickle
import fsspec
import PIL.Image
import pytest

from oneword.engine import pdf
from oneword.engine.hashing import HashEncoder
from oneword.engine.space import Space
from oneword.engine.views import View
from oneword.indexer import JobConfig, Report, decode, index_paths, reembed, retry
from oneword.indexer.entry import id_of
from oneword.indexer.options import Captions, SourceOptions
from oneword.storage import Item, Store
from tests import papers

pytest.importorskip("pypdfium2")
cloudpickle.register_pickle_by_value(sys.modules[__name__])

PART = decode._decode_part
FIND = decode._find


def run(*paths: Path | str, options: SourceOptions | None = None, **config: Any) -> Report:
    report = index_paths(paths, db="db", model="hash", options=options, config=JobConfig(**config))
    assert report.inputs == report.indexed + report.unchanged + report.quarantined
    return report


def rows() -> dict[str, Item]:
    """By the end of the URI."""
    return {item.uri.rpartition("/")[2]: item for items in Store("db").open("default").scan() for item in items}


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    folder = tmp_path / "shelf"
    folder.mkdir()
    (folder / "book.pdf").write_bytes(papers.pdf("one zebra", "two", "three", info="/Title (Zebras)"))
    (folder / "fax.tif").write_bytes(papers.tiff("red", "green", "blue"))
    (folder / "photo.tif").write_bytes(papers.tiff("white"))
    return folder


@pytest.fixture
def spoilt(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Decoders that call another function for parts; none of them is left to the next test."""
    yield lambda call: monkeypatch.setattr(decode, "_decode_part", call)
    decode._end()
    decode._pools.clear()


def test_every_page_is_an_item(shelf: Path) -> None:
    assert run(shelf).added == 7
    found = rows()
    pages = [f"{name}#page={number}" for name in ("book.pdf", "fax.tif") for number in (1, 2, 3)]
    assert sorted(found) == [*pages, "photo.tif"]
    book = (shelf / "book.pdf").as_uri()
    page = found["book.pdf#page=2"]
    assert (page.id, page.uri) == (id_of(f"{book}#page=2"), f"{book}#page=2")
    facts = {name: value for name, value in page.metadata.items() if not name.startswith("_")}
    assert facts == {
        "name": "book.pdf",
        "folder": "shelf",
        "format": "pdf",
        "document": id_of(book),
        "page": 2,
        "pages": 3,
        "document_title": "Zebras",
    }
    assert PIL.Image.open(io.BytesIO(page.thumbnail or b"")).size == (192, 256)
    assert {"document", "page"}.isdisjoint(found["photo.tif"].metadata)
    colors = [PIL.Image.open(io.BytesIO(found[name].thumbnail or b"")).getpixel((9, 9)) for name in pages[3:]]
    assert [max(range(3), key=list(color).__getitem__) for color in colors] == [0, 1, 2]  # type: ignore[arg-type]
    (vector,) = Store("db").open("default").get([page.id], vectors=True).values()
    hits = Store("db").open("default").search(vector.vector, group_by="document", limit=9)
    assert hits[0].item.uri.rpartition("/")[2] == "book.pdf#page=2"
    assert len(hits) == 3, "one of each file"


def test_files_that_have_not_changed_are_not_opened(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(shelf)

    def opened(*_: Any) -> Any:
        raise AssertionError("opened")

    monkeypatch.setattr(decode.Decoders, "parts", opened)
    assert run(shelf).unchanged == 7
    os.utime(shelf / "fax.tif", ns=(1, 1))
    with pytest.raises(AssertionError, match="opened"):
        run(shelf)


def test_a_document_that_shrinks_grows_or_goes(shelf: Path) -> None:
    run(shelf)
    (shelf / "book.pdf").write_bytes(papers.pdf("one zebra", "other"))
    (shelf / "fax.tif").write_bytes(papers.tiff("red"))
    (shelf / "photo.tif").write_bytes(papers.tiff("white", "black"))
    kept = run(shelf)
    assert (kept.added, kept.updated, kept.deleted) == (3, 2, 0)
    report = run(shelf, delete_missing=True)
    assert (report.unchanged, report.deleted) == (5, 5)
    left = ["book.pdf#page=1", "book.pdf#page=2", "fax.tif", "photo.tif#page=1", "photo.tif#page=2"]
    assert sorted(rows()) == left
    (shelf / "book.pdf").write_bytes(b"%PDF-1.7 spoilt")
    report = run(shelf, delete_missing=True)
    assert (report.unchanged, report.kinds, report.deleted) == (3, {"CorruptImage": 1}, 0)
    assert sorted(rows()) == left, "what exists is kept, even if it cannot be read now"
    (shelf / "book.pdf").unlink()
    assert run(shelf, delete_missing=True).deleted == 2
    assert sorted(rows()) == left[2:]


def test_nothing_of_another_path_is_deleted(shelf: Path) -> None:
    run(shelf)
    assert run(shelf / "fax.tif", delete_missing=True).deleted == 0
    (shelf / "book.pdf").unlink()
    assert run(shelf / "fax.tif", delete_missing=True).deleted == 0
    assert run(shelf, delete_missing=True, options=SourceOptions(include=("*.tif",))).deleted == 0
    assert run(shelf, delete_missing=True).deleted == 3


def broken(name: str, *given: Any) -> Any:
    """Ends its process at one page."""
    if name.endswith("page=2"):
        os.abort()
    return PART(name, *given)


def test_a_broken_page_is_lost_alone_and_retried(shelf: Path, spoilt: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    spoilt(broken)
    report = run(shelf)
    assert (report.added, report.kinds) == (5, {"CorruptImage": 2})
    reasons = sorted(one.reason for one in report.refused)
    assert reasons[0].startswith(f"{shelf}/book.pdf, page=2: decoding it ends its process")
    monkeypatch.setattr(decode, "_decode_part", PART)
    again = retry(db="db", uris={(shelf / "book.pdf").as_uri() + "#page=2"})
    assert (again.tried, again.indexed, again.quarantined) == (1, 1, 0)
    assert again.reports[0].inputs == 1, "no other page is read"
    report = run(shelf)
    assert (report.added, report.unchanged, Store("db").quarantine("default").count()) == (1, 6, 0)


def dead(name: str, *_: Any) -> Any:
    os.abort()


def test_a_document_all_of_whose_pages_end_their_process(tmp_path: Path, spoilt: Any) -> None:
    spoilt(dead)
    (tmp_path / "a.pdf").write_bytes(papers.pdf(*map(str, range(9))))
    report = run(tmp_path / "a.pdf")
    assert report.kinds == {"CorruptImage": 9}
    left_out = [one for one in report.refused if "left out, as 3 other parts" in one.reason]
    assert len(left_out) == 6


def test_files_that_cannot_be_divided(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (shelf / "locked.pdf").write_bytes(papers.locked())
    (shelf / "none.pdf").write_bytes(b"")
    (shelf / "image.pdf").write_bytes(papers.tiff("red"))
    (shelf / "cut.tif").write_bytes(papers.tiff("red", "blue")[:-99])
    (shelf / "many.tif").write_bytes(papers.tiff("red", "blue", "green", "white"))
    monkeypatch.setattr(pdf, "MOST_PAGES", 3)  # of this process, which is the one that decodes
    monkeypatch.setattr(decode, "_unable", ["for a test"])
    report = run(shelf)
    assert report.kinds == {"LockedFile": 1, "EmptyFile": 1, "TooManyPages": 1, "TruncatedImage": 1}, report.refused
    assert report.added == 3 + 3 + 1 + 1 + 1
    assert "image.pdf" in rows(), "bytes decide what a file is"
    (shelf / "locked.pdf").write_bytes(papers.pdf("open", "now"))
    again = retry(db="db", kinds={"LockedFile"})
    assert (again.tried, again.quarantined, again.reports[0].added) == (1, 0, 2)


def test_without_the_extra(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(shelf)
    monkeypatch.setattr(pdf, "find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "pypdfium2", None)
    monkeypatch.setattr(decode, "_unable", ["for a test"])
    report = run(shelf, delete_missing=True)
    assert report.ignored == {".pdf (install oneword[pdf])": 1}
    assert report.deleted == 0
    (shelf / "new.pdf").write_bytes(papers.pdf("new"))
    (refused,) = run(shelf / "new.pdf").refused
    assert refused.reason == f"{shelf}/new.pdf: is a PDF; to read its pages, install oneword[pdf]"


def test_smaller_versions_in_a_tiff_are_no_pages(tmp_path: Path) -> None:
    file = tmp_path / "a.tif"
    small = PIL.Image.new("RGB", (4, 3), "red")
    small.encoderinfo = {"tiffinfo": {254: 1}}  # of reduced resolution
    PIL.Image.new("RGB", (40, 30), "blue").save(file, save_all=True, append_images=[small])
    with PIL.Image.open(file) as image:
        assert image.n_frames == 2  # type: ignore[attr-defined]
    run(file)
    assert list(rows()) == ["a.tif"]


def test_captions_of_pages(shelf: Path) -> None:
    (shelf / "fax.txt").write_text("from the office")
    (shelf / "book.txt").write_text("a text of its own")
    run(shelf)
    found = rows()
    assert {found[f"fax.tif#page={number}"].text for number in (1, 2, 3)} == {"from the office"}
    assert found["book.pdf#page=1"].text is None
    assert found["book.txt"].modality == "text"
    assert run(shelf).unchanged == 8
    assert run(shelf, options=SourceOptions(captions=Captions.IGNORE)).updated == 3


def test_roots(shelf: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.pdf"
    outside.write_bytes(papers.pdf("secret"))
    (shelf / "link.pdf").symlink_to(outside)
    report = run(shelf, roots=(str(shelf),))
    assert (report.added, report.kinds) == (7, {"OutsideRoots": 1})
    decoders = decode.Decoders(1, roots=decode.Roots.of([str(shelf)]))
    for call in (decoders, decoders.parts):
        with pytest.raises(Exception, match="outside the roots"):
            call(decode.Reference(uri=(shelf / "link.pdf").as_uri() + "#page=1"), "link.pdf")  # type: ignore[operator]


def test_pages_in_an_object_store() -> None:
    with fsspec.open("memory://shelf/book.pdf", "wb") as file:
        file.write(papers.pdf("one", "two"))
    assert run("memory://shelf").added == 2
    assert sorted(rows()) == ["book.pdf#page=1", "book.pdf#page=2"]
    assert run("memory://shelf", delete_missing=True).unchanged == 2
    with fsspec.open("memory://shelf/book.pdf", "wb") as file:
        file.write(papers.pdf("one"))
    report = run("memory://shelf", delete_missing=True)
    assert (report.inputs, report.deleted) == (1, 1)
    assert decode._copies._copies.keys()
    fsspec.filesystem("memory").rm("shelf", recursive=True)


def test_pages_are_embedded_again_for_another_model(shelf: Path) -> None:
    class Other(HashEncoder):
        name = "other"

        def space(self, view: View) -> Space:
            return Space(**{**super().space(view).__dict__, "model": "other", "revision": "2"})

    run(shelf)
    report = reembed(db="db", model=Other())
    assert (report.embedded, report.refused) == (7, [])


def test_the_text_of_a_page_is_stored_with_its_words(shelf: Path) -> None:
    run(shelf)
    found = rows()
    assert found["book.pdf#page=1"].image_text == "one zebra"
    assert found["fax.tif#page=1"].image_text is None, "nobody has looked"
    (page,) = Store("db").open("default").get([found["book.pdf#page=1"].id], words=True).values()
    first, second = page.image_words or ()
    assert (first.text, second.text, second.confidence) == ("one", "zebra", 1)
    assert pytest.approx(first.x, abs=0.01) == 0.1
    assert first.x + first.width < second.x
    os.utime(shelf / "book.pdf", ns=(1, 1))
    assert run(shelf).updated == 0, "the same text"
