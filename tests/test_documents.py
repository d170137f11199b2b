"""What the documents show works as shown, and what they name exists.

Blocks marked `sh`, `python` and `toml` run here, those of a page in order and in one folder; docs/rest.md's run in
`tests/query/test_rest_page.py`. Blocks marked `bash`, and indented ones, need another machine or a service: of those,
`oneword`'s commands and options are checked.
"""

import re
import shlex
import shutil
import tomllib
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from oneword import cli
from oneword.defaults import read
from oneword.engine import views
from tests import papers
from tests.photographs import CAMERA, MODEL, exif, gps, photograph

ROOT = Path(__file__).parents[1]
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
}
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[\w.-]+)?\)")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGES[page], re.DOTALL | re.MULTILINE)


def commands(text: str) -> list[list[str]]:
    """The lines of a block, each as a shell would split it."""
    return [words for line in text.splitlines() if (words := shlex.split(line, comments=True))]


def having(*languages: str) -> list[str]:
    """The pages that have such a block."""
    return [page for page in sorted(PAGES) if page != "docs/rest.md" and any(blocks(page, one) for one in languages)]


@pytest.fixture
def desk(album: Path) -> Path:
    """A folder with what the documents name, in which the test runs."""
    photos = album.rename(album.parent / "photos")
    shutil.copyfile(str(files("skimage.data") / "chelsea.png"), photos / "cat.jpg")
    facts = exif({MODEL: "X100V"}, CAMERA, gps(48.86, 2.35))
    (photos / "harbor.jpg").write_bytes(photograph(color="teal", exif=facts))
    Path("manual.pdf").write_bytes(papers.pdf("how to start\nthe engine", "how to stop it"))
    Path("captions.csv").write_text("file,caption,year\nphotos/red.png,a red rectangle,1999\n", encoding="utf-8")
    Path("triples.csv").write_text("sent0,sent1,hard_neg\n" + "a cat,one cat,a dog\n" * 8, encoding="utf-8")
    Path("queries.jsonl").write_text('{"text": "a cat", "relevant": ["nothing"]}', encoding="utf-8")
    return photos


@pytest.mark.parametrize("page", having("sh"))
def test_the_commands_run(
    page: str, desk: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if "explain" not in "".join(blocks(page, "sh")):  # which needs a model that has words; others are quicker
        monkeypatch.setenv("ONEWORD_MODEL", "hash")
    for command in commands("".join(blocks(page, "sh"))):
        assert command[0] == "oneword"
        if "ID" in command:
            cli.run(["search", "a cat", "-k", "1", "--json"])
            (found,) = re.findall(r'"id": "(\w+)"', capsys.readouterr().out)
            command[command.index("ID")] = found
        assert cli.run(command[1:]) == 0, command


def test_every_command_is_run() -> None:
    """All but those that wait (serve, mcp, watch), print a secret (keys), or are in docs/rest.md's test."""
    ran = {command[1] for page in having("sh") for command in commands("".join(blocks(page, "sh")))}
    known = get_command(cli.app).commands  # type: ignore[attr-defined]
    assert ran == set(known) - {"serve", "keys", "mcp", "watch"}


@pytest.mark.parametrize("page", having("python"))
def test_the_python_runs(page: str, desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["index", "photos", "--model", "hash"]) == 0
    capsys.readouterr()
    for example in blocks(page, "python"):
        exec(compile(example, f"<{page}>", "exec"), {})
    if page == "README.md":
        lines = capsys.readouterr().out.splitlines()
        assert [float(line.split()[0]) for line in lines] == sorted(float(line.split()[0]) for line in lines)[::-1]
        assert len(lines) == 5


def test_the_examples_in_toml_are_all_tried() -> None:
    assert set(having("toml")) == {"docs/commands.md", "docs/e5v.md"}


def test_the_defaults_are_some(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (example,) = blocks("docs/commands.md", "toml")
    (tmp_path / "mine.toml").write_text(example)
    monkeypatch.setenv("ONEWORD_CONFIG", str(tmp_path / "mine.toml"))
    defaults = read(cli.app, ["search"]).values
    assert defaults["search"] == {"db": "/home/me/pictures.oneword", "limit": 20, "previews": True}
    assert defaults["collections"]["create"]["model"] == "siglip2"


def test_the_view_is_one(tmp_path: Path) -> None:
    (example,) = blocks("docs/e5v.md", "toml")
    (tmp_path / "colours.toml").write_text(example)
    assert "colours" in views.get("colours.toml").gallery.image


def shown() -> Iterator[tuple[str, list[str]]]:
    """The command lines of ours that no test runs, with the page."""
    for page, text in PAGES.items():
        if page in ("CHANGELOG.md", "DECISIONS.md"):  # they tell of what was
            continue
        indented = re.findall(r"^    (?=oneword |accelerate )(.*)$", text, re.MULTILINE)
        inline = re.findall(r"`(oneword [^`]+)`", text)
        for block in [*blocks(page, "bash"), *indented, *inline]:
            for line in block.replace("\\\n", " ").splitlines():
                if found := re.search(r"(?:^|&& |-m |--module )oneword (.+?)(?: && .*)?$", line):
                    yield page, shlex.split(re.sub(r"\.{3}(.*?\.{3})?", " ", found[1]), comments=True)


def test_options_that_are_named_exist() -> None:
    seen = 0
    for page, words in shown():
        command = get_command(cli.app)
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]  # type: ignore[attr-defined]
        if words and not words[0].startswith("-"):
            assert not hasattr(command, "commands"), f"{page}: no command {words[0]!r}"
        known = {one for parameter in command.params for one in [*parameter.opts, *parameter.secondary_opts]} | {
            "--help"
        }
        named = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        assert named <= known, (page, words)
        seen += 1
    assert seen > 30


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    included = re.fullmatch(r"<!-- include: (\S+) -->", PAGES[page].strip())
    if included:
        assert (ROOT / included[1]).is_file()
    for target in LINK.findall(PAGES[page]):
        if not target.startswith(("http:", "https:")):
            assert ((ROOT / page).parent / target).is_file(), target


def test_files_that_are_named_exist() -> None:
    folders = "benchmarks|demo|engine|indexer|query|research|storage|tests"
    seen = 0
    for page, text in PAGES.items():
        if page == "CHANGELOG.md":
            continue
        for name in re.findall(rf"(?<![\w/.])(?:{folders})/[\w/.-]*\w", text):
            assert (ROOT / name).exists(), (page, name)
            seen += 1
    assert seen > 30


def test_extras_that_are_named_exist() -> None:
    extras = set(
        tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    )
    for page, text in PAGES.items():
        for group in re.findall(r"(?:\.|oneword)\[([\w,-]+)\]", text):
            assert set(group.split(",")) <= extras, (page, group)
    table = PAGES["docs/quickstart.md"].partition("| extra |")[2].partition("\n\n")[0]
    assert set(re.findall(r"`([\w-]+)`", "".join(line.split("|")[1] for line in table.splitlines()[2:]))) == extras - {
        "demo"
    }


def test_the_readme_is_short_and_begins_with_the_demo() -> None:
    size = len(PAGES["README.md"].encode())
    assert 6_000 <= size <= 10_000
    assert PAGES["README.md"].index("make demo") < PAGES["README.md"].index("## ")


def test_one_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    newest = re.search(r"^## \[(\d\S*)\] - (\S+)$", PAGES["CHANGELOG.md"], re.MULTILINE)
    assert newest is not None
    assert (cited["version"], str(cited["date-released"])) == (newest[1], newest[2])
    assert project == newest[1]
