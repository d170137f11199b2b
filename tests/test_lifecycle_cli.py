"""The commands of a collection's life, as they are typed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oneword import cli as front_door
from oneword.indexer import index_paths


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Runs a command line and checks its exit code; gives stdout and stderr together."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(line: str, code: int = 0) -> str:
        capfd.readouterr()
        assert front_door.run(line.split()) == code
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return out + err

    return run


@pytest.fixture
def oneword(run: Callable[..., str], album: Path) -> Callable[..., str]:
    """The same where the album is indexed."""
    run("index album --model hash")
    return run


@pytest.fixture(scope="module")
def mistakes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a collection that no mistake changes."""
    folder = tmp_path_factory.mktemp("mistakes")
    (folder / "note.txt").write_text("a cat")
    index_paths([folder / "note.txt"], db=str(folder / ".oneword"), model="hash")
    return folder


@pytest.fixture
def as_json(oneword: Callable[..., str]) -> Callable[[str], Any]:
    return lambda line: json.loads(oneword(f"{line} --json"))


def test_collections_are_made_copied_renamed_and_dropped(
    oneword: Callable[..., str], as_json: Callable[[str], Any]
) -> None:
    made = as_json("collections create same --like default")
    assert made["space"] == as_json("info")["space"]
    assert "model hash" in oneword("collections create other --model hash --view default")
    assert as_json("collections copy default copy") == {"collection": "copy", "copied_from": "default", "items": 6}
    assert as_json("collections rename copy kept")["renamed_from"] == "copy"
    assert as_json("collections drop same --yes")["dropped"]
    listed = as_json("collections")["collections"]
    assert [(one["name"], one["items"]) for one in listed] == [("default", 6), ("kept", 6), ("other", 0)]
    assert as_json("collections --db nowhere") == {"db": str(Path("nowhere").absolute()), "collections": []}
    assert "kept" in oneword("collections")
    assert "6 of 6 items in 'kept'" in oneword("search cat --collection kept")
    for line in ("collections drop kept --yes", "collections rename other another", "collections copy default kept"):
        oneword(line)


@pytest.mark.parametrize(
    ("line", "code", "complaint"),
    [
        ("collections create x", 2, "--like OTHER, or --model MODEL"),
        ("collections create x --like default --model hash", 2, "one of the two"),
        ("collections create x --like default --view cirr", 2, "--view goes with --model"),
        ("collections create x --like absent", 1, "absent"),
        ("collections create x --model hash --view cirr", 1, "reads no prompts"),
        ("collections create default --like default", 1, "already exists"),
        ("collections create Bad! --like default", 1, "Bad!"),
        ("collections drop default", 2, "--yes"),
        ("collections drop absent --yes", 1, "absent"),
        ("collections rename absent new", 1, "absent"),
        ("collections rename default default", 1, "already exists"),
        ("collections copy default default", 1, "already exists"),
        ("collections --db elsewhere drop default --yes", 2, "after the command"),
        ("collections --json drop default --yes", 2, "after the command"),
        ("collections nonsense", 2, "nonsense"),
        ("versions absent", 1, "absent"),
        ("tag default a/b", 1, "a/b"),
        ("tag default a --version 99", 1, "no version 99; it has versions 1,"),
        ("tag default a --delete", 1, "no version or tag 'a'"),
        ("tag default a --delete --version 1", 2, "takes no --version"),
        ("restore default nope --yes", 1, "tags (none)"),
        ("restore default 1", 2, "--yes"),
        ("compact default --older-than soon", 2, "'soon' is not an age"),
        ("compact absent", 1, "absent"),
        ("export absent out.parquet", 1, "absent"),
        ("export default nowhere/out.parquet", 1, "nowhere"),
        ("export default note.txt", 2, "--yes"),
        ("export default out.parquet --vectors int8", 2, "int8"),
        ("import absent.parquet", 1, "absent.parquet"),
        ("reembed default", 2, "--model"),
        ("reembed absent --model hash", 1, "absent"),
        ("reembed default --model basic --into new --drop-old", 2, "give one"),
        ("reembed default --model basic --drop-old", 2, "--yes"),
        ("reembed default --model hash --view cirr", 1, "reads no prompts"),
        ("import note.txt", 1, "its name says no format; name it with --from: parquet, arrow, npy,"),
        ("import note.txt --from parquet", 1, "cannot be read as parquet"),
        ("import note.txt --from npy", 1, "cannot be read as an array of NumPy"),
        ("import note.txt --map colour=x", 2, "expected NAME=COLUMN with a name of id, vector, text"),
        ("import absent.npy", 1, "absent.npy"),
        ("import absent.faiss", 1, "absent.faiss"),
        ("import absent.jsonl", 1, "absent.jsonl"),
        ("import absent.lance", 1, "absent.lance"),
        ("export default note.txt --to npy", 2, "--yes"),
    ],
)
def test_mistakes(
    run: Callable[..., str], mistakes: Path, monkeypatch: pytest.MonkeyPatch, line: str, code: int, complaint: str
) -> None:
    monkeypatch.chdir(mistakes)
    said = run(line, code)
    assert complaint in " ".join(said.split())
    assert "error: " in said


def test_versions_tags_and_going_back(oneword: Callable[..., str], as_json: Callable[[str], Any]) -> None:
    assert as_json("tag default whole")["deleted"] is False
    oneword("delete --where width>0 --yes")
    found = as_json("versions default")["versions"]
    assert [(one["items"], one["tags"]) for one in found][-2:] == [(6, ["whole"]), (2, [])]
    assert "whole" in oneword("versions")
    back = as_json("restore default whole --yes")
    assert (back["items"], back["before"]) == (6, found[-1]["version"])
    assert "To go back: oneword restore default" in oneword(f"restore default {back['before']} --yes")
    assert as_json("info")["items"] == 2
    done = as_json("compact default --older-than 0s")
    assert done["versions_kept"] == 2
    assert done["bytes_after"] < done["bytes_before"]
    assert "whole" in oneword("versions")
    assert "Removed tag 'whole'" in oneword("tag default whole --delete")
    assert "versions: 1 removed, 1 kept" in oneword("compact --older-than 0s")


def test_exports_and_imports(oneword: Callable[..., str], as_json: Callable[[str], Any], tmp_path: Path) -> None:
    done = as_json("export default .")
    assert (done["items"], done["file"]) == (6, str(tmp_path / "default.parquet"))
    assert "Exported the 6 items" in oneword("export default default.parquet --vectors float32 --yes")
    assert as_json("import default.parquet --db other --collection copy")["added"] == 6
    assert "0 new, 0 changed, 6 unchanged" in oneword("import default.parquet --db other --collection copy")
    hits = [as_json(f"search owl {where}")["hits"] for where in ("", "--db other --collection copy")]
    assert hits[0] == hits[1]


def test_vectors_for_others_and_of_others(oneword: Callable[..., str], as_json: Callable[[str], Any]) -> None:
    assert as_json("export default out.npy --to npy")["items"] == 6
    assert as_json("export default . --to qdrant")["file"].endswith("/default.jsonl")
    assert as_json("export default . --to milvus")["file"].endswith("/default.json")
    (best, *_) = as_json("search owl")["hits"]
    lines = {
        "npy": "import out.npy --collection npy --model hash",
        "qdrant": "import default.jsonl --collection qdrant --model hash",
        "lancedb": "import .oneword/default.lance --collection lancedb",
        "named": "import out.npy --collection named --model vectors:another:256 --without indexed_at --map uri=id",
    }
    for name, line in lines.items():
        assert as_json(line)["added"] == 6
        assert as_json(line)["unchanged"] == 6
        if name != "named":
            assert as_json(f"search owl --collection {name}")["hits"][0]["id"] == best["id"]
    assert len(as_json(f"search --like {best['id']} --collection named")["hits"]) == 5


def test_reembedding(oneword: Callable[..., str], as_json: Callable[[str], Any], album: Path) -> None:
    assert "there is nothing to do" in oneword("reembed default --model hash")
    (album / "blue.jpg").unlink()
    said = oneword("reembed default --model basic --keep past --allow-missing")
    assert "6 items: 5 embedded, 0 by an earlier run, 1 quarantined" in said
    assert "blue.jpg: cannot be read" in said
    assert "kept as 'past'" in said
    assert as_json("info")["space"]["model"] == "basic"
    assert as_json("info past")["space"]["model"] == "hash"
    assert sorted(one["name"] for one in as_json("collections")["collections"]) == ["default", "past"]
