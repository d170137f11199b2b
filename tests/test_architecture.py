"""What the layers promise: who imports whom, and that every package's public names are real."""

import importlib
import shutil
import subprocess
import sys
import tomllib
import zipfile
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("engine", "indexer", "query", "storage")


def test_import_contracts_hold() -> None:
    done = subprocess.run([str(Path(sys.executable).parent / "lint-imports")], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_no_import_circles() -> None:
    """Not even by imports in functions, or for types alone."""
    graph = grimp.build_graph("oneword", cache_dir=None)
    modules = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    TopologicalSorter(modules).prepare()  # raises CycleError


@pytest.mark.parametrize("package", [f"oneword.{one}" for one in FOLDERS])
def test_public_names_exist_and_importing_is_light(package: str) -> None:
    module = importlib.import_module(package)
    for name in module.__all__:
        assert getattr(module, name) is not None
    with pytest.raises(AttributeError):
        _ = module.no_such_name
    code = f"import sys, {package}; assert not {{'numpy', 'torch', 'lancedb', 'PIL'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_an_installation_puts_one_name_into_site_packages(tmp_path: Path) -> None:
    """And whole: each file of the folders is in the wheel, which holds no links."""
    source = tmp_path / "source"
    leave = shutil.ignore_patterns(".*", "__pycache__", "tests", "docs", "demo", "benchmarks", "build", "*.egg-info")
    shutil.copytree(ROOT, source, symlinks=True, ignore=leave)
    code = f"from setuptools import build_meta; build_meta.build_wheel({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=source, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        names = opened.namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"oneword"}
    there = {
        f"oneword/{file.relative_to(ROOT).as_posix()}"
        for folder in FOLDERS
        for file in (ROOT / folder).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert there <= set(names)
    assert not [name for name in names if "miniature" in name or "tiny" in name]  # neither research nor tests
    assert sum(file.file_size for file in opened.infolist()) < 8_000_000


def test_an_installed_package_has_its_data() -> None:
    """Weights, views and recipes lie in folders that are not packages: setuptools takes what a pattern names."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = settings["tool"]["setuptools"]["package-data"]["*"]
    for name in FOLDERS:
        packages = [init.parent for init in (ROOT / name).rglob("__init__.py")]
        taken = {file for package in packages for pattern in patterns for file in package.glob(pattern)}
        there = {file for file in (ROOT / name).rglob("*") if file.is_file() and "__pycache__" not in file.parts}
        assert {file for file in there if file.suffix != ".py"} <= taken
