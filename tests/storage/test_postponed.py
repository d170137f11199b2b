"""A package whose `__init__` runs when it is first used."""

import subprocess
import sys
from pathlib import Path

import pytest

from oneword.storage.postponed import postpone


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package that says when it runs."""
    folder = tmp_path / "slow_package"
    folder.mkdir()
    (folder / "__init__.py").write_text("runs = []\nfrom slow_package.part import value\nruns.append(value)\n")
    (folder / "part.py").write_text("import slow_package\nvalue = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    return folder.name


def test_its_modules_do_not_run_it_and_its_names_do(package: str) -> None:
    postpone(package)
    from slow_package.part import value  # type: ignore[import-not-found]

    assert "runs" not in vars(sys.modules[package])
    assert value == 1
    import slow_package

    assert slow_package.runs == [1]
    assert slow_package.runs == [1]
    assert slow_package.part is sys.modules[f"{package}.part"]
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = slow_package.no_such_name
    postpone(package)
    assert slow_package.runs == [1]
    for name in (package, f"{package}.part"):
        del sys.modules[name]


def test_one_that_is_not_installed() -> None:
    postpone("no_such_package")
    assert "no_such_package" not in sys.modules


def test_lancedb_and_catalogs_work_beside_it() -> None:
    """In a process of its own, which has not imported LanceDB yet."""
    code = """
import sys
from oneword.storage import Store
assert Store('.').collections() == []
slow = 'lance_namespace_urllib3_client.api.table_api'
assert 'lancedb' in sys.modules and slow not in sys.modules
import lance_namespace, lance_namespace_urllib3_client
from lance_namespace_urllib3_client import TableApi
assert slow in sys.modules
assert lance_namespace_urllib3_client.CountTableRowsRequest is lance_namespace.CountTableRowsRequest
"""
    subprocess.run([sys.executable, "-c", code], check=True)
