"""What the README shows works as shown."""

import re
import shlex
import shutil
from importlib.resources import files
from pathlib import Path

import pytest

from oneword import cli
from oneword.engine import views
from oneword.indexer import index_paths

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_python_example_runs(album: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index_paths([album], model="hash")
    (example,) = blocks("python")
    exec(example, {})
    assert len(capsys.readouterr().out.splitlines()) == 5


def test_the_commands_run(album: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = album.rename(album.parent / "photos")
    shutil.copyfile(str(files("skimage.data") / "chelsea.png"), photos / "cat.jpg")
    Path("captions.csv").write_text("file,caption,year\nphotos/red.png,a red rectangle,1999\n", encoding="utf-8")
    Path("triples.csv").write_text("sent0,sent1,hard_neg\n" + "a cat,one cat,a dog\n" * 8, encoding="utf-8")
    Path("queries.jsonl").write_text('{"text": "a cat", "relevant": ["nothing"]}', encoding="utf-8")
    commands = [shlex.split(line, comments=True) for line in "".join(blocks("sh")).splitlines()]
    ran = set()
    for command in commands:
        assert command[0] == "oneword"
        if "ID" in command:
            cli.run(["search", "a cat", "-k", "1", "--json"])
            (found,) = re.findall(r'"id": "(\w+)"', capsys.readouterr().out)
            command[command.index("ID")] = found
        assert cli.run(command[1:]) == 0, command
        ran.add(command[1])
    assert ran == {
        "index",
        "search",
        "explain",
        "info",
        "quarantine",
        "jobs",
        "build",
        "verify",
        "collections",
        "tag",
        "versions",
        "restore",
        "compact",
        "export",
        "import",
        "reembed",
        "models",
        "delete",
        "train",
        "eval",
    }


def test_the_view_is_one(tmp_path: Path) -> None:
    (example,) = blocks("toml")
    (tmp_path / "colours.toml").write_text(example)
    assert "colours" in views.get("colours.toml").gallery.image
