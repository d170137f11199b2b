"""A collection follows its sources: updates, facts alone, removals, dry runs."""

import csv
import json
import os
import tarfile
import threading
import unicodedata
from io import BytesIO
from pathlib import Path
from typing import Any

import fsspec
import PIL.Image
import pytest

from oneword.engine.hashing import HashEncoder
from oneword.indexer import JobConfig, Report, index_paths
from oneword.indexer.errors import BadSource, SourceNotFound
from oneword.indexer.options import SourceKind, SourceOptions
from oneword.indexer.watching import watch
from oneword.storage import Item, Store
from tests.conftest import noise

SYNC = JobConfig(delete_missing=True)


def run(*paths: Path | str, **config: Any) -> Report:
    return index_paths(paths, db="db", model="hash", config=JobConfig(**config))


class Unable(HashEncoder):
    """Embeds nothing."""

    def prepare(self, inputs: Any, view: Any, side: Any) -> Any:
        pytest.fail(f"{len(inputs)} inputs are embedded again")


def counts(report: Report) -> tuple[int, int, int, int, int]:
    assert report.inputs == report.indexed + report.unchanged + report.quarantined
    return report.added, report.updated, report.unchanged, report.quarantined, report.deleted


def rows() -> dict[str, Item]:
    return {item.id: item for items in Store("db").open("default").scan() for item in items}


def table(name: str, *lines: tuple[Any, ...]) -> Path:
    with Path(name).open("w", newline="") as file:
        csv.writer(file).writerows([("id", "text", "year"), *lines])
    return Path(name)


def test_what_is_gone_goes_and_only_from_where_it_was_looked_for(album: Path) -> None:
    other = table("other.csv", ("x", "elsewhere", 1))
    run(album, other)
    (album / "blue.jpg").unlink()
    (album / "note.txt").write_text("new words")
    (album / "red.png").write_bytes(b"spoilt")
    assert counts(run(album, delete_missing=True, dry_run=True)) == (0, 1, 3, 1, 1)
    assert len(rows()) == 7, "a dry run writes nothing"
    assert counts(run(album, delete_missing=True)) == (0, 1, 3, 1, 1)
    assert "x" in rows()
    assert any(item.uri.endswith("red.png") for item in rows().values()), "it is there, though it cannot be read now"
    table("other.csv", ("y", "elsewhere", 1))
    assert counts(run(other, delete_missing=True)) == (1, 0, 0, 0, 1)
    assert len(rows()) == 6


def test_nothing_is_deleted_where_something_could_not_be_read(album: Path) -> None:
    file = table("t.csv", ("a", "one", 1), ("b", "two", 2), ("c", "three", 3))
    run(file)
    table("t.csv", ("a", "one", 1), ("b", "two", "2", "too many cells"))
    report = run(file, delete_missing=True)
    assert counts(report) == (0, 0, 1, 1, 0)
    assert "nothing was deleted" in str(report.kept)
    table("t.csv")
    report = run(file, delete_missing=True)
    assert counts(report) == (0, 0, 0, 0, 0)
    assert "no input" in str(report.kept)


@pytest.fixture
def library() -> None:
    """The collection of a folder of images and of three tables, as a photo library and a data folder have them."""
    for name in ("2023_0.jpg", "2023_1.jpg", "2024_0.jpg", "raw/x.png", "raw/photos[1].png"):
        Path("photos", name).parent.mkdir(parents=True, exist_ok=True)
        noise(8, 8, len(list(Path("photos").rglob("*")))).save(Path("photos", name))
    Path("data").mkdir()
    for name in ("part-00", "part-01", "extra"):
        Path(f"data/{name}.csv").write_text(f"text\n{name} one\n{name} two\n")
    run("photos", *sorted(Path("data").glob("*.csv")))


SOME_OF_IT = {
    "a glob of files": (["photos/2024*"], {}),
    "a deep glob": (["photos/**/*.png"], {}),
    "a glob of tables": (["data/part-*.csv"], {}),
    "included": (["photos"], {"include": ("*.png",)}),
    "excluded": (["photos"], {"exclude": ("2023*",)}),
    "a folder of tables": (["data"], {"kind": SourceKind.TABLE, "include": ("part*",)}),
    "a folder beside tables": (["."], {"include": ("photos",)}),
    "signs in a name": (["photos/raw/photos[1].png"], {}),
    "another way": (["./photos/../photos/"], {}),
}


@pytest.mark.parametrize(("paths", "options"), SOME_OF_IT.values(), ids=SOME_OF_IT)
def test_what_a_command_does_not_cover_stays(library: None, paths: list[str], options: dict[str, Any]) -> None:
    assert len(rows()) == 11
    report = index_paths(paths, db="db", model="hash", options=SourceOptions(**options), config=SYNC)
    assert report.unchanged > 0
    assert (report.deleted, len(rows())) == (0, 11)


def test_what_a_glob_or_a_pattern_covers_goes_when_it_is_gone(library: None) -> None:
    Path("photos/2024_0.jpg").unlink()
    Path("photos/2023_0.jpg").unlink()
    Path("data/part-01.csv").unlink()
    exclude = SourceOptions(exclude=("2023*",))
    assert index_paths(["photos"], db="db", model="hash", options=exclude, config=SYNC).deleted == 1
    assert run("photos/202*", delete_missing=True).deleted == 1
    assert run("data/part-*.csv", delete_missing=True).deleted == 2
    assert len(rows()) == 7


def test_an_empty_folder_may_be_a_disk_that_is_not_mounted(library: None) -> None:
    for file in Path("photos/raw").iterdir():
        file.unlink()
    report = run("photos", delete_missing=True)
    assert (report.deleted, len(rows())) == (0, 11)
    assert "2 items were kept" in str(report.kept)
    assert run("photos", delete_missing=True, yes=True).deleted == 2


def test_a_link_that_leads_nowhere_may_lead_to_a_disk_that_is_not_mounted(library: None) -> None:
    Path("photos/raw").rename("disk")
    Path("photos/raw").symlink_to(Path("disk").resolve())
    Path("photos/raw/bad.png").write_bytes(b"bad")
    assert run("photos").quarantined == 1
    Path("disk").rename("away")
    report = run("photos", delete_missing=True)
    assert (report.deleted, len(rows())) == (0, 11)
    assert "photos/raw" in str(report.kept)
    assert len(Store("db").quarantine("default").list()) == 1, "what is refused there may still be there"
    assert run("photos", delete_missing=True, yes=True).deleted == 2


def test_what_cannot_be_looked_at_may_be_there(library: None) -> None:
    Path("photos/raw").rename("kept")
    Path("photos/raw").symlink_to("raw")  # a loop, which fails as a lost disk or a lack of rights does
    for paths in (["photos"], ["photos/**/*.png", "photos/2024*"]):
        report = run(*paths, delete_missing=True, yes=True)
        assert (report.deleted, len(rows())) == (0, 11)
    with pytest.raises(BadSource, match="cannot be reached"):
        run("photos/raw/x.png", delete_missing=True, yes=True)


def test_a_store_that_cannot_be_reached_is_not_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    files = fsspec.filesystem("memory")
    files.pipe("/bucket/sync/a.txt", b"a cat")
    run("memory://bucket/sync")
    with monkeypatch.context() as patch:
        patch.setattr(type(files), "exists", lambda *given: (_ for _ in ()).throw(OSError("no network")))
        with pytest.raises(BadSource, match="cannot be reached"):
            run("memory://bucket/sync", delete_missing=True, yes=True)
    files.rm("/bucket/sync", recursive=True)
    with pytest.raises(SourceNotFound, match="1 items"):
        run("memory://bucket/sync", delete_missing=True)
    assert run("memory://bucket/sync", delete_missing=True, yes=True).deleted == 1


def test_tables_that_a_command_does_not_read_keep_their_items(tmp_path: Path) -> None:
    Path("data").mkdir()
    Path("data/a.csv").write_text("text\none\n")
    Path("cat.txt").write_text("a cat")
    with tarfile.open("data/s.tar", "w") as archive:
        archive.add("cat.txt")
    run("data/a.csv", "data/s.tar")
    tables = SourceOptions(kind=SourceKind.TABLE)
    assert index_paths(["data"], db="db", model="hash", options=tables, config=SYNC).deleted == 0
    Path("data/s.tar").unlink()
    assert index_paths(["data"], db="db", model="hash", options=tables, config=SYNC).deleted == 1


def test_a_text_that_exists_stays_unless_it_became_a_caption(tmp_path: Path) -> None:
    for name in ("a/note.txt", "a/cat.txt", "b/note.txt", "b/keep.txt"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(name)
    run("a", "b")
    Path("b/.nomedia").touch()  # from now on passed over
    noise(8, 8).save("a/cat.png")
    assert run(".", delete_missing=True).deleted == 1
    assert sorted(item.text for item in rows().values() if item.text) == [
        "a/cat.txt",
        "a/note.txt",
        "b/keep.txt",
        "b/note.txt",
    ]


def test_a_folder_named_as_a_glob_is_reached_by_its_name_when_it_is_gone(library: None) -> None:
    for name in ("photos[2024]", "photos2"):
        Path(name).mkdir()
        noise(8, 8).save(f"{name}/a.png")
    run("photos[2024]")
    Path("photos[2024]").rename("moved")
    with pytest.raises(SourceNotFound, match=r"'photos\[2024\]' does not exist, and 1 items"):
        run("photos[2024]", delete_missing=True)
    assert len(rows()) == 12, "photos2, which the signs match, is not meant"
    assert run("photos[2024]", delete_missing=True, yes=True).deleted == 1


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_path_in_the_other_normal_form_is_not_gone(form: str) -> None:
    folder, name = unicodedata.normalize("NFD", "Zürich"), unicodedata.normalize("NFC", "Müller.csv")
    Path(folder).mkdir()
    Path(folder, name).write_text("text\none\ntwo\n")
    run(f"{folder}/{name}")
    for asked in ("Zürich/Müller.csv", "Zürich/M*ller.csv", "Zür*/Müller.csv"):
        report = run(unicodedata.normalize(form, asked), delete_missing=True, yes=True)
        assert (report.unchanged, report.deleted) == (2, 0)


def test_the_items_of_a_folder_that_moved_go_when_it_is_named_and_that_is_meant(library: None) -> None:
    Path("photos").rename("pictures")
    assert run("pictures").embedded == 0, "equal content is not embedded again"
    with pytest.raises(SourceNotFound, match=r"5 items of collection 'default' came from it.*--yes"):
        run("photos", delete_missing=True)
    assert run("photos", delete_missing=True, yes=True).deleted == 5
    assert len(rows()) == 11
    with pytest.raises(SourceNotFound, match="does not exist"):
        run("photos", delete_missing=True, yes=True)


def test_a_large_deletion_is_announced_with_the_way_back(library: None, caplog: pytest.LogCaptureFixture) -> None:
    before = Store("db").open("default").version
    for file in Path("photos").glob("20*"):
        file.unlink()
    assert run("photos", delete_missing=True).deleted == 3
    assert "deleting 3 of 11 items" in caplog.text
    assert f"oneword restore default {before}" in caplog.text
    Path("photos/raw/x.png").unlink()
    report = run("photos", delete_missing=True)
    assert report.version_before is not None
    Store("db").open("default").restore(report.version_before)
    assert any(item.uri.endswith("x.png") for item in rows().values())


def test_what_left_a_list_of_urls_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    urls = [f"http://127.0.0.1:9/{number}.jpg" for number in range(3)]
    data = BytesIO()
    noise(8, 8).save(data, "PNG")
    monkeypatch.setattr("oneword.indexer.sources.reading._fetched", lambda url, fetch: data.getvalue())
    Path("urls.txt").write_text("\n".join(urls))
    options = SourceOptions(kind=SourceKind.URLS)
    assert index_paths(["urls.txt"], db="db", model="hash", options=options).added == 3
    for count, path in ((2, "urls.txt"), (1, "url*.txt")):
        Path("urls.txt").write_text("\n".join(urls[-count:]))
        assert index_paths([path], db="db", model="hash", options=options, config=SYNC).deleted == 1


def test_an_id_that_another_source_has_is_refused_and_both_are_named() -> None:
    run(table("shoes.csv", ("1", "a red shoe", 1), ("2", "a blue shoe", 2)))
    report = run(table("furniture.csv", ("1", "a table", 1), ("3", "a chair", 2)))
    assert counts(report) == (1, 0, 0, 1, 0)
    assert report.kinds == {"IdTaken": 1}
    assert "furniture.csv, id=1: the id '1' already belongs to an item from" in report.refused[0].reason
    assert "shoes.csv" in report.refused[0].reason
    assert rows()["1"].text == "a red shoe"
    Path("shoes.csv").write_text("id,text,year\n1,a green shoe,1\n2,a blue shoe,2\n")
    both = run("furniture.csv", "shoes.csv")
    assert (counts(both), both.kinds) == ((0, 1, 2, 1, 0), {"IdTaken": 1}), "what is refused takes no id"
    assert rows()["1"].text == "a green shoe"
    prefixed = index_paths(["furniture.csv"], db="db", model="hash", options=SourceOptions(id_prefix="f-"))
    assert counts(prefixed) == (2, 0, 0, 0, 0)
    assert not Store("db").quarantine("default").list()
    assert counts(run("furniture.csv", take_over=True)) == (0, 1, 1, 0, 0)
    assert rows()["1"].text == "a table"


def test_changed_metadata_is_written_and_nothing_is_embedded() -> None:
    file = table("t.csv", ("a", "one", 1), ("b", "two", 2))
    run(file)
    table("t.csv", ("a", "one", 1), ("b", "two", 5))
    assert counts(index_paths([file], db="db", model=Unable())) == (0, 1, 1, 0, 0)
    assert rows()["b"].metadata["year"] == 5


def test_a_file_of_the_same_time_and_size_is_not_read_again(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(album)
    with monkeypatch.context() as patch:
        patch.setattr("oneword.indexer.pipeline.load", lambda *rest: pytest.fail("a file was read"))
        assert counts(run(album)) == (0, 0, 6, 0, 0)
    status = (album / "note.txt").stat()
    (album / "note.txt").write_text("the dog sleeps on the sofa")
    os.utime(album / "note.txt", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert counts(run(album)) == (0, 0, 6, 0, 0)
    assert counts(run(album, reread=True)) == (0, 1, 5, 0, 0), "told to read, it sees"
    os.utime(album / "blue.jpg")
    assert counts(run(album)) == (0, 0, 6, 0, 0), "a touched file has not changed"
    with monkeypatch.context() as patch:
        patch.setattr("oneword.indexer.pipeline.load", lambda *rest: pytest.fail("a file was read"))
        assert counts(run(album)) == (0, 0, 6, 0, 0), "and is known by its new time from then on"


def test_of_one_id_the_first_counts(tmp_path: Path) -> None:
    file = table("t.csv", ("a", "one", 1), ("a", "two", 2), ("b", "three", 3), ("a", "one", 1))
    for _ in range(2):
        report = run(file)
        assert report.quarantined == 1
        assert report.inputs == 4
        assert report.kinds == {"DuplicateId": 1}
        assert "'a' was given before" in report.refused[0].reason
    assert rows()["a"].text == "one"
    assert [one.tries for one in Store("db").quarantine("default").list()] == [2]


def years(name: str, *years: str) -> str:
    Path(name).write_text("id,text,year\n" + "".join(f"{name}{at},x {at},{one}\n" for at, one in enumerate(years)))
    return name


def test_a_value_of_another_kind_is_set_aside_and_its_item_is_kept(caplog: pytest.LogCaptureFixture) -> None:
    sound = years("sound.csv", *map(str, range(1990, 2010)))
    odd = years("odd.csv", *map(str, range(1990, 2009)), "ca. 1900", "")
    for paths in ([sound, odd], [odd, sound], [odd], [sound]):
        assert index_paths(paths, db="db-" + "-".join(paths), model="hash").quarantined == 0
    for first, second in ((sound, odd), (odd, sound)):
        collection = Store(f"db-{first}-{second}").open("default")
        assert collection.count("year >= 1990") == 39
        ((kept,),) = collection.scan(filter="exists(set_aside)")
        assert kept.metadata["set_aside"] == ["year: ca. 1900"]
    assert "1 value of metadata 'year', such as 'ca. 1900', not of its kind (number): kept apart" in caplog.text
    later = index_paths([odd], db=f"db-{sound}", model="hash")
    assert (later.added, later.set_aside) == (21, {"year": 1})
    assert index_paths([odd], db=f"db-{sound}", model="hash").unchanged == 21


def test_a_value_takes_the_kind_that_its_key_has(caplog: pytest.LogCaptureFixture) -> None:
    run(years("first.csv", "2020", "c. 1900"))  # texts, as they differ too much
    run(years("second.csv", "2021", "007"))
    Path("third.jsonl").write_text('{"id": "c", "text": "c", "year": 2022}\n{"id": "d", "text": "d", "year": [1]}\n')
    run("third.jsonl")
    found = sorted(str(item.metadata["year"]) for item in rows().values() if "year" in item.metadata)
    assert found == ["007", "2020", "2021", "2022", "[1]", "c. 1900"]


def test_a_dry_run_makes_nothing(album: Path) -> None:
    (album / "bad.png").write_bytes(b"x")
    report = run(album, dry_run=True)
    assert counts(report) == (6, 0, 0, 1, 0)
    assert report.rows == 6
    assert not list(Path("db").glob("*.lance"))


def test_watching_follows_changes(album: Path) -> None:
    stop = threading.Event()
    reports = watch([album], lambda: run(album, delete_missing=True), stop)
    assert counts(next(reports)) == (6, 0, 0, 0, 0)
    threading.Timer(0.5, lambda: PIL.Image.new("RGB", (8, 8), "pink").save(album / "pink.png")).start()
    assert counts(next(reports))[0] == 1
    threading.Timer(0.5, (album / "pink.png").unlink).start()
    assert counts(next(reports))[4] == 1
    threading.Timer(0.2, stop.set).start()
    assert list(reports) == []


@pytest.mark.parametrize("keys", [505, 509, 511, 512, 600])
def test_more_keys_than_a_collection_takes_cost_no_row(keys: int) -> None:
    """Also not when the same file is indexed again: the source of a row is never set aside."""
    rows_of = [
        {
            "id": str(at),
            "text": "words " * (400 if at == 0 else 1),
            **{f"k{key}": 1 for key in range(at * 7, at * 7 + 7)},
        }
        for at in range(keys // 7 + 1)
    ]
    Path("t.jsonl").write_text("\n".join(map(json.dumps, rows_of)))
    first = run("t.jsonl", chunks=32)
    assert (first.added, first.quarantined) == (len(rows_of), 0)
    assert all("_source" in item.metadata for item in rows().values())
    assert counts(run("t.jsonl", chunks=32)) == (0, 0, len(rows_of), 0, 0)
