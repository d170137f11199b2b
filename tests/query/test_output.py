"""What `oneword search` does with its hits: formats, files that are copied or opened, previews, the pager."""

import csv
import io
import json
import os
from collections.abc import Callable
from pathlib import Path

import PIL.Image
import pytest

from oneword.cli import run
from oneword.query.output import places
from oneword.query.result import Hit
from tests.query.terminal import in_terminal

Run = Callable[..., tuple[bytes, str]]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("output")
    for color in ("red", "blue"):
        PIL.Image.new("RGB", (60, 40), color).save(folder / f"{color}.png")
    (folder / "a cat\nin two lines.txt").write_text("a cat")
    (folder / "long.txt").write_text("a cat sat there. " * 300)
    assert run(["index", str(folder), "--db", str(folder / "db"), "--model", "hash", "--exclude", "db/**"]) == 0
    return folder


@pytest.fixture
def search(store: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("ONEWORD_DAEMON", "0")

    def searched(*arguments: str, code: int = 0) -> tuple[bytes, str]:
        capfdbinary.readouterr()
        assert run(["search", *arguments, "--db", str(store / "db")]) == code
        out, err = capfdbinary.readouterr()
        return out, err.decode()

    return searched


def test_every_format_has_the_same_hits(search: Run) -> None:
    document = json.loads(search("cat", "--json")[0])["hits"]
    assert json.loads(search("cat", "--format", "json")[0])["hits"] == document
    assert [json.loads(line) for line in search("cat", "--format", "jsonl")[0].splitlines()] == document
    rows = list(csv.DictReader(io.StringIO(search("cat", "--format", "csv")[0].decode())))
    assert [(row["id"], row["text"], float(row["score"]), json.loads(row["metadata"])) for row in rows] == [
        (hit["id"], hit["text"] or "", hit["score"], hit["metadata"]) for hit in document
    ]


def test_paths_are_files_once_each_whatever_their_names(search: Run, store: Path) -> None:
    names = {store / "red.png", store / "blue.png", store / "a cat\nin two lines.txt", store / "long.txt"}
    found = search("cat", "--paths", "--null", "-k", "100")[0].split(b"\0")
    assert found.pop() == b""
    assert len(found) == len(names)
    assert {Path(os.fsdecode(one)) for one in found} == names
    assert search("cat", "--format", "paths", "--modality", "image")[0].count(b"\n") == 2


def test_places_are_the_files_of_chunks_and_pages() -> None:
    hits = [
        Hit(id=str(at), score=1, modality="image", uri=uri)
        for at, uri in enumerate(["file:///a/b%23c.pdf#page=1", "file:///a/b%23c.pdf#page=2", "s3://x/y.png#t=1", ""])
    ]
    assert places(hits) == [Path("/a/b#c.pdf"), "s3://x/y.png"]


def test_copies_never_overwrite(search: Run, store: Path, tmp_path: Path) -> None:
    to = tmp_path / "new" / "folder"
    to.mkdir(parents=True)
    (to / "red.png").write_text("something else")
    _, err = search("cat", "--modality", "image", "--copy-to", str(to))
    assert f"copied 2 files to {to}" in err
    assert (to / "red.png").read_text() == "something else"
    assert (to / "red-2.png").read_bytes() == (store / "red.png").read_bytes()
    _, err = search("cat", "--modality", "image", "--copy-to", str(to))
    assert f"copied 0 files to {to}; 2 were there already" in err
    assert len(list(to.iterdir())) == 3


def test_a_file_that_is_gone_is_reported_and_the_others_are_copied(search: Run, store: Path, tmp_path: Path) -> None:
    (store / "blue.png").rename(tmp_path / "kept.png")
    try:
        _, err = search("cat", "--modality", "image", "--copy-to", str(tmp_path / "to"))
    finally:
        (tmp_path / "kept.png").rename(store / "blue.png")
    assert f"not copied: {store / 'blue.png'} is not a file on this machine" in err
    assert [one.name for one in (tmp_path / "to").iterdir()] == ["red.png"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the opener is not waited for
def test_open_takes_the_best_hit(search: Run, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opener = tmp_path / "xdg-open"
    os.mkfifo(tmp_path / "opened")
    opener.write_text(f'#!/bin/sh\nprintf %s "$1" > {tmp_path}/opened\n')
    opener.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    search("--image", str(store / "red.png"), "--open")
    assert (tmp_path / "opened").read_text() == str(store / "red.png")
    _, err = search("cat", "--min-score", "0.999", "--modality", "image", "--open", code=1)
    assert "nothing was found, so nothing is opened" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--json", "--paths"], "expected one format"),
        (["--json", "--format", "csv"], "expected one format"),
        (["-0"], "give --paths, too"),
        (["--paths", "--previews"], "--previews are for the table"),
        (["--format", "xml"], "xml"),
    ],
)
def test_options_that_do_not_go_together(search: Run, arguments: list[str], message: str) -> None:
    assert message in search("cat", *arguments, code=2)[1]


def test_previews_are_blocks_in_a_plain_terminal(store: Path) -> None:
    shown = in_terminal("search", "--image", str(store / "red.png"), "--previews", "--db", str(store / "db"))
    assert "\x1b[38;2;254;0;0" in shown or "\x1b[31" in shown or "\u2580" in shown
    assert "red.png" in shown


def test_a_long_table_goes_through_the_pager_and_a_short_one_does_not(store: Path, tmp_path: Path) -> None:
    pager = tmp_path / "pager"
    pager.write_text('#!/bin/sh\necho "<paged>"; cat; echo "</paged>"\n')
    pager.chmod(0o755)
    environment = {"PAGER": str(pager)}
    database = ("--db", str(store / "db"))
    shown = in_terminal("search", "cat", *database, environment=environment, lines=3)
    assert shown.index("<paged>") < shown.index("long.txt") < shown.index("</paged>")
    for arguments, lines in (((), 50), (("--no-pager",), 3)):
        assert "<paged>" not in in_terminal(
            "search", "cat", *database, *arguments, environment=environment, lines=lines
        )
