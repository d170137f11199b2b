"""What the layers promise: who imports whom, and that every package's public names are real."""

import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_import_contracts_hold() -> None:
    done = subprocess.run([str(Path(sys.executable).parent / "lint-imports")], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("package", ["engine", "indexer", "query", "storage"])
def test_public_names_exist_and_importing_is_light(package: str) -> None:
    module = importlib.import_module(package)
    for name in module.__all__:
        assert getattr(module, name) is not None
    with pytest.raises(AttributeError):
        _ = module.no_such_name
    code = f"import sys, {package}; assert not {{'numpy', 'torch', 'lancedb', 'PIL'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_an_installed_package_has_its_data() -> None:
    """Weights, views and recipes lie in folders that are no packages: setuptools takes what a pattern names."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = settings["tool"]["setuptools"]["package-data"]["*"]
    for name in ("engine", "indexer", "query", "storage"):
        packages = [init.parent for init in (ROOT / name).rglob("__init__.py")]
        taken = {file for package in packages for pattern in patterns for file in package.glob(pattern)}
        there = {file for file in (ROOT / name).rglob("*") if file.is_file() and "__pycache__" not in file.parts}
        assert {file for file in there if file.suffix != ".py"} <= taken
