"""Every command, as a user runs it: a real process, real files, bad input included."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from oneword import cli as front_door
from oneword.engine.catalog import descriptions
from oneword.indexer import index_paths

ROOT = Path(__file__).parents[1]


@dataclass
class Done:
    """What a command printed."""

    stdout: str
    stderr: str


@pytest.fixture
def oneword(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Done]:
    """Runs a command line in this process (importing LanceDB anew takes seconds) and checks its exit code."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str | Path, code: int = 0) -> Done:
        capfd.readouterr()
        assert front_door.run([str(one) for one in arguments]) == code
        return Done(*capfd.readouterr())

    return run


@pytest.fixture
def as_json(oneword: Callable[..., Done]) -> Callable[..., Any]:
    """The command's one JSON document: stdout holds nothing else."""

    def run(*arguments: str | Path, code: int = 0) -> Any:
        return json.loads(oneword(*arguments, "--json", code=code).stdout)

    return run


def process(*arguments: str | Path, code: int = 0) -> Done:
    """The same in a process of its own, as a user runs it."""
    done = subprocess.run([sys.executable, "-m", "oneword", *arguments], capture_output=True, text=True, timeout=300)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return Done(done.stdout, done.stderr)


def test_the_real_process_indexes_searches_and_fails_cleanly(album: Path) -> None:
    (album / "bad.png").write_text("no picture")
    counts = json.loads(process("index", album, "--model", "hash", "--json").stdout)
    assert (counts["indexed"], counts["quarantined"]) == (6, 1)
    hits = json.loads(process("search", "the cat sleeps", "--json").stdout)["hits"]
    assert hits[0]["text"] == "the cat sleeps on the sofa"
    wrong = process("search", "cat", "--where", "colour = red", "--json", code=1)
    assert "colour" in json.loads(wrong.stdout)["error"]["message"]
    assert wrong.stderr.startswith("error: ")


@pytest.fixture
def indexed(album: Path, oneword: Callable[..., Done]) -> Path:
    """The album, indexed by the model `hash` into ./.oneword; gives the album."""
    oneword("index", album, "--model", "hash")
    return album


def test_index_counts_add_up(album: Path, oneword: Callable[..., Done], as_json: Callable[..., Any]) -> None:
    (album / "bad.png").write_text("no picture")
    first = as_json("index", album, "--model", "hash")
    assert (first["inputs"], first["indexed"], first["unchanged"], first["quarantined"]) == (7, 6, 0, 1)
    assert first["ignored"] == {".csv": 1, "hidden files": 1}
    assert first["refused"][0]["kind"] == "NotAnImage"
    again = oneword("index", album)
    assert "7 inputs: 0 indexed (0 new, 0 changed), 6 unchanged, 1 quarantined" in again.stdout
    assert "bad.png" in again.stdout


def test_index_with_nothing_but_bad_input_fails(tmp_path: Path, as_json: Callable[..., Any]) -> None:
    (tmp_path / "bad.png").write_text("no picture")
    assert as_json("index", tmp_path / "bad.png", "--model", "hash", code=1)["quarantined"] == 1


def test_search_in_every_way(indexed: Path, oneword: Callable[..., Done], as_json: Callable[..., Any]) -> None:
    words = as_json("search", "the cat sleeps", "-k", "3")
    assert len(words["hits"]) == 3
    assert words["hits"][0]["text"] == "the cat sleeps on the sofa"
    assert words["timings"]["search_ms"] > 0
    assert words["total"] == 6
    first = words["hits"][0]["id"]
    ways: list[list[str | Path]] = [
        ["--image", indexed / "blue.jpg"],
        ["--image", indexed / "blue.jpg", "--edit", "but red"],
        ["--like", first],
        ["a cat", "--image", indexed / "blue.jpg", "--not", "sofa", "--not", "owl"],
        ["a cat", "--where", "format = png", "--modality", "image", "--offset", "1"],
        ["a cat", "--min-score", "0.2", "--view", "default"],
    ]
    for way in ways:
        assert "hits" in as_json("search", *way)
    assert as_json("search", "--image", indexed / "blue.jpg")["hits"][0]["uri"].endswith("/blue.jpg")
    assert first not in [hit["id"] for hit in as_json("search", "--like", first)["hits"]]
    table = oneword("search", "the cat sleeps").stdout
    assert "album/note.txt" in table
    assert "6 of 6 items in 'default', model hash" in table


def test_search_like_loads_no_torch(indexed: Path, as_json: Callable[..., Any]) -> None:
    first = as_json("search", "cat")["hits"][0]["id"]
    code = (
        "import sys; from oneword import cli\n"
        f"assert cli.run(['search', '--like', '{first}', '--json']) == 0\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})


def test_collections_info_and_delete(indexed: Path, oneword: Callable[..., Done], as_json: Callable[..., Any]) -> None:
    oneword("index", indexed / "sub", "--collection", "second", "--model", "hash")
    listed = as_json("collections")["collections"]
    assert [(one["name"], one["items"]) for one in listed] == [("default", 6), ("second", 2)]
    about = as_json("info", "second")
    assert about["items"] == 2
    assert about["space"]["model"] == "hash"
    assert "second" in oneword("collections").stdout
    assert "hash" in oneword("info").stdout
    one = as_json("search", "owl", "--collection", "second", "-k", "1")["hits"][0]["id"]
    assert as_json("delete", one, "--collection", "second")["deleted"] == 1
    assert as_json("info", "second")["items"] == 1
    as_json("delete", "nobody", "--collection", "second", code=1)
    as_json("delete", "--where", "modality = text", "--collection", "default", "--yes")
    assert as_json("info")["items"] == 4
    as_json("delete", "--all", "--collection", "second", "--yes")
    assert [one["name"] for one in as_json("collections")["collections"]] == ["default"]


def test_info_shows_the_quarantine(album: Path, oneword: Callable[..., Done], as_json: Callable[..., Any]) -> None:
    (album / "bad.png").write_text("no picture")
    oneword("index", album, "--model", "hash")
    assert "bad.png" in oneword("info").stdout
    assert as_json("info")["quarantined"]


def test_models(oneword: Callable[..., Done], as_json: Callable[..., Any]) -> None:
    document = as_json("models")
    names = [model["name"] for model in document["models"]]
    assert names == [known.name for known in descriptions()]
    assert (names[0], names[-3:]) == ("royokong/e5-v", ["basic", "mini", "hash"])
    assert document["auto"]["model"] == "basic"
    assert "--model auto is basic" in oneword("models").stdout


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["index", "absent"], "path 'absent' does not exist"),
        (["index", "album", "--model", "nonsense"], "no model is called 'nonsense'"),
        (["index", "album", "--collection", "Bad Name!"], "Bad Name!"),
        (["index", "album", "--model", "hash", "--view", "cirr"], "reads no prompts"),
        (["index", "album", "--view", "absent.toml"], "absent.toml"),
        (["index", "album", "--model", "basic", "--device", "cuda"], "cuda"),
        (["index", "album", "--db", "album/note.txt"], "note.txt"),
        (["search", "cat", "--collection", "absent"], "absent"),
        (["search", "cat", "--db", "nowhere"], "nowhere"),
        (["search"], "the query is empty"),
        (["search", ""], "blank"),
        (["search", "--edit", "red"], "no image"),
        (["search", "--image", "absent.png"], "absent.png"),
        (["search", "--image", "album/note.txt"], "not a known image format"),
        (["search", "cat", "--where", "format =="], "format"),
        (["search", "cat", "--where", "colour = red"], "colour"),
        (["search", "cat", "--view", "cirr"], "cirr"),
        (["search", "cat", "--min-score", "7"], "min_score"),
        (["search", "cat", "--model", "basic"], "basic"),
        (["search", "--like", "nobody"], "nobody"),
        (["info", "absent"], "absent"),
        (["delete", "nobody", "--collection", "absent"], "absent"),
    ],
)
def test_mistakes_get_a_clear_error_and_exit_code_1(
    arguments: list[str],
    complaint: str,
    mistakes: Path,
    monkeypatch: pytest.MonkeyPatch,
    oneword: Callable[..., Done],
) -> None:
    monkeypatch.chdir(mistakes)
    done = oneword(*arguments, "--json", code=1)
    assert complaint in json.loads(done.stdout)["error"]["message"]
    assert complaint in done.stderr
    assert done.stderr.startswith("error: ")


@pytest.fixture(scope="module")
def mistakes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an indexed album that no mistake changes."""
    folder = tmp_path_factory.mktemp("mistakes")
    (folder / "album").mkdir()
    PIL.Image.new("RGB", (8, 8), "red").save(folder / "album" / "red.png")
    (folder / "album" / "note.txt").write_text("a cat")
    index_paths([folder / "album"], db=str(folder / ".oneword"), model="hash")
    return folder


@pytest.mark.parametrize("arguments", [["serch"], ["search", "--kk", "3"], ["search", "a", "-k", "0"], ["index"]])
def test_a_wrong_command_line_is_exit_code_2(arguments: list[str], oneword: Callable[..., Done]) -> None:
    assert "error" in json.loads(oneword(*arguments, "--json", code=2).stdout)
    assert "--help" in oneword(*arguments, code=2).stderr


def test_an_option_of_other_search_engines_is_told_its_name(oneword: Callable[..., Done]) -> None:
    assert "did you mean 'limit'?" in oneword("search", "a", "--top-k", "3", code=2).stderr


def test_help_and_version(oneword: Callable[..., Done]) -> None:
    top = oneword("--help").stdout
    for command in ("index", "search", "collections", "info", "delete", "models"):
        assert command in top
        assert "--json" in oneword(command, "--help").stdout
    assert oneword("--version").stdout.startswith("oneword ")


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from oneword import cli\n"
        "cli.run(['--help'])\n"
        "heavy = {'torch', 'transformers', 'lancedb', 'pyarrow', 'numpy', 'PIL', 'pydantic', 'rich'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_help_lists_each_environment_variable(oneword: Callable[..., Done]) -> None:
    known = set[str]()
    for package in ("engine", "indexer", "query", "storage", "oneword"):
        for file in (ROOT / package).rglob("*.py"):
            known |= set(re.findall(r'"(ONEWORD_[A-Z_]*[A-Z])"', file.read_text(encoding="utf-8")))
    assert known
    shown = oneword("--help").stdout
    assert {name for name in known if name not in shown} == set()
