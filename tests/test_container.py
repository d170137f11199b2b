"""The Dockerfile and compose.yaml name what there is; building them takes Docker, which tests do without."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from oneword import cli

ROOT = Path(cli.__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]


def test_extras_that_are_installed_exist() -> None:
    known = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    (groups) = re.findall(r'pip install "\.\[([\w,-]+)\]"', DOCKERFILE)
    assert len(groups) == 2
    for group in groups:
        assert set(group.split(",")) <= set(known)
        assert {"serve", "faiss"} <= set(group.split(","))


def test_what_is_copied_is_there_and_is_not_ignored() -> None:
    kept = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    copied = [name for line in re.findall(r"^COPY (.+) \S+$", DOCKERFILE, re.MULTILINE) for name in line.split()]
    assert {"engine", "indexer", "query", "storage", "oneword", "pyproject.toml"} <= set(copied)
    for name in copied:
        assert (ROOT / name).exists()
        assert f"!{name}" in kept


@pytest.mark.parametrize("name", SERVICES)
def test_commands_have_options_that_there_are(name: str) -> None:
    command, *given = SERVICES[name]["command"]
    known = get_command(cli.app).commands[command]  # type: ignore[attr-defined]
    options = {one for parameter in known.params for one in parameter.opts}
    assert {one for one in given if one.startswith("--")} <= options
    assert SERVICES[name]["build"]["target"] in re.findall(r"AS (\w+)", DOCKERFILE)


def test_environment_is_what_the_command_reads() -> None:
    serve = get_command(cli.app).commands["serve"]  # type: ignore[attr-defined]
    read = {parameter.envvar for parameter in serve.params if parameter.envvar}
    said = set(re.findall(r"(ONEWORD_\w+)=", DOCKERFILE))
    assert said <= read
    assert "ONEWORD_KEYS" in said  # without keys it would refuse to listen beyond the container
