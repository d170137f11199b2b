"""Globs in parts."""

import random
from glob import glob
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneword.indexer.sources.globs import matches


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of few names, some of which begin with a dot."""
    root, draw = tmp_path_factory.mktemp("tree"), random.Random(1)
    for _ in range(200):
        root.joinpath(*draw.choices(["a", ".a", "b", "a.b", "ab", ".b"], k=draw.randint(1, 4))).mkdir(
            parents=True, exist_ok=True
        )
    return root


@given(wanted=st.lists(st.sampled_from(["**", "*", "a*", ".*", "?", "[ab]", "a", ".a"]), min_size=1, max_size=4))
def test_globs_match_as_those_of_the_standard_library(tree: Path, wanted: list[str]) -> None:
    pattern = "/".join([str(tree), *wanted])
    found = {Path(one).relative_to(tree).as_posix() for one in glob(pattern, recursive=True)}  # noqa: PTH207
    there = {one.relative_to(tree).as_posix() for one in tree.rglob("*")}
    assert {
        one for one in there if matches(one.split("/"), wanted, hidden=False)
    } == found & there  # `none/**` finds itself
