"""No stored string steers a terminal, is taken for markup, or is shown as less than its beginning."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from oneword.cli import run
from oneword.storage.visible import visible

IDS = ["IMG_01[edit]", "[bold]x", "a[/]b", "[link=http://evil]x", ":smile:", "x\x1b[31my", "line\nbreak", "\u202egnp"]


@pytest.fixture
def collection(tmp_path: Path) -> None:
    rows = [{"id": one, "text": f"number {at} \x1b]0;pwned\x07 \x9b2J"} for at, one in enumerate(IDS)]
    Path("t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert run(["index", "t.jsonl", "--model", "hash"]) == 0


def test_ids_and_texts_are_shown_letter_for_letter(collection: None, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    for command in (["search", "number", "-k", "20"], ["info"], ["quarantine", "list"], ["jobs"]):
        assert run(command) == 0
    out, err = capsys.readouterr()
    for one in IDS:
        assert visible(one) in out
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", out + err)


def test_json_steers_nothing_either_and_says_the_same(collection: None, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    run(["search", "number", "-k", "20", "--json"])
    out, _ = capsys.readouterr()
    assert {hit["id"] for hit in json.loads(out)["hits"]} == set(IDS)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", out)


def test_texts_without_blanks_are_cut_by_their_width(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chinese, url = (
        "春天的花园里有一只白色的猫坐在红色的屋顶上看着远处的山和湖水慢慢地变成金色",
        "https://example.org/" + "a" * 80,
    )
    Path("t.jsonl").write_text(
        "\n".join(json.dumps({"id": str(at), "text": one}) for at, one in enumerate([chinese, url]))
    )
    run(["index", "t.jsonl", "--model", "hash"])
    capsys.readouterr()
    run(["search", "x"])
    out, _ = capsys.readouterr()
    assert chinese[:25] in out
    assert url[:50] in out


def test_a_locale_without_the_letters_is_no_error(collection: None) -> None:
    env = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": str(Path(__file__).parents[1])}
    for more in ([], ["--json"]):
        done = subprocess.run(
            [sys.executable, "-m", "oneword", "search", "café 猫", *more], env=env, capture_output=True, timeout=120
        )
        assert (done.returncode, done.stderr) == (0, b"")


def test_a_deleted_working_folder_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()
    assert run(["info"]) == 1
    assert "the current folder does not exist any more" in capsys.readouterr().err
    os.chdir(tmp_path)


def test_a_full_temporary_folder_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.TemporaryDirectory", lambda **_: (_ for _ in ()).throw(OSError(28, "No space left")))
    Path("t.txt").write_text("a text")
    assert run(["index", "t.txt", "--model", "hash"]) == 1
    assert "set TMPDIR" in capsys.readouterr().err
