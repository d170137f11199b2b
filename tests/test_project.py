"""What contributors and CI rely on: valid workflows, versions that pyproject.toml allows, scripts that type-check."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def required() -> dict[str, list[Requirement]]:
    """What pyproject.toml asks for, by package, of all extras."""
    groups = [PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"].values()]
    found: dict[str, list[Requirement]] = {}
    for one in map(Requirement, [line for group in groups for line in group]):
        found.setdefault(canonicalize_name(one.name), []).append(one)
    return found


def pinned() -> dict[str, Version]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    return {canonicalize_name(name): Version(version) for name, _, version in (line.partition("==") for line in lines)}


def test_constraints_are_versions_that_are_allowed() -> None:
    pins, wanted = pinned(), required()
    for name, version in pins.items():
        for requirement in wanted.get(name, ()):
            assert version in requirement.specifier, (name, version, str(requirement))
    development = {
        canonicalize_name(Requirement(one).name) for one in PROJECT["project"]["optional-dependencies"]["dev"]
    }
    assert development - {"oneword"} <= set(pins)


def test_torch_is_bounded_and_never_pinned_to_a_build() -> None:
    assert {str(one.specifier) for one in required()["torch"]} == {"<2.14,>=2.9"}
    assert not [name for name in pinned() if re.match(r"torch|nvidia|cuda|triton", name)]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_use_what_there_is(path: Path) -> None:
    """Each job ends by itself, may do no more than it must, and installs extras and selects markers that exist."""
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert workflow["permissions"]
    extras = set(PROJECT["project"]["optional-dependencies"])
    markers = {one.partition(":")[0] for one in PROJECT["tool"]["pytest"]["ini_options"]["markers"]}
    for name, job in workflow["jobs"].items():
        assert job["timeout-minutes"] <= 120, name
        for entry in job.get("strategy", {}).get("matrix", {}).get("include", ()):
            assert set(re.findall(r"\w+", entry.get("marker", ""))) - {"not", "and", "or"} <= markers
        for step in job["steps"]:
            assert ("run" in step) != ("uses" in step)
            for group in re.findall(r"\.\[([\w,-]+)\]", step.get("run", "")):
                assert set(group.split(",")) <= extras


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actionlint_finds_nothing(path: Path) -> None:
    if (actionlint := shutil.which("actionlint")) is None:
        pytest.skip("actionlint is not installed")
    done = subprocess.run([actionlint, str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_page_type_checks() -> None:
    if (tsc := shutil.which("tsc")) is None:
        pytest.skip("TypeScript's tsc is not installed; `make web-types` fetches it")
    done = subprocess.run([tsc, "--project", str(ROOT / "tsconfig.json")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "path",
    [*sorted((ROOT / ".github").rglob("*.yml")), ROOT / ".pre-commit-config.yaml", ROOT / "CITATION.cff"],
    ids=str,
)
def test_yaml_is_read(path: Path) -> None:
    assert yaml.safe_load(path.read_text(encoding="utf-8"))
