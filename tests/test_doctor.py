"""`oneword doctor` on this installation, and on faults that are made."""

import json
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from oneword.cli import run
from oneword.doctor import missing


def examined(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    assert run(["doctor", "--json", *arguments]) == code
    return json.loads(capsys.readouterr().out)


def test_a_sound_installation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONEWORD_API_KEY", "ow_secret")
    monkeypatch.setenv("ONEWORD_MODEL", "hash")
    found = examined(capsys, "--db", str(tmp_path / "db"))
    assert found["faults"] == []
    assert {one["name"]: one["missing"] for one in found["extras"]}["basic"] == []
    assert not {"dev", "bench"} & {one["name"] for one in found["extras"]}
    assert {"lancedb", "torch"} <= found["packages"].keys()
    assert "pytest" not in found["packages"]
    assert found["devices"][0].startswith("cpu: ")
    assert found["places"]["store"][0] == str(tmp_path / "db")
    assert found["environment"]["ONEWORD_MODEL"] == "hash"
    assert found["environment"]["ONEWORD_API_KEY"] == "(set)"
    assert run(["doctor"]) == 0
    assert "Nothing is wrong" in capsys.readouterr().out
    assert not (tmp_path / "db").exists()


def test_faults_have_remedies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "file" / "cache"))
    found = examined(capsys, "--db", str(tmp_path / "file" / "db"), code=1)
    assert [one["what"].split(":")[0] for one in found["faults"]] == ["store", "models"]
    assert "ONEWORD_DB" in found["faults"][0]["remedy"]
    assert "HF_HOME" in found["faults"][1]["remedy"]
    assert run(["doctor", "--db", str(tmp_path / "file" / "db")]) == 1
    assert "cannot be written" in capsys.readouterr().out


def test_what_an_extra_lacks() -> None:
    requirements = [
        Requirement(text)
        for text in (
            "always-missing",
            'no-such-package>=1; extra == "a"',
            'pytest>=9999; extra == "a"',
            'pytest; extra == "b"',
            'windows-only; sys_platform == "win32" and extra == "b"',
            'oneword[a,b]; extra == "c"',
        )
    ]
    lacks = list(missing("a", requirements))
    assert lacks[0] == "no-such-package"
    assert lacks[1].startswith("pytest ")
    assert lacks[1].endswith("(expected >=9999)")
    assert list(missing("b", requirements)) == []
    assert list(missing("c", requirements)) == lacks
