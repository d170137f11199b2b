"""Reading sentence pairs, and the order in which training sees them."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from oneword.engine.training.pairs import BadPairs, order, read_pairs

ROWS = [("a dog", "one dog", "a cat"), ('he said "hi, you"', "two\nlines", "N/A"), ("12", "0.5", "true")]
SIMCSE = ("sent0", "sent1", "hard_neg")


def write(folder: Path, kind: str, names: tuple[str, ...] = SIMCSE) -> Path:
    path = folder / f"pairs.{kind}"
    columns = {name: [row[i] for row in ROWS] for i, name in enumerate(names)}
    match kind:
        case "csv":
            quoted = [",".join('"' + value.replace('"', '""') + '"' for value in row[: len(names)]) for row in ROWS]
            path.write_text("\n".join([",".join(names), *quoted]) + "\n", encoding="utf-8")
        case "jsonl":
            lines = [json.dumps(dict(zip(names, row, strict=False))) for row in ROWS]
            path.write_text("\n".join(lines), encoding="utf-8")
        case "parquet":
            parquet.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("names", [SIMCSE, ("anchor", "positive", "negative"), ("sent0", "sent1")])
def test_every_format_gives_the_same_sentences(tmp_path: Path, kind: str, names: tuple[str, ...]) -> None:
    pairs = read_pairs(write(tmp_path, kind, names))
    assert pairs.rows([0, 1, 2]) == [row[: len(names)] for row in ROWS]
    assert len(pairs) == 3


def test_columns_of_any_name(tmp_path: Path) -> None:
    path = write(tmp_path, "csv", ("x", "y", "z"))
    assert read_pairs(path, ["z", "x"]).rows([0]) == [("a cat", "a dog")]
    with pytest.raises(BadPairs, match="x, y, z"):
        read_pairs(path)
    with pytest.raises(BadPairs, match=r"columns q, x: expected two or three of x, y, z"):
        read_pairs(path, ["q", "x"])


def test_a_row_without_a_sentence_is_named(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("sent0,sent1\na,b\nc,\n", encoding="utf-8")
    with pytest.raises(BadPairs, match=r"row 2 has sent1 = ''"):
        read_pairs(tmp_path / "p.csv")
    (tmp_path / "p.jsonl").write_text('{"sent0": "a", "sent1": 3}\n', encoding="utf-8")
    with pytest.raises(BadPairs, match=r"row 1 has sent1 = 3"):
        read_pairs(tmp_path / "p.jsonl")


@pytest.mark.parametrize(("name", "content"), [("none.csv", None), ("p.txt", "a"), ("p.parquet", "no"), ("p.csv", "")])
def test_files_that_cannot_be_read(tmp_path: Path, name: str, content: str | None) -> None:
    if content is not None:
        (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(BadPairs, match=name):
        read_pairs(tmp_path / name)


def test_tabs_and_quotation_marks(tmp_path: Path) -> None:
    rows = [('"Hello he said', "Hi"), ('A dog"', "A hound"), ('"B"', "C")]
    (tmp_path / "p.tsv").write_text("\n".join("\t".join(row) for row in [("sent0", "sent1"), *rows]), encoding="utf-8")
    assert read_pairs(tmp_path / "p.tsv").rows(range(3)) == rows


def test_a_column_twice(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("sent0,sent0,sent1\na,b,c\n", encoding="utf-8")
    with pytest.raises(BadPairs, match="sent0 more than once"):
        read_pairs(tmp_path / "p.csv")


def test_dates_are_sentences_too(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text('\ufeff{"sent0": "2020-01-01", "sent1": "x\u2028y"}\n\n', encoding="utf-8")
    assert read_pairs(tmp_path / "p.jsonl").rows([0]) == [("2020-01-01", "x\u2028y")]
    (tmp_path / "p.jsonl").write_text("[1, 2]\n", encoding="utf-8")
    with pytest.raises(BadPairs, match=r"p\.jsonl"):
        read_pairs(tmp_path / "p.jsonl")


def test_no_rows(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("sent0,sent1\n", encoding="utf-8")
    with pytest.raises(BadPairs, match="no rows"):
        read_pairs(tmp_path / "p.csv")


@given(count=st.integers(1, 40), batch=st.integers(1, 50), seed=st.integers(0, 9))
def test_each_pass_over_the_data_sees_every_row_once(count: int, batch: int, seed: int) -> None:
    steps = -(-3 * count // batch)
    seen = np.concatenate([order(count, seed, step, batch) for step in range(steps)])[: 3 * count]
    for one in seen.reshape(3, count):
        assert sorted(one.tolist()) == list(range(count))
