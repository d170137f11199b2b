from __future__ import annotations

import subprocess
import sys

import pytest

from oneword import storage
from oneword.storage import errors


def test_every_public_name_is_there() -> None:
    assert storage.__all__ == sorted(storage.__all__)
    assert all(getattr(storage, name) is not None for name in storage.__all__)


def test_the_names_that_load_lazily_are_the_public_ones() -> None:
    assert sorted(storage._HOME) == storage.__all__


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
