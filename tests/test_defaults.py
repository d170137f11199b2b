"""Defaults of the command line from files."""

from collections.abc import Callable
from pathlib import Path

import pytest

from oneword.cli import run

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def oneword(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command with the user's file in `tmp_path/oneword.toml`; returns its code, stdout and stderr."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("ONEWORD_CONFIG")
    monkeypatch.delenv("ONEWORD_DB", raising=False)
    monkeypatch.setenv("ONEWORD_DAEMON", "0")
    (tmp_path / "texts").mkdir()
    for name in "abcd":
        (tmp_path / "texts" / f"{name}.txt").write_text(f"the letter {name}")

    def ran(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run(list(arguments))
        return code, *capsys.readouterr()

    assert ran("index", str(tmp_path / "texts"), "--db", str(tmp_path / "db"), "--model", "hash")[0] == 0
    return ran


def test_the_users_file_sets_what_is_not_typed(oneword: Run, tmp_path: Path) -> None:
    (tmp_path / "oneword.toml").write_text(f'db = "{tmp_path / "db"}"\n[search]\nlimit = 2\npaths = true\n')
    code, out, _ = oneword("search", "letter")
    assert (code, out.count("\n")) == (0, 2)
    assert oneword("search", "letter", "-k", "3")[1].count("\n") == 3
    assert "4" in oneword("info")[1]


def test_the_stores_file_sets_how_it_is_searched_and_nothing_else(oneword: Run, tmp_path: Path) -> None:
    db, file = ("--db", str(tmp_path / "db")), tmp_path / "db" / "oneword.toml"
    (tmp_path / "oneword.toml").write_text("[search]\nlimit = 1\npaths = true\n")
    file.write_text("[search]\nlimit = 3\n")
    assert oneword("search", "letter", *db)[1].count("\n") == 3
    assert oneword("collections", *db)[0] == 0
    for line in ('server = "http://evil.example"', 'model = "http://evil.example"', "open = true"):
        file.write_text(f"[search]\n{line}\n")
        code, _, err = oneword("search", "letter", *db)
        assert code == 1
        assert f"sets search.{line.split()[0]}: expected no more than a table [search] with collection" in err
    file.write_text('[index]\nmodel = "x"\n')
    assert "sets index: expected" in oneword("search", "letter", *db)[2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[search]\nlimt = 3", "'search' has no option 'limt'; did you mean 'limit'?"),
        ("[search]\ntop_k = 3", "'search' has no option 'top_k'; did you mean 'limit'?"),
        ("[serch]\nlimit = 3", "there is no command 'serch'; did you mean 'search'?"),
        ("limt = 3", "no command has an option 'limt'"),
        ("[search]\npager = 3", "pager is 3: expected true or false"),
        ('[search]\nlike = "a"', "like is 'a': expected a list"),
        ("[search]\nlimit = [3]", "limit is [3]: expected a string or a number"),
        ("x = [", "cannot be read as TOML"),
    ],
)
def test_what_is_wrong_in_a_file_is_named_with_it(oneword: Run, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "oneword.toml").write_text(text)
    code, out, err = oneword("search", "letter", "--db", str(tmp_path / "db"))
    assert (code, out) == (1, "")
    assert err.startswith(f"error: {tmp_path / 'oneword.toml'}: ")
    assert message in err


def test_a_value_that_an_option_refuses_leads_to_the_file(oneword: Run, tmp_path: Path) -> None:
    (tmp_path / "oneword.toml").write_text('[search]\nlimit = "many"\n')
    code, _, err = oneword("search", "letter")
    assert code == 2
    assert f"some options have a default in {tmp_path / 'oneword.toml'}" in err
