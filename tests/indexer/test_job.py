import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from oneword.engine.encoding import encode
from oneword.engine.errors import ViewError
from oneword.engine.hashing import HashEncoder
from oneword.engine.inputs import Document, Image, Input, Text
from oneword.engine.views import DEFAULT, View
from oneword.indexer import embed, index_paths, pipeline
from oneword.indexer.pipeline import Local
from oneword.indexer.report import Report
from oneword.storage import Collection, SpaceMismatch, Store


def run(*paths: Path, **options: Any) -> Report:
    return index_paths(paths, **{"db": "db", "model": "hash", **options})


def rows(collection: str = "default") -> dict[str, Any]:
    return {
        item.uri.rsplit("/", 1)[1]: item for items in Store("db").open(collection).scan(vectors=True) for item in items
    }


def counts(report: Report) -> tuple[int, int, int, int]:
    assert report.inputs == report.indexed + report.unchanged + report.quarantined
    return report.added, report.updated, report.unchanged, report.quarantined


def test_a_folder_is_indexed_once(album: Path) -> None:
    assert counts(run(album)) == (6, 0, 0, 0)
    assert counts(run(album)) == (0, 0, 6, 0)
    found = rows()
    assert found["red.png"].text == "a red rectangle"
    assert found["red.png"].modality == "image"
    assert (found["red.png"].width, found["red.png"].height) == (40, 30)
    assert found["note.txt"].modality == "text"
    facts = {key: value for key, value in found["green.PNG"].metadata.items() if not key.startswith("_")}
    assert facts == {"name": "green.PNG", "folder": "sub", "format": "png"}


def test_stored_vectors_are_the_engines(album: Path) -> None:
    run(album)
    red = Image(pixels=PIL.Image.open(album / "red.png").convert("RGB"))
    expected = encode(
        HashEncoder(),
        [Document(image=red, text="a red rectangle"), Text(text="the cat sleeps on the sofa")],
        DEFAULT,
    )
    stored = rows()
    for name, vector in zip(("red.png", "note.txt"), expected, strict=True):
        assert np.abs(stored[name].vector - vector).max() < 1e-3


def test_changed_files_are_updates(album: Path) -> None:
    run(album)
    (album / "note.txt").write_text("the dog barks")
    (album / "red.txt").write_text("a crimson rectangle")
    PIL.Image.new("RGB", (9, 9)).save(album / "new.png")
    shutil.copyfile(album / "blue.jpg", album / "sub" / "copy.jpg")
    assert counts(run(album)) == (2, 2, 4, 0)
    assert rows()["note.txt"].text == "the dog barks"
    assert rows()["red.png"].text == "a crimson rectangle"


class Counting(HashEncoder):
    """Remembers what it embeds."""

    def __init__(self) -> None:
        self.embedded: list[Input] = []

    def prepare(self, inputs: Sequence[Input], view: Any, side: Any) -> Any:
        self.embedded.extend(inputs)
        return super().prepare(inputs, view, side)


def test_equal_content_is_embedded_once_even_across_runs(album: Path) -> None:
    encoder = Counting()
    for i in range(3):
        shutil.copyfile(album / "blue.jpg", album / f"copy{i}.jpg")
    assert counts(run(album, model=encoder))[0] == 9
    assert len(encoder.embedded) == 6
    shutil.copyfile(album / "blue.jpg", album / "late.jpg")
    assert counts(run(album, model=encoder))[0] == 1
    assert len(encoder.embedded) == 6


def test_bad_inputs_are_quarantined_with_reasons_and_retried(album: Path) -> None:
    (album / "empty.png").write_bytes(b"")
    (album / "renamed.jpg").write_text("not a picture")
    (album / "blank.txt").write_text("  \n")
    (album / "binary.txt").write_bytes(b"\xff\x00\x01")
    whole = (album / "red.png").read_bytes()
    (album / "cut.png").write_bytes(whole[: len(whole) // 2])
    (album / os.fsdecode(b"caf\xe9.png")).write_bytes(b"")
    report = run(album)
    assert counts(report) == (6, 0, 0, 6)
    quarantined = Store("db").quarantine("default").list()
    assert sorted(one.kind for one in quarantined) == [
        "BadText",
        "BlankText",
        "EmptyFile",
        "EmptyFile",
        "NotAnImage",
        "TruncatedImage",
    ]
    assert all(one.tries == 1 and len(one.reason) > 20 for one in quarantined)
    (album / "cut.png").write_bytes(whole)
    assert counts(run(album)) == (1, 0, 6, 5)
    left = Store("db").quarantine("default").list()
    assert len(left) == 5
    assert all(one.tries == 2 for one in left)


def test_neither_a_spoilt_nor_a_blank_caption_costs_its_image(album: Path, caplog: pytest.LogCaptureFixture) -> None:
    (album / "red.txt").write_bytes(b"\xff\0\xff")
    report = run(album)
    assert counts(report) == (6, 0, 0, 0)
    assert report.set_aside == {"caption file": 1}
    assert rows()["red.png"].text is None
    assert "caption files that are not text: 1" in caplog.text
    ((kept,),) = Store("db").open("default").scan(filter="exists(set_aside)")
    (reason,) = kept.metadata["set_aside"]
    assert reason.startswith(f"caption file: {album}/red.txt: not UTF-8")
    assert counts(run(album)) == (0, 0, 6, 0)
    (album / "red.txt").write_text(" ")
    assert counts(run(album)) == (0, 1, 5, 0)
    assert rows()["red.png"].text is None
    assert "set_aside" not in rows()["red.png"].metadata


class Picky(HashEncoder):
    """Gives no vector for one text."""

    def prepare(self, inputs: Sequence[Input], view: Any, side: Any) -> Any:
        vectors = super().prepare(inputs, view, side)
        vectors[[isinstance(one, Text) and "owl" in one.text for one in inputs]] = np.nan
        return vectors


def test_an_input_that_the_model_cannot_embed_is_quarantined_alone(album: Path) -> None:
    report = run(album, model=Picky())
    assert counts(report) == (5, 0, 0, 1)
    assert "diary.md" in report.refused[0].reason


def test_a_collection_is_bound_to_its_model_and_view(album: Path) -> None:
    run(album)
    with pytest.raises(SpaceMismatch, match=r"hash.*basic"):
        index_paths([album], db="db", model="basic")
    assert index_paths([album], db="db").model == "hash", "auto takes the collection's own"
    with pytest.raises(ViewError, match="reads no prompts"):
        run(album, view="cirr")


def test_small_chunks_give_the_same_rows(album: Path) -> None:
    run(album)
    run(album, collection="small", runner=Local(group=2))
    run(album, collection="single", runner=Local(group=2, group_pixels=1, commit_rows=1))
    for other in ("small", "single"):
        for name, item in rows().items():
            same = rows(other)[name]
            assert same.content_hash == item.content_hash
            assert np.array_equal(same.vector, item.vector)


def test_a_job_that_dies_half_way_is_finished_by_the_next(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    insert, calls = Collection.insert, []

    def dying(self: Collection, items: Any) -> Any:
        calls.append(len(items))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return insert(self, items)

    with monkeypatch.context() as patch:
        patch.setattr(Collection, "insert", dying)
        with pytest.raises(KeyboardInterrupt):
            run(album, runner=Local(group=2, commit_rows=2))
    assert calls[0] in (2, 3), "a commit is due at two, and a group is of one or two"
    assert counts(run(album)) == (6 - calls[0], 0, calls[0], 0)


def test_pictures_are_loaded_no_further_ahead_than_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(40):
        PIL.Image.new("RGB", (8, 8), (number, 0, 0)).save(folder / f"{number:02}.png")
    loaded, ahead = [0], []
    load = pipeline.load

    def counting(*given: Any) -> Any:
        loaded[0] += 1
        return load(*given)

    class Slow(embed.Started[str]):
        def result(self) -> Any:
            time.sleep(0.05)  # as long as it likes, the loaders get no further
            ahead.append(loaded[0] - sum(embedded))
            embedded.append(len(self.contents))
            return super().result()

    embedded: list[int] = []
    monkeypatch.setattr(pipeline, "load", counting)
    monkeypatch.setattr(embed, "Started", Slow)
    assert counts(run(folder, runner=Local(group=4, ahead=2))) == (40, 0, 0, 0)
    assert max(ahead) <= 4 + 4 + 4 + 2 + 2, "three groups, the queue, and one at each of its ends"
    assert max(embedded) <= 4


def test_groups_of_a_table_are_no_larger_than_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "t.csv"
    table.write_text("text\n" + "".join(f"text {number}\n" for number in range(40)))
    sizes: list[int] = []

    class Sized(embed.Started[str]):
        def result(self) -> Any:
            sizes.append(len(self.contents))
            return super().result()

    monkeypatch.setattr(embed, "Started", Sized)
    assert counts(run(table, runner=Local(group=4))) == (40, 0, 0, 0)
    assert max(sizes) <= 4
    assert counts(run(table, runner=Local(group=4))) == (0, 0, 40, 0)


def test_progress_reaches_its_end(album: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    run(album, progress=lambda done, total: seen.append((done, total)))
    assert seen[0] == (0, None), "a folder is not walked before it is read"
    assert seen[-1] == (6, None)
    Path("t.csv").write_text("id,text\na,one\nb,two\n")
    run(Path("t.csv"), progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (2, 2)


def test_an_empty_folder_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    assert counts(run(tmp_path / "nothing")) == (0, 0, 0, 0)


def test_a_view_object_is_kept_with_the_collection(album: Path) -> None:
    run(album, view=DEFAULT)
    assert View.from_dict(Store("db").open("default").space["prompts"]) == DEFAULT
