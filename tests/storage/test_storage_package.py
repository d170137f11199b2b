from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from oneword import storage
from oneword.storage import errors


def test_every_public_name_is_there() -> None:
    assert storage.__all__ == sorted(storage.__all__)
    assert all(getattr(storage, name) is not None for name in storage.__all__)


def test_no_import_circles() -> None:
    """Not even by imports in functions, or for types alone."""
    root = Path(storage.__file__).parent
    files = {_module(file, root): file for file in root.rglob("*.py")}
    graph = {name: _imports(file) & files.keys() - {name} for name, file in files.items()}
    TopologicalSorter(graph).prepare()  # raises CycleError


def _module(file: Path, root: Path) -> str:
    parts = file.relative_to(root.parent).with_suffix("").parts
    return ".".join(("oneword", *parts)).removesuffix(".__init__")


def _imports(file: Path) -> set[str]:
    """Modules of the storage package that a file names, anywhere in it; public names by the module they are in."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "oneword.storage":
                homes = [getattr(getattr(storage, one.name), "__module__", None) for one in node.names]
                found |= {home or f"oneword.storage.{one.name}" for home, one in zip(homes, node.names, strict=True)}
            else:
                found |= {node.module, *(f"{node.module}.{one.name}" for one in node.names)}
    return found


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such"):
        _ = storage.no_such


def test_importing_the_package_its_commands_and_the_filter_language_is_light() -> None:
    code = (
        "import sys, oneword.storage.cli; from oneword.storage import Item, StorageError, parse_filter; "
        "heavy = {'lancedb', 'pyarrow', 'numpy', 'filelock', 'rich.table'} & set(sys.modules); "
        "sys.exit(str(heavy or 0))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() in ("", "0"), done.stderr


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = [line.split("── ")[1].split()[0] for line in (errors.__doc__ or "").splitlines() if "── " in line]
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.StorageError)]
    assert sorted(drawn) == sorted(kind.__name__ for kind in kinds if kind is not errors.StorageError)


def test_a_space_is_named_as_far_as_it_is_known() -> None:
    whole = {"fingerprint": "0123456789abcdefXYZ", "dimension": 8, "model": "m", "view": "v"}
    assert errors.readable(whole) == "model m, view v (8 dimensions, fingerprint 0123456789abcdef)"
    assert errors.readable({"fingerprint": "ab"}) == "the space with fingerprint ab"
