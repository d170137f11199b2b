"""The command line of `oneword index`, as people, scripts and service managers use it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from oneword import cli as front_door
from oneword.storage import Item, Store
from oneword.storage.journal import new_id
from tests import forkserver

ROOT = Path(front_door.__file__).parents[1]


class Done:
    def __init__(self, out: str, err: str) -> None:
        self.out, self.err = out, err

    @property
    def json(self) -> Any:
        """The one document on stdout."""
        return json.loads(self.out)


@pytest.fixture
def index(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Done]:
    """Runs `oneword index ... --model hash` in this process, and checks its exit code."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str | Path, code: int = 0) -> Done:
        capfd.readouterr()
        given = ["index", *map(str, arguments)]
        model = [] if "--model" in given else ["--model", "hash"]
        assert front_door.run([*given, *model]) == code
        done = Done(*capfd.readouterr())
        assert "Traceback" not in done.err
        return done

    return run


def items(collection: str = "default") -> dict[str, Item]:
    return {item.id: item for some in Store(".oneword").open(collection).scan() for item in some}


def names(collection: str = "default") -> set[str]:
    return {item.uri.rpartition("/")[2] for item in items(collection).values()}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    PIL.Image.new("RGB", (9, 9), "red").save(tmp_path / "p.png")
    path = tmp_path / "t.csv"
    path.write_text("key,words,text,pic,year,place\nk1,one cat,wrong,p.png,1999,here\nk2,two dogs,wrong,,2001,there\n")
    return path


def test_columns(table: Path, index: Callable[..., Done]) -> None:
    index(table, "--id-column", "key", "--text-column", "words", "--image-column", "pic", "--metadata-columns", "year")
    found = items()
    assert {one: (item.text, item.modality) for one, item in found.items()} == {
        "k1": ("one cat", "image"),
        "k2": ("two dogs", "text"),
    }
    facts = {key: value for key, value in found["k1"].metadata.items() if not key.startswith("_")}
    assert facts == {"year": 1999}
    index(table, "--text-column", "words", "--metadata-columns", "", "--collection", "bare")
    assert not any(key for item in items("bare").values() for key in item.metadata if not key.startswith("_"))
    told = index(table, "--text-column", "colour", code=1).err
    assert "has no column 'colour', which is to be the text; it has 'key', 'words'" in told
    assert "has no column 'nope'" in index(table, "--metadata-columns", "year,nope", code=1).err


def test_include_exclude_and_captions(album: Path, index: Callable[..., Done]) -> None:
    index(album, "--include", "*.png", "--include", "*.PNG", "--exclude", "sub")
    assert names() == {"red.png"}
    assert items().popitem()[1].text == "a red rectangle"
    index(album, "--captions", "separate", "--include", "red.*", "--collection", "separate")
    assert names("separate") == {"red.png", "red.txt"}
    index(album, "--captions", "ignore", "--include", "red.*", "--collection", "ignore")
    assert [item.text for item in items("ignore").values()] == [None]


def test_source_says_what_names_do_not(table: Path, index: Callable[..., Done]) -> None:
    Path("list").write_text("not a url\n")
    assert index("list", "--source", "urls", "--json", code=1).json["kinds"] == {"BadUrl": 1}
    assert "is not a table, expected a name that ends in" in index("list", "--source", "table", code=1).err


def test_chunks(index: Callable[..., Done]) -> None:
    Path("long.txt").write_text("many words, again and again. " * 100)
    counts = {
        given: index("long.txt", "--chunks", given, "-c", given, "--json").json["rows"]
        for given in ("off", "8", "64", "auto")
    }
    assert counts["off"] == 1
    assert counts["8"] > counts["64"] > counts["auto"] > 1


def test_a_dry_run_and_the_run_say_the_same(album: Path, index: Callable[..., Done]) -> None:
    (album / "bad.png").write_bytes(b"x")
    would = index(album, "--dry-run", "--json").json
    assert not Path(".oneword").exists() or not list(Path(".oneword").glob("*.lance"))
    did = index(album, "--json").json
    for name in ("inputs", "indexed", "added", "updated", "unchanged", "quarantined", "rows", "kinds", "refused"):
        assert would[name] == did[name], name
    assert (would["dry_run"], did["dry_run"]) == (True, False)
    shown = index(album, "--dry-run").out
    assert "0 would be indexed (0 new, 0 changed), 6 unchanged, 1 would be quarantined" in shown
    assert Store(".oneword").quarantine("default").list()[0].tries == 1


def test_missing_items_are_deleted_only_when_it_is_said_twice(album: Path, index: Callable[..., Done]) -> None:
    index(album)
    (album / "blue.jpg").unlink()
    assert "give --sync, too" in index(album, "--delete-missing", code=2).err
    assert index(album, "--sync", "--json").json["deleted"] == 0
    assert index(album, "--sync", "--delete-missing", "--dry-run", "--json").json["deleted"] == 1
    assert "blue.jpg" in names()
    assert "1 items deleted: their inputs are gone." in index(album, "--sync", "--delete-missing").out
    assert "blue.jpg" not in names()


def test_reports_and_exit_codes(album: Path, index: Callable[..., Done]) -> None:
    index(album, "--report", "r.json", "--strict")
    assert json.loads(Path("r.json").read_text())["indexed"] == 6
    (album / "bad.png").write_bytes(b"x")
    done = index(album, "--report", "r.json", "--strict", "--json", code=3)
    assert json.loads(Path("r.json").read_text()) == done.json
    index(album, code=0)
    index(album / "bad.png", code=1)
    told = index(album, "--report", "absent/r.json", code=2).err
    assert "the folder 'absent' does not exist" in told
    index(album, "--report", album, code=2)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--chunks", "some"], "expected auto, off, or a number of tokens from 8 to 8192"),
        (["--chunks", "7"], "from 8 to 8192"),
        (["--source", "cloud"], "'cloud' is not one of"),
        (["--captions", "maybe"], "'maybe' is not one of"),
        (["--decoders", "0"], "greater than or equal to 1"),
        (["--batch-size", "0"], "greater than or equal to 1"),
        (["--dtype", "fp8"], "'fp8' is not one of"),
        (["--nonsense"], "No such option"),
    ],
)
def test_bad_values_are_exit_code_2(
    arguments: list[str], complaint: str, album: Path, index: Callable[..., Done]
) -> None:
    done = index(album, *arguments, "--json", code=2)
    assert complaint in done.err
    assert complaint in done.json["error"]["message"]
    assert not Path(".oneword").exists()


def test_what_is_shown_is_plain_whatever_files_are_called(album: Path, index: Callable[..., Done]) -> None:
    for name in ("a.[red]", "b.\x1b[2J", "c\nd.png", "[bold]e.png"):
        (album / name).write_bytes(b"x")
    shown = index(album, "--db", "[dim]").out
    assert ".[red]" in shown
    assert r"c\nd.png: the bytes are no" in shown
    assert "[bold]e.png: the bytes are no" in shown
    assert "in [dim], model hash." in shown
    assert "\x1b" not in shown


def test_what_cannot_be_done_is_exit_code_1(album: Path, index: Callable[..., Done]) -> None:
    done = index("absent", "--json", code=1)
    assert "path 'absent' does not exist" in done.json["error"]["message"]
    assert "Try --help" in index(code=2).err
    assert "a path is empty" in index("", code=1).err
    url = os.fsdecode(b"http://example.org/\xe9.png")
    assert "not UTF-8" in index(url, "--json", code=1).json["refused"][0]["reason"]
    os.mkfifo("pipe.png")
    for path in ("pipe.png", "/dev/zero"):
        assert index(path, "--json", code=1).json["kinds"] == {"UnreadableFile": 1}
    index(album)
    with Store(".oneword").open("default").writing():
        told = index(album, "--json", code=1).json["error"]
        assert told["type"] == "Locked"
        assert "default" in told["message"]
    index(album)


def jobs(capfd: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    capfd.readouterr()
    assert front_door.run(["jobs", "--json"]) == 0
    found: list[dict[str, Any]] = json.loads(capfd.readouterr().out)["jobs"]
    return found


SLOW = """
import sys, time
from oneword.indexer import embed, pipeline, terminal
from oneword import cli
class OneByOne(pipeline.Local):
    def __init__(self):
        super().__init__(group=1)
pipeline.Local = OneByOne
terminal.LINES = 0.0
begun = embed.Started
def slowly(contents, *rest):
    print("group", flush=True)
    time.sleep(0.2)
    if "--fail" in sys.argv:
        raise OSError("the disk is full")
    return begun(contents, *rest)
embed.Started = slowly
sys.exit(cli.run([one for one in sys.argv[1:] if one != "--fail"]))
"""


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    command = ["-c", SLOW, "index", *arguments, "--model", "hash", "--json"]
    return forkserver.start(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_jobs_are_listed_with_how_they_ended(
    album: Path, index: Callable[..., Done], capfd: pytest.CaptureFixture[str]
) -> None:
    index(album / "note.txt")
    for number in range(40):
        (album / f"{number}.txt").write_text(f"text {number}")
    for name, ending in {"SIGINT": 130, "SIGTERM": 143, "SIGKILL": -9}.items():
        before, child = len(items()), start(album)
        assert child.stdout is not None
        for _ in range(3):
            assert child.stdout.readline() == "group\n"
        child.send_signal(getattr(signal, name))
        out, err = child.communicate()
        assert child.returncode == ending, err
        assert "Traceback" not in err
        if ending > 0:
            report = json.loads(out.splitlines()[-1])
            assert report["interrupted"]
            assert 0 < report["inputs"] < 46
            assert report["rows"] == len(items()) - before, "everything that was embedded is committed"
            lines = err.splitlines()
            assert any("ending after the batch" in line for line in lines)
            assert any(" inputs, " in line and line.endswith("/s") for line in lines), "progress without a terminal"
            assert all(line[:2] == "20" and "T" in line[:20] for line in lines), "each with its time"
            assert "\x1b" not in err
            assert "\r" not in err
    child = start(album, "--fail")
    out, err = child.communicate()
    assert child.returncode == 1
    assert "error: the disk is full" in err
    assert "Traceback" not in err
    found = jobs(capfd)
    assert [one["state"] for one in found] == ["failed", "killed", "interrupted", "interrupted", "done"]
    assert found[0]["message"] == "the disk is full"
    assert found[-1]["counts"]["indexed"] == 1
    assert found[-1]["command"].startswith("oneword")
    index(album)
    assert jobs(capfd)[0]["state"] == "done"
    assert len(items()) == 46


def test_watching_sees_changes_and_ends_when_it_is_told(album: Path) -> None:
    """The store lies in the folder that is watched, and is not a change."""
    command = "-m oneword watch . --model hash --json --db mine".split()
    child = forkserver.start(command, cwd=album, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout is not None
    assert json.loads(child.stdout.readline())["added"] == 6
    (album / "new.txt").write_text("something new")
    assert json.loads(child.stdout.readline())["added"] == 1
    time.sleep(1)  # of its own writing there would be a report by now
    child.send_signal(signal.SIGTERM)
    out, err = child.communicate(timeout=60)
    assert out == ""
    assert child.returncode == 0, err
    assert "Traceback" not in err


def test_a_change_during_the_first_pass_is_seen(album: Path) -> None:
    """And a table that an editor replaces is still watched."""
    import threading

    from oneword.indexer import Report, index_paths
    from oneword.indexer.watching import watch

    Path("t.csv").write_text("id,text\na,one\n")
    stop = threading.Event()

    def index() -> Report:
        found = index_paths(["t.csv"], db="db", model="hash")
        if found.added and not Path("done").exists():
            Path("done").touch()
            replace("id,text\na,one\nb,two\n")
        return found

    def replace(content: str) -> None:
        Path("new").write_text(content)
        Path("new").replace("t.csv")

    reports = watch(["t.csv"], index, stop, db="db")
    assert next(reports).added == 1
    assert next(reports).added == 1
    replace("id,text\na,one\nb,two\nc,three\n")
    assert next(reports).added == 1
    stop.set()
    assert list(reports) == []


def test_the_id_that_a_job_is_given(index: Callable[..., Done], album: Path) -> None:
    job = new_id()
    index(album, "--job-id", job, "--root", album)
    assert [one.id for one in Store(".oneword").journal().list()] == [job]
    index(album, "--job-id", job)  # whose id is taken: it is indexed, and not among the jobs
    assert len(Store(".oneword").journal().list()) == 1
    index(album, "--job-id", "x", code=2)
    index(album, "--job-id", new_id(), "--watch", code=2)
