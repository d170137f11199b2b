"""A search by the resident process and one without it print the same, and end alike."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from oneword.engine.config import EngineConfig
from oneword.indexer import index_paths
from oneword.query.query import Query
from oneword.query.resident.address import Address
from oneword.query.resident.client import ask
from tests.query.resident.conftest import Done, answered, until


def test_answers_errors_and_exit_codes_are_the_same(
    warm: Address, album: Path, oneword: Callable[..., Done], tmp_path: Path
) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    first = json.loads(oneword("search", "a cat", "--json").stdout)["hits"][0]["id"]
    good = [
        ["a cat"],
        ["a cat", "--not", "sofa", "-k", "2", "--offset", "1"],
        ["--image", album / "blue.jpg"],
        ["--image", album / "blue.jpg", "--edit", "but red"],
        ["--image", album / "blue.jpg", "--crop", "0,0,0.5,1"],
        ["--composed", f"{{{album / 'blue.jpg'}}} the cat of this {{{album / 'red.png'}}} in the room of this"],
        ["a cat", "--like", first, "--modality", "image"],
        ["a cat", "--unlike", first],
        ["--like", first],
        ["--keywords", "owl"],
        ["a cat", "--hybrid", "--fusion", "weighted", "--where", "format = png and width >= 10"],
        ["a cat", "--modality", "image", "--group-by", "folder", "--diversity", "0.5", "--min-score", "-1"],
        ["a cat", "--view", "default"],
        ["a cat", "--version", "1"],
    ]
    bad = [
        ["a cat", "-c", "none"],
        ["a cat", "--where", "colour = red"],
        ["a cat", "--where", "width >="],
        ["--like", "no such item"],
        ["--image", "no such file"],
        ["--image", album / "blue.jpg", "--crop", "0,0,2,1"],
        ["--image", album / "blue.jpg", "--crop", "half"],
        ["--composed", "words alone"],
        ["a cat", "--like", first, "--unlike", first],
        ["a cat", "--rerank", "nosuch"],
        ["--image", tmp_path / "broken.png"],
        ["--image", "http://127.0.0.1:9/x.png"],
        ["  "],
        ["a cat", "--explain", "3"],
        ["a cat", "--version", "99"],
        [],
    ]
    for line in good:
        for more in ([], ["--json"]):
            alone, before = oneword("search", *line, *more, "--no-daemon"), answered(warm)
            assert alone.code == 0, alone
            assert oneword("search", *line, *more) == alone
            until(lambda before=before: answered(warm) == before + 1)  # it is logged after it is sent
    for line in bad:
        for more in ([], ["--json"]):
            alone = oneword("search", *line, *more, "--no-daemon")
            assert alone.code in (1, 2), (line, alone)
            assert oneword("search", *line, *more) == alone


def test_a_search_with_it_imports_no_model_and_no_table_library(warm: Address, oneword: Callable[..., Done]) -> None:
    code = (
        "import sys; from oneword import cli\n"
        "assert cli.run(['search', 'a cat', '--json']) == 0\n"
        "heavy = {'torch', 'lancedb', 'pyarrow', 'numpy', 'PIL', 'httpx', 'oneword.query.service'}\n"
        "assert not heavy & set(sys.modules)\n"
    )
    before = answered(warm)
    subprocess.run([sys.executable, "-c", code], check=True)
    until(lambda: answered(warm) == before + 1)


def test_what_needs_no_model_starts_none(address: Address, oneword: Callable[..., Done]) -> None:
    first = json.loads(oneword("search", "a cat", "--json", "--no-daemon").stdout)["hits"][0]["id"]
    for line in (["--keywords", "owl"], ["--like", first]):
        assert oneword("search", *line).code == 0
    assert not address.log.exists()


def test_a_store_in_the_address_of_another(warm: Address, album: Path, oneword: Callable[..., Done]) -> None:
    """The very path, another folder: as many versions, other items."""
    shutil.rmtree(".oneword")
    shutil.move(album / "sub" / "diary.md", "diary.md")
    index_paths(["diary.md"], db=".oneword", model="hash")
    hits = json.loads(oneword("search", "a cat", "--json").stdout)["hits"]
    assert [hit["text"] for hit in hits] == ["# Monday\nwe saw an owl"]
    found = ask(warm, Query.of("a cat"), "default")  # by its old address
    assert found is None or [hit.text for hit in found] == ["# Monday\nwe saw an owl"]


def test_it_sees_what_others_write(warm: Address, oneword: Callable[..., Done]) -> None:
    Path("new.txt").write_text("a yak")
    index_paths(["new.txt"], db=".oneword")
    hits = json.loads(oneword("search", "a yak", "--json").stdout)["hits"]
    assert hits[0]["text"] == "a yak"


def test_names_of_collections_are_quoted(warm: Address, oneword: Callable[..., Done]) -> None:
    assert ask(warm, Query.of("a cat"), "../collections/default") is None
    for name in ("a/b", "default/search?x=", "", "é\n"):
        assert oneword("search", "a cat", "-c", name) == oneword("search", "a cat", "-c", name, "--no-daemon")


def test_another_environment_or_model_is_another_address(address: Address, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    assert Address.of(".oneword", EngineConfig()) == address
    assert Address.of(".oneword", EngineConfig(dtype="fp16")) != address
    assert Address.of("elsewhere", EngineConfig()) != address
    monkeypatch.setenv("HF_HOME", "/models")
    assert Address.of(".oneword", EngineConfig()) != address
