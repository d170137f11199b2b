"""`oneword train` and `oneword eval`, as a user runs them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from oneword import cli as front_door

ROWS = [("a dog", "one dog", "a cat"), ("a red box", "one red box", "a blue box"), ("the sea", "the ocean", "a hill")]


@pytest.fixture
def oneword(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[str, str]]:
    def run(*arguments: object, code: int = 0) -> tuple[str, str]:
        capfd.readouterr()
        assert front_door.run([str(one) for one in arguments]) == code
        return tuple(capfd.readouterr())

    return run


@pytest.fixture
def triples(tmp_path: Path) -> Path:
    path = tmp_path / "triples.jsonl"
    names = ("sent0", "sent1", "hard_neg")
    path.write_text("\n".join(json.dumps(dict(zip(names, row, strict=True))) for row in ROWS), encoding="utf-8")
    return path


def short(*arguments: object) -> list[object]:
    changes = ("steps=2", "warm_up_steps=1", "batch=2", "lora.rank=2")
    return [*arguments, "--recipe", "small", *(f"--set={change}" for change in changes)]


def test_train_makes_a_model_that_indexes(tmp_path: Path, triples: Path, oneword: Any) -> None:
    out, _ = oneword("train", *short(triples, "--model", "mini", "--out", "run", "--json"))
    made = json.loads(out)
    assert made["model"] == "run/model"
    assert made["last"]["step"] == 2
    (tmp_path / "pictures").mkdir()
    PIL.Image.new("RGB", (64, 64), "red").save(tmp_path / "pictures" / "red.png")
    oneword("index", "pictures", "--model", "run/model")
    assert json.loads(oneword("search", "red", "--json")[0])["hits"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["train"], 2, "missing DATA, --model, --out"),
        (["train", "--show", "huge"], 2, "expected one of e5v, small, zero2"),
        (["train", "absent.csv", "--model", "mini", "--out", "run", "--recipe", "small"], 1, "no such file"),
        (
            ["train", "triples.jsonl", "--model", "nothing", "--out", "run", "--recipe", "small"],
            1,
            "no folder 'nothing'",
        ),
        (["train", "triples.jsonl", "--model", "mini", "--out", "run", "--set", "x=1"], 1, "x: no such field"),
        (["train", "triples.jsonl", "--model", "mini", "--out", "run"], 1, "needs a CUDA GPU"),
        (["eval", "sts", "--data", ".", "--model", "hash"], 1, "holds no STS data"),
        (["eval", "cirr", "--data", "absent", "--model", "hash"], 1, "expected CIRR's own"),
        (["eval", "live", "--queries", "absent.jsonl"], 1, "cannot be read"),
        (["eval", "sts"], 2, "--data"),
    ],
)
def test_mistakes_are_told(triples: Path, oneword: Any, arguments: list[str], code: int, said: str) -> None:
    assert said in oneword(*arguments, code=code)[1]
    assert not Path("run").exists() or not list(Path("run").iterdir()), "nothing is left behind"


def test_shipped_files_are_shown(oneword: Any) -> None:
    assert 'method = "qlora"' in oneword("train", "--show", "e5v")[0]
    assert json.loads(oneword("train", "--show", "zero2")[0])["zero_optimization"]["stage"] == 2


def test_eval_prints_a_table_or_json_and_uses_its_cache(tmp_path: Path, oneword: Any) -> None:
    (tmp_path / "data").mkdir()
    images = []
    for colour in ("red", "blue"):
        PIL.Image.new("RGB", (64, 64), colour).save(tmp_path / "data" / f"{colour}.png")
        images.append({"filename": f"{colour}.png", "split": "test", "sentences": [{"raw": colour}]})
    (tmp_path / "data" / "dataset_coco.json").write_text(json.dumps({"images": images}), encoding="utf-8")
    command = (
        "eval",
        "text-image",
        "--data",
        "data",
        "--model",
        "hash",
        "--cache",
        "cache",
        "--out",
        "out/report.json",
    )
    table, _ = oneword(*command)
    assert "text to image R@1" in table
    assert "52.00" in table, "the paper's figure beside ours"
    report = json.loads(oneword(*command, "--json")[0])
    assert report["counts"] == {"images": 2, "captions": 2}
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == report
    assert len(list((tmp_path / "cache").iterdir())) == 2
    oneword("eval", "image-image", "--data", "data", "--model", "hash")


def test_a_place_that_cannot_be_written_is_told_before_the_work(tmp_path: Path, oneword: Any) -> None:
    (tmp_path / "data").mkdir()
    PIL.Image.new("RGB", (64, 64), "red").save(tmp_path / "data" / "a.png")
    images = [{"filename": "a.png", "split": "test", "sentences": [{"raw": "red"}]}]
    (tmp_path / "data" / "dataset_x.json").write_text(json.dumps({"images": images}), encoding="utf-8")
    command = ("eval", "text-image", "--data", "data", "--model", "hash", "--json")
    for place in ("--out", "--cache"):
        target = "data" if place == "--out" else "data/a.png"
        out, errors = oneword(*command, place, target, code=1)
        assert target in json.loads(out)["error"]["message"]
        assert "Traceback" not in errors


def test_a_view_file_is_the_collections_own(tmp_path: Path, oneword: Any) -> None:
    (tmp_path / "v.toml").write_text('name = "mine"\nimage = "<image>\\nIts color in one word: "\n', encoding="utf-8")
    (tmp_path / "w.toml").write_text('name = "mine"\nimage = "<image>\\nIts shape in one word: "\n', encoding="utf-8")
    (tmp_path / "pictures").mkdir()
    PIL.Image.new("RGB", (64, 64), "red").save(tmp_path / "pictures" / "red.png")
    oneword("index", "pictures", "--model", "mini", "--view", "v.toml")
    for name in ("v.toml", "mine"):
        assert json.loads(oneword("search", "red", "--view", name, "--json")[0])["hits"]
    oneword("search", "red", "--view", "w.toml", code=1)


def test_a_live_index(tmp_path: Path, oneword: Any) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "cat.txt").write_text("the cat sleeps", encoding="utf-8")
    (tmp_path / "texts" / "owl.txt").write_text("an owl hoots", encoding="utf-8")
    oneword("index", "texts", "--model", "hash")
    cat = json.loads(oneword("search", "the cat sleeps", "--json")[0])["hits"][0]["id"]
    (tmp_path / "topics.tsv").write_text("1\tthe cat sleeps\n", encoding="utf-8")
    (tmp_path / "qrels.txt").write_text(f"1 0 {cat} 1\n", encoding="utf-8")
    command = ("eval", "live", "--queries", "topics.tsv", "--qrels", "qrels.txt")
    assert json.loads(oneword(*command, "--json")[0])["metrics"]["RR@10"] == 1.0
    assert "Success@1  1.000" in oneword(*command)[0]
