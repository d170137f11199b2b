"""What the README shows works as shown."""

import re
from pathlib import Path

import pytest

from indexer import index_paths

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_python_example_runs(album: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index_paths([album], model="hash")
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(example, {})
    assert len(capsys.readouterr().out.splitlines()) == 5
