"""Each task on a data set in its published layout, small enough for its metrics to be worked out by hand."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from oneword.engine import Side
from oneword.engine.errors import ViewError
from oneword.engine.evaluation.captioned import read_captioned
from oneword.engine.evaluation.cirr import cirr, read_cirr, submission
from oneword.engine.evaluation.fashioniq import fashioniq, orders
from oneword.engine.evaluation.files import BadData
from oneword.engine.evaluation.sts import STS, as_reference, read_sts, sts
from oneword.engine.evaluation.text_image import image_image, text_image
from oneword.engine.evaluation.vectors import VectorCache
from oneword.engine.views import DEFAULT

X, Y, Z = [1, 0, 0], [0, 1, 0], [0, 0, 1]


def karpathy(folder: Path, name: str = "dataset_flickr30k.json") -> None:
    images = [
        {"filename": f"{colour}.png", "split": split, "sentences": [{"raw": f"{colour} {n}"} for n in range(2)]}
        for colour, split in (("red", "test"), ("yellow", "train"), ("blue", "test"))
    ]
    (folder / name).write_text(json.dumps({"images": images, "dataset": "x"}), encoding="utf-8")


def test_text_image_in_karpathys_layout(tmp_path: Path, paint: Callable[..., None], table: Any) -> None:
    paint(tmp_path / "flickr30k-images", "red", "blue", "yellow")
    karpathy(tmp_path)
    # "red 1" lies nearer to blue; blue's own captions are right.
    encoder = table({"red": X, "blue": Y, "red 0": X, "red 1": [0.1, 0.9, 0], "blue 0": Y, "blue 1": [0.3, 0.9, 0]})
    report = text_image(read_captioned(tmp_path), "here", VectorCache(encoder))
    assert report.metrics["text to image R@1"] == 75.0
    assert report.metrics["text to image R@5"] == 100.0
    assert report.metrics["image to text R@1"] == 100.0, "one of the two captions is enough"
    assert report.counts == {"images": 2, "captions": 4}
    assert report.paper["text to image R@1"] == 79.5
    assert not [key for key, _, _ in encoder.seen if "yellow" in key], "another split's"
    assert report.preprocessing == "standard"
    assert [note for note in report.notes if "comparable with --preprocessing as-published" in note]


def test_the_papers_own_preprocessing_is_said(tmp_path: Path, paint: Callable[..., None], table: Any) -> None:
    paint(tmp_path, "red", "blue")
    karpathy(tmp_path)
    encoder = table({"red": X, "blue": Y, "red 0": X, "red 1": X, "blue 0": Y, "blue 1": Y})
    space = encoder.space
    encoder.space = lambda view: replace(space(view), preprocessing={"assembly": "as-published"})
    report = text_image(read_captioned(tmp_path), "here", VectorCache(encoder))
    assert report.preprocessing == "as-published"
    assert [note for note in report.notes if "so were these" in note]


def test_text_image_from_a_datasets_folder(tmp_path: Path, table: Any) -> None:
    import datasets

    pictures = [PIL.Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    columns = {"image": pictures, "text": [["red 0", "red 1"], ["blue 0"]]}
    features = datasets.Features({"image": datasets.Image(), "text": datasets.Sequence(datasets.Value("string"))})
    made = datasets.Dataset.from_dict(columns, features=features)
    encoder = table({"red": X, "blue": Y, "red 0": X, "red 1": Y, "blue 0": Y})
    made.save_to_disk(str(tmp_path / "coco"))
    (tmp_path / "parquet").mkdir()
    made.to_parquet(str(tmp_path / "parquet" / "test-00000.parquet"))
    for folder in ("coco", "parquet"):
        report = text_image(read_captioned(tmp_path / folder), "here", VectorCache(encoder))
        assert report.metrics["text to image R@1"] == pytest.approx(100 * 2 / 3)
        assert report.metrics["image to text R@1"] == 50.0, "red 1 and blue 0 are alike, and red 1 comes first"


def test_captions_are_as_in_the_file(tmp_path: Path, paint: Callable[..., None], table: Any) -> None:
    """The reference does not strip them; COCO has some with white space at their ends."""
    paint(tmp_path, "red")
    entry = {"filename": "red.png", "split": "test", "sentences": [{"raw": " A red square. \n"}, {"raw": "\tred"}]}
    (tmp_path / "dataset_coco.json").write_text(json.dumps({"images": [entry]}), encoding="utf-8")
    data = read_captioned(tmp_path)
    assert data.captions == [[" A red square. \n", "\tred"]]
    encoder = table({"red": X, " A red square. \n": X, "\tred": X})
    assert text_image(data, "here", VectorCache(encoder)).metrics["text to image R@1"] == 100.0
    entry["sentences"].append({"raw": " \n"})  # type: ignore[attr-defined]
    (tmp_path / "dataset_coco.json").write_text(json.dumps({"images": [entry]}), encoding="utf-8")
    with pytest.raises(BadData, match="none of them blank"):
        read_captioned(tmp_path)


@pytest.mark.parametrize(
    "place", ["val2014", "images/val2014", "images", "flickr30k_images/flickr30k_images", "flickr30k-images", "."]
)
@pytest.mark.parametrize("described", [".", "karpathy"])
def test_usual_downloads(tmp_path: Path, paint: Callable[..., None], place: str, described: str) -> None:
    entry = {"filename": "red.png", "filepath": "val2014", "split": "test", "sentences": [{"raw": "red"}]}
    (tmp_path / described).mkdir(exist_ok=True)
    (tmp_path / described / "dataset_coco.json").write_text(json.dumps({"images": [entry]}), encoding="utf-8")
    with pytest.raises(BadData, match=r"val2014/red\.png or .*/images/red\.png"):
        read_captioned(tmp_path)
    paint(tmp_path / place, "red")
    data = read_captioned(tmp_path)
    assert data.name == "coco"
    assert data.images[0]().size == (8, 8)


def test_a_dictionary_of_datasets(tmp_path: Path) -> None:
    import datasets

    rows = [{"image": PIL.Image.new("RGB", (8, 8)), "text": "a"}]
    made = datasets.Dataset.from_list(rows)
    datasets.DatasetDict({"train": made, "test": made}).save_to_disk(str(tmp_path / "set"))
    assert (tmp_path / "set" / "dataset_dict.json").is_file(), "named like Karpathy's"
    assert read_captioned(tmp_path / "set").captions == [["a"]]


def test_image_image_renders_captions(tmp_path: Path, paint: Callable[..., None], table: Any) -> None:
    paint(tmp_path, "red", "blue")
    karpathy(tmp_path, "dataset_coco.json")
    encoder = table({"red": X, "blue": Y, "rendered": X})
    report = image_image(read_captioned(tmp_path), "here", VectorCache(encoder))
    assert report.metrics["rendered text to image R@1"] == 50.0
    assert report.notes
    assert report.paper["rendered text to image R@1"] == 41.2


def cirr_data(folder: Path, *, targets: bool = True) -> None:
    (folder / "captions").mkdir(parents=True)
    (folder / "image_splits").mkdir()
    names = {"a": "./dev/red.png", "b": "./dev/green.png", "c": "./dev/blue.png", "d": "./dev/yellow.png"}
    entries = [
        {"pairid": 7, "reference": "a", "target_hard": "b", "caption": "one", "img_set": {"members": ["a", "b", "d"]}},
        {"pairid": 9, "reference": "c", "target_hard": "d", "caption": "two", "img_set": {"members": ["c", "d", "a"]}},
    ]
    for entry in [] if targets else entries:
        del entry["target_hard"]
    (folder / "captions" / "cap.rc2.val.json").write_text(json.dumps(entries), encoding="utf-8")
    (folder / "image_splits" / "split.rc2.val.json").write_text(json.dumps(names), encoding="utf-8")


CIRR_TABLE = {
    "red": X,
    "green": [0.8, 0.6, 0],
    "blue": Z,
    "yellow": [0, 0.6, 0.8],
    # nearest red (masked), then green, which is right
    ("red", "one"): X,
    # nearest green, then yellow, which is right; in the subset of red, yellow it is first
    ("blue", "two"): [0.4, 0.9, 0.1],
}


def test_cirr(tmp_path: Path, paint: Callable[..., None], table: Any) -> None:
    paint(tmp_path / "dev", "red", "green", "blue", "yellow")
    cirr_data(tmp_path)
    encoder = table(CIRR_TABLE)
    report = cirr(read_cirr(tmp_path), "here", VectorCache(encoder))
    assert report.metrics["R@1"] == 50.0
    assert report.metrics["R@5"] == 100.0
    assert report.metrics["subset R@1"] == 100.0
    assert report.metrics["unedited R@1"] == 100.0
    assert {view for _, view, _ in encoder.seen} == {"cirr"}
    assert {side for key, _, side in encoder.seen if isinstance(key, tuple)} == {Side.QUERY}


def test_models_that_follow_no_prompts_are_measured_by_the_default_view(
    tmp_path: Path, paint: Callable[..., None], table: Any
) -> None:
    paint(tmp_path / "dev", "red", "green", "blue", "yellow")
    cirr_data(tmp_path)

    class Unprompted(table):
        def space(self, view: Any) -> Any:
            if view != DEFAULT:
                raise ViewError("reads no prompts")
            return super().space(view)

    encoder = Unprompted(CIRR_TABLE)
    report = cirr(read_cirr(tmp_path), "here", VectorCache(encoder))
    assert report.metrics["R@1"] == 50.0
    assert list(report.fingerprints) == ["default"]
    assert {view for _, view, _ in encoder.seen} == {"default"}


@pytest.mark.parametrize(("captions", "pictures"), [(".", "img_raw"), ("cirr", "."), ("cirr", "cirr/img_raw")])
def test_cirrs_usual_downloads(
    tmp_path: Path, paint: Callable[..., None], table: Any, captions: str, pictures: str
) -> None:
    cirr_data(tmp_path / captions)
    with pytest.raises(BadData, match=r"/dev/red\.png or .*/img_raw/dev/red\.png"):
        read_cirr(tmp_path)
    paint(tmp_path / pictures / "dev", "red", "green", "blue", "yellow")
    assert cirr(read_cirr(tmp_path), "here", VectorCache(table(CIRR_TABLE))).metrics["subset R@1"] == 100.0


def test_cirr_submission(tmp_path: Path, paint: Callable[..., None], table: Any) -> None:
    paint(tmp_path / "dev", "red", "green", "blue", "yellow")
    cirr_data(tmp_path, targets=False)
    data = read_cirr(tmp_path)
    with pytest.raises(BadData, match="target_hard"):
        cirr(data, "here", VectorCache(table(CIRR_TABLE)))
    recall, subset = submission(data, VectorCache(table(CIRR_TABLE)), tmp_path / "out")
    assert json.loads(recall.read_text()) == {
        "version": "rc2",
        "metric": "recall",
        "7": ["b", "c", "d"],
        "9": ["b", "d", "a"],
    }
    assert json.loads(subset.read_text()) == {
        "version": "rc2",
        "metric": "recall_subset",
        "7": ["b", "d"],
        "9": ["d", "a"],
    }


def test_fashioniq(tmp_path: Path, paint: Callable[..., None], table: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    paint(tmp_path / "images", "red", suffix=".jpg")
    paint(tmp_path / "images", "blue")
    for kind in ("dress", "shirt", "toptee"):  # as some arrange them
        paint(tmp_path / "images" / kind, "green", suffix=".jpeg")
    for folder in ("captions", "image_splits"):
        (tmp_path / folder).mkdir()
    for kind in ("dress", "shirt", "toptee"):
        entry = {"candidate": "red", "target": "blue", "captions": ["is blue.", "longer"]}
        (tmp_path / "captions" / f"cap.{kind}.val.json").write_text(json.dumps([entry]), encoding="utf-8")
        (tmp_path / "image_splits" / f"split.{kind}.val.json").write_text('["red", "green", "blue"]', encoding="utf-8")
    monkeypatch.setattr("oneword.engine.evaluation.fashioniq.AT", (1, 2))
    # Alone each order points elsewhere; the longer one decides the sum only if it is not cut to unit length.
    edits = {("red", "is blue, longer"): [0, 1, 0], ("red", "longer, is blue"): [0, 0, 3]}
    encoder = table({"red": X, "green": Y, "blue": Z} | edits)
    report = fashioniq(tmp_path, VectorCache(encoder))
    assert report.metrics["average R@1"] == 100.0
    assert {view for _, view, _ in encoder.seen} == {"fashioniq-dress", "fashioniq-shirt"}
    assert report.counts["toptee images"] == 3


def test_fashioniqs_caption_orders() -> None:
    assert orders(["is blue. ", "?has, a belt,"]) == ("is blue, has, a belt", "has, a belt, is blue")


def test_sts(tmp_path: Path, table: Any) -> None:
    year = tmp_path / "STS" / "STS12-en-test"
    year.mkdir(parents=True)
    (year / "STS.input.one.txt").write_text("x\tx\nx\tz\textra\nx\tunrated\n", encoding="utf-8")
    (year / "STS.gs.one.txt").write_text("5\n0\n\n", encoding="utf-8")
    (year / "STS.input.two.txt").write_text("x\ty\n", encoding="utf-8")
    (year / "STS.gs.two.txt").write_text("3.5\n", encoding="utf-8")
    (tmp_path / "STS" / "STSBenchmark").mkdir()
    rows = ["g\tf\t2012\t1\t4.0\tx\tx", "g\tf\t2012\t2\t1.0\tx\ty", "g\tf\t2012\t3\t2.0\tx\tz"]
    (tmp_path / "STS" / "STSBenchmark" / "sts-test.csv").write_text("\n".join(rows), encoding="utf-8")
    (tmp_path / "SICK").mkdir()
    sick = ["pair_ID\tsentence_A\tsentence_B\trelatedness_score\tentailment_judgment"]
    sick += ["1\tx\tz\t4.5\tN", "2\tx\tx\t1\tN"]
    (tmp_path / "SICK" / "SICK_test_annotated.txt").write_text("\n".join(sick), encoding="utf-8")
    encoder = table({"x.": X, "y.": [0.6, 0.8, 0], "z.": Z})
    report = sts(read_sts(tmp_path), "here", VectorCache(encoder))
    assert report.metrics["STS12"] == pytest.approx(100.0), "all parts together"
    assert report.metrics["STS-B"] == pytest.approx(50.0), "similarities 1, .6, 0 against 4, 1, 2"
    assert report.metrics["SICK-R"] == pytest.approx(-100.0)
    assert "average" not in report.metrics
    assert {view for _, view, _ in encoder.seen} == {"sts"}


def test_sentences_as_the_reference_feeds_them() -> None:
    assert as_reference('is  "it" so?') == "is 'it' so."
    assert as_reference("done.") == "done."
    assert as_reference("a dog") == "a dog."
    assert STS.query.text == " <sent>\nSummary above sentence in one word:"


def test_a_split_is_a_column_or_a_name_and_never_all(tmp_path: Path) -> None:
    import datasets

    def save(path: str, *splits: str) -> Path:
        rows = [{"image": PIL.Image.new("RGB", (8, 8)), "text": "a", "split": split} for split in splits]
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        made = datasets.Dataset.from_list(rows)
        (made if len(set(splits)) > 1 else made.remove_columns("split")).to_parquet(str(tmp_path / path))
        return tmp_path / Path(path).parts[0]

    assert len(read_captioned(save("column/TEST-0.parquet", "test", "train", "test")).images) == 2
    save("folders/train/0.parquet", "train", "train")
    assert len(read_captioned(save("folders/test/0.parquet", "test")).images) == 1
    with pytest.raises(BadData, match="has no split 'test'"):
        read_captioned(save("other/train-0.parquet", "train"))
    assert not read_captioned(tmp_path / "folders", limit=1).whole


@pytest.mark.parametrize("reader", [read_captioned, read_cirr, read_sts])
def test_an_empty_folder_is_told_what_was_expected(tmp_path: Path, reader: Callable[[Path], Any]) -> None:
    with pytest.raises(BadData, match="expected"):
        reader(tmp_path)


def test_malformed_files_are_named(tmp_path: Path, table: Any) -> None:
    (tmp_path / "dataset_coco.json").write_text('{"images": [{"split": "test"}]}', encoding="utf-8")
    with pytest.raises(BadData, match=r"dataset_coco\.json: an entry has sentences = None"):
        read_captioned(tmp_path)
    karpathy(tmp_path, "dataset_coco.json")
    with pytest.raises(BadData, match=r"red\.png"):
        text_image(read_captioned(tmp_path), "here", VectorCache(table({})))
    with pytest.raises(BadData, match="split 'dev'"):
        read_captioned(tmp_path, "dev")


def test_nothing_to_measure_is_an_error(tmp_path: Path, paint: Callable[..., None], table: Any) -> None:
    cirr_data(tmp_path)
    (tmp_path / "captions" / "cap.rc2.val.json").write_text("[]", encoding="utf-8")
    with pytest.raises(BadData, match="no queries"):
        cirr(read_cirr(tmp_path), "here", VectorCache(table({})))
    for wrong in ("null", '["a"]', '{"a": 3}'):
        (tmp_path / "image_splits" / "split.rc2.val.json").write_text(wrong, encoding="utf-8")
        with pytest.raises(BadData, match=r"split\.rc2\.val\.json"):
            read_cirr(tmp_path)
    (tmp_path / "SICK").mkdir()
    lines = ["pair_ID\tsentence_A\tsentence_B\trelatedness_score\tj", "1\tx\ty\t3\tN", "2\tx\tx\t3\tN"]
    (tmp_path / "SICK" / "SICK_test_annotated.txt").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(BadData, match="fewer than two different scores"):
        sts(read_sts(tmp_path), "here", VectorCache(table({"x.": X, "y.": Y})))
    (tmp_path / "SICK" / "SICK_test_annotated.txt").write_text("\n".join([*lines[:2], "2\tx\tx\tnan\tN"]))
    with pytest.raises(BadData, match="score 'nan'"):
        read_sts(tmp_path)


def test_cells_that_are_no_pictures_are_named(tmp_path: Path, table: Any) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    for value in (b"junk", None):
        column = pa.array([{"bytes": value, "path": None}] if value else [None], pa.struct([("bytes", pa.binary())]))
        parquet.write_table(
            pa.table({"image": column, "text": ["a"]}), _made(tmp_path / f"{value!r}"[:4]) / "0.parquet"
        )
        with pytest.raises(BadData, match=r"row 0 has no image|cannot be read"):
            text_image(read_captioned(tmp_path / f"{value!r}"[:4]), "here", VectorCache(table({"a": X})))


def test_vectors_are_used_again(tmp_path: Path, paint: Callable[..., None], table: Any) -> None:
    paint(tmp_path / "dev", "red", "green", "blue", "yellow")
    cirr_data(tmp_path)
    first = cirr(read_cirr(tmp_path), "here", VectorCache(table(CIRR_TABLE), tmp_path / "cache"))
    encoder = table(CIRR_TABLE)
    again = cirr(read_cirr(tmp_path), "here", VectorCache(encoder, tmp_path / "cache"))
    assert again == first
    assert not encoder.seen
    encoder.space = lambda view: (
        table({}).space(view).__class__(model="other", revision="2", view=view, preprocessing={}, dimension=3)
    )
    cirr(read_cirr(tmp_path), "here", VectorCache(encoder, tmp_path / "cache"))
    assert encoder.seen, "another space has its own vectors"


def test_cirr_fashioniq_and_sts_as_tables(tmp_path: Path, table: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def save(name: str, rows: list[dict[str, Any]]) -> None:
        datasets.Dataset.from_list(rows).to_parquet(str(_made(tmp_path / name) / "val-test-00000.parquet"))

    red, green, blue, yellow = (PIL.Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue", "yellow"))
    pairs = [("a", "b", "one", red), ("c", "d", "two", blue)]
    asked = [{"candidate_id": c, "target_id": t, "caption": said, "candidate": one} for c, t, said, one in pairs]
    save("cirr_val", asked)
    save("cirr_imgs", [{"id": i, "img": one} for i, one in zip("abcd", (red, green, blue, yellow), strict=True)])
    report = cirr(read_cirr(tmp_path), "here", VectorCache(table(CIRR_TABLE)))
    assert report.metrics["R@1"] == 50.0
    assert "subset R@1" not in report.metrics, "the tables do not say the sets"

    monkeypatch.setattr("oneword.engine.evaluation.fashioniq.AT", (1,))
    kinds = ("dress", "shirt", "toptee")
    fields = {"candidate_id": "r", "target_id": "b", "caption": ["is blue", "longer"]}
    save("fashioniq_val", [{"category": kind, **fields} for kind in kinds])
    save(
        "fashioniq_val_imgs",
        [{"category": k, "id": i, "img": one} for k in kinds for i, one in (("r", red), ("b", blue))],
    )
    near = {"red": X, "blue": Z, ("red", "is blue, longer"): Z, ("red", "longer, is blue"): Z}
    assert fashioniq(tmp_path, VectorCache(table(near))).metrics["average R@1"] == 100.0

    rows = [("x", "x", 5.0), ("x", "y", 2.0), ("x", "z", 1.0)]
    save("SICK-R", [{"sentence1": a, "sentence2": b, "score": score} for a, b, score in rows])
    encoder = table({"x.": X, "y.": [0.6, 0.8, 0], "z.": Z})
    assert sts(read_sts(tmp_path), "here", VectorCache(encoder)).metrics == {"SICK-R": pytest.approx(100.0)}


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
