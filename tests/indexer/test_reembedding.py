"""Embedding a collection again: as if it had been indexed so, whatever happens meanwhile."""

import base64
import io
import json
import os
import signal
import tarfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oneword.engine.encoder import Vectors
from oneword.engine.hashing import HashEncoder
from oneword.engine.space import Space
from oneword.engine.views import View
from oneword.indexer import NotEmbedded, Reembedded, index_paths, reembed, reembedding
from oneword.storage import (
    BadName,
    Collection,
    CollectionExists,
    CollectionNotFound,
    Item,
    Locked,
    Refused,
    SpaceMismatch,
    StorageError,
    Store,
)
from tests import forkserver
from tests.conftest import noise

ROOT = Path(__file__).parents[2]


class Turned(HashEncoder):
    """The model `hash` in another space: its vectors backwards."""

    name = "turned"

    def space(self, view: View) -> Space:
        return replace(super().space(view), model="turned", revision="2")

    def finish(self, raw: Vectors) -> Vectors:
        return raw[:, ::-1]


@pytest.fixture
def old(album: Path) -> Collection:
    index_paths([album], db="db", model="hash")
    return Store("db").open("default")


def run(model: Any = None, **options: Any) -> Reembedded:
    return reembed(db="db", model=model or Turned(), **options)


def rows(name: str = "default") -> dict[str, tuple[Item, bytes]]:
    items = (one for batch in Store("db").open(name).scan(vectors=True) for one in batch)
    return {one.id: (one, np.asarray(one.vector).tobytes()) for one in items}


def turned(before: dict[str, tuple[Item, bytes]]) -> dict[str, tuple[Item, bytes]]:
    return {
        key: (one, np.ascontiguousarray(np.asarray(one.vector)[::-1]).tobytes()) for key, (one, _) in before.items()
    }


def counts(report: Reembedded) -> tuple[int, int, int]:
    return report.embedded, report.unchanged, report.quarantined


def test_everything_but_the_vectors_stays(old: Collection) -> None:
    before = rows()
    old.upsert([replace(one, metadata={**one.metadata, "mine": [one.id]}) for one, _ in before.values()])
    before, created = rows(), old.created
    seen: list[tuple[int, int]] = []
    report = run(progress=lambda done, total: seen.append((done, total)))
    assert counts(report) == (6, 0, 0)
    assert (report.switched, report.into) == (True, "default")
    assert rows() == turned(before)
    assert Store("db").open("default").space["model"] == "turned"
    assert report.kept_as is not None
    assert report.kept_as.startswith("default-before-")
    assert rows(report.kept_as) == before
    assert Store("db").open(report.kept_as).created == created
    assert Store("db").collections() == ["default", report.kept_as]
    assert (seen[0], seen[-1]) == ((0, 6), (6, 6))
    info = Store("db").open("default").index_info()
    assert info is not None, "searches are as quick as before at once"
    assert (report.recall, info.rows) == (info.recall, 6)
    with pytest.raises(SpaceMismatch):
        old.count()
    again = run()
    assert (again.already, again.switched, again.items) == (True, False, 0)
    assert Store("db").collections() == ["default", report.kept_as]


def test_the_captions_are_the_stored_ones(album: Path, old: Collection) -> None:
    (album / "red.txt").write_text("something else")
    before = rows()
    run()
    assert rows() == turned(before)


def test_originals_that_are_gone_or_changed_are_quarantined(album: Path, old: Collection) -> None:
    (album / "red.png").unlink()
    PIL.Image.new("RGB", (9, 9), "yellow").save(album / "blue.jpg")
    (album / "noise.webp").write_text("no picture")
    (album / "note.txt").unlink()  # the store has its text
    (album / "sub" / "green.PNG").unlink()
    os.mkfifo(album / "sub" / "green.PNG")
    far = {"modality": "image", "content_hash": "x", "vector": rows()[next(iter(rows()))][0].vector}
    old.upsert([Item(id="far", uri="https://example.org/a.png", **far)])
    Store("db").quarantine("default").record([Refused(uri="bad", reason="r", kind="k", at=datetime.now(UTC))])
    with pytest.raises(NotEmbedded, match=r"5 of the 7 items of collection 'default' could not.*--allow-missing"):
        run(drop_old=True)
    assert Store("db").open("default").space["model"] == "hash", "never to fewer items without being told to"
    report = run(drop_old=True, allow_missing=True)
    assert counts(report) == (0, 2, 5)
    assert sorted(one.kind for one in report.refused) == [
        "Changed",
        "NotAnImage",
        "UnreadableFile",
        "UnreadableFile",
        "UnreadableFile",
    ]
    entries = {one.uri.rsplit("/", 1)[-1]: one.reason for one in Store("db").quarantine("default").list()}
    assert entries.keys() == {"bad", "red.png", "blue.jpg", "noise.webp", "green.PNG", "a.png"}
    assert "changed since it was indexed" in entries["blue.jpg"]
    assert "not a regular file" in entries["green.PNG"]
    assert report.kept_as, "not dropped, for it has what is nowhere else"
    assert Store("db").open(report.kept_as).count() == 7


def test_without_a_single_original_nothing_is_switched(tmp_path: Path) -> None:
    PIL.Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    index_paths([tmp_path / "a.png"], db="db", model="hash")
    (tmp_path / "a.png").rename(tmp_path / "b.png")
    with pytest.raises(NotEmbedded, match=r"1 of the 1 items of collection 'default'.*a\.png"):
        run(allow_missing=True)
    assert Store("db").open("default").space["model"] == "hash"
    (tmp_path / "b.png").rename(tmp_path / "a.png")
    assert counts(run()) == (1, 0, 0)
    assert Store("db").quarantine("default").count() == 0


def test_the_old_one_can_be_named_or_dropped_or_left_alone(old: Collection) -> None:
    before = rows()
    report = run(into="new")
    assert (report.into, report.switched, report.kept_as) == ("new", False, None)
    assert (rows("default"), rows("new")) == (before, turned(before))
    assert counts(run(into="new")) == (0, 6, 0)
    assert run(keep="past").kept_as == "past"
    assert rows("past") == before
    report = reembed("past", db="db", model=Turned(), drop_old=True)
    assert (report.switched, report.kept_as) == (True, None)
    assert rows("past") == turned(before)
    assert Store("db").collections() == ["default", "new", "past"]


def test_what_cannot_be_is_said_before_anything_is_done(old: Collection) -> None:
    with pytest.raises(CollectionExists, match="'default'"):
        run(keep="default")
    with pytest.raises(CollectionExists, match="'default'"):
        run(into="default")
    with pytest.raises(BadName):
        run(keep="No!")
    with pytest.raises(BadName):
        run(into="No!")
    Store("db").create("other", {**old.space, "fingerprint": "0" * 16})
    with pytest.raises(SpaceMismatch):
        run(into="other")
    with pytest.raises(CollectionNotFound):
        reembed("absent", db="db", model=Turned())
    assert Store("db").collections() == ["default", "other"]


def test_an_object_store_says_what_to_do() -> None:
    with pytest.raises(StorageError, match="use the new one by its own name"):
        Store("s3://bucket/db").check_replaceable("x")


def test_while_someone_writes_it_waits_with_the_switch_only(old: Collection) -> None:
    before = rows()
    with old.writing(), pytest.raises(Locked, match="default"):
        run()
    assert rows() == before
    assert counts(run()) == (0, 6, 0)
    assert rows() == turned(before)


@pytest.mark.parametrize("locked", [False, True], ids=["while it runs", "in the last moment"])
def test_what_is_written_meanwhile_is_caught_up_with(
    album: Path, old: Collection, monkeypatch: pytest.MonkeyPatch, locked: bool
) -> None:
    ids = {one.uri.rsplit("/", 1)[1]: one.id for one, _ in rows().values()}
    Store("db").quarantine("default").record([Refused(uri="bad", reason="r", kind="k", at=datetime.now(UTC))])
    done = []

    def write() -> None:
        if done:
            return
        done.append(True)
        (album / "note.txt").write_text("the dog barks")
        (album / "new.txt").write_text("a new one")
        (album / "blue.jpg").unlink()
        index_paths([album], db="db")
        old.delete([ids["diary.md"], ids["blue.jpg"]])
        old.upsert([replace(old.get([ids["red.png"]], vectors=True)[ids["red.png"]], metadata={"mine": True})])
        old.upsert(
            [replace(old.get([ids["noise.webp"]], vectors=True)[ids["noise.webp"]], uri=(album / "blue.jpg").as_uri())]
        )

    follow = reembedding._Job.follow
    if locked:
        monkeypatch.setattr(reembedding._Job, "follow", lambda self: (follow(self), write())[0])
    report = run(progress=None if locked else lambda done, total: write() if done == total else None)
    assert report.kept_as is not None
    kept = rows(report.kept_as)
    assert len(kept) == 5
    assert rows() == turned(kept)
    assert kept[ids["note.txt"]][0].text == "the dog barks"
    assert rows()[ids["red.png"]][0].metadata == {"mine": True}
    assert [one.uri for one in Store("db").quarantine("default").list()] == ["bad"]
    assert report.removed == 2


def test_a_failure_that_was_mended_or_deleted_meanwhile_is_none(album: Path, old: Collection) -> None:
    (album / "red.png").rename(album / "away")
    ids = {one.uri.rsplit("/", 1)[1]: one.id for one, _ in rows().values()}
    done = []

    def write(at: int, total: int) -> None:
        if at == total and not done:
            done.append(True)
            old.delete([ids["red.png"]])

    report = run(progress=write)
    assert (report.quarantined, len(rows())) == (0, 5)
    assert Store("db").quarantine("default").count() == 0


def test_an_item_that_the_model_cannot_embed_is_quarantined_alone(old: Collection) -> None:
    class Picky(Turned):
        def prepare(self, inputs: Any, view: Any, side: Any) -> Any:
            vectors = super().prepare(inputs, view, side)
            vectors[["owl" in getattr(one, "text", "") for one in inputs]] = np.nan
            return vectors

    report = run(Picky(), allow_missing=True)
    assert counts(report) == (5, 0, 1)
    assert "diary.md" in report.refused[0].reason


def sources(folder: Path, count: int = 3) -> list[Path]:
    """Images in a shard, in a packed one, in cells of bytes, in data URIs, and in a data set."""
    data = [png(seed) for seed in range(5 * count)]
    some = [data[at * count : (at + 1) * count] for at in range(5)]
    for name, images, mode in (("s.tar", some[0], "w"), ("t.tar.gz", some[1], "w:gz")):
        with tarfile.open(folder / name, mode) as archive:
            for at, one in enumerate(images):
                member = tarfile.TarInfo(f"a.b.{at}.png")
                member.size = len(one)
                archive.addfile(member, io.BytesIO(one))
    pq.write_table(pa.table({"id": list("abc"), "image": pa.array(some[2], pa.binary())}), folder / "cells.parquet")
    lines = [
        json.dumps({"id": f"u{at}", "image": "data:image/png;base64," + base64.b64encode(one).decode()})
        for at, one in enumerate(some[3])
    ]
    (folder / "uris.jsonl").write_text("\n".join(lines))
    table = pa.table({"image": pa.array([{"bytes": one, "path": None} for one in some[4]])})
    (folder / "set").mkdir()
    (folder / "set" / "state.json").write_text('{"_data_files": [{"filename": "data.arrow"}]}')
    with pa.OSFile(str(folder / "set" / "data.arrow"), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)
    return [folder / name for name in ("s.tar", "t.tar.gz", "cells.parquet", "uris.jsonl", "set")]


def png(seed: int) -> bytes:
    data = io.BytesIO()
    noise(9, 7, seed).save(data, "PNG")
    return data.getvalue()


def test_images_inside_sources_are_read_from_their_places(tmp_path: Path) -> None:
    paths = sources(tmp_path)
    assert index_paths(paths, db="db", model="hash").added == 15
    before = rows()
    assert counts(run()) == (15, 0, 0)
    assert rows() == turned(before)


def test_members_that_are_gone_or_others_now_are_not_done_without(tmp_path: Path) -> None:
    paths = sources(tmp_path)
    index_paths(paths, db="db", model="hash")
    pq.write_table(pa.table({"id": list("abc"), "image": [png(6), png(77), png(8)]}), tmp_path / "cells.parquet")
    paths[0].unlink()
    with pytest.raises(NotEmbedded, match=r"4 of the 15 items.*Missing 4"):
        run()
    report = run(allow_missing=True)
    assert counts(report) == (0, 11, 4)
    assert len(rows()) == 11


def test_equal_content_is_embedded_once(album: Path, old: Collection) -> None:
    before = rows()
    same = next(one for one, _ in before.values() if one.modality == "text")
    old.upsert([replace(same, id=f"copy {n}") for n in range(3)])
    embedded: list[Any] = []

    class Counting(Turned):
        def prepare(self, inputs: Any, view: Any, side: Any) -> Any:
            embedded.extend(inputs)
            return super().prepare(inputs, view, side)

    assert counts(run(Counting())) == (9, 0, 0)
    assert len(embedded) == 6


def test_texts_alone_need_no_decoder(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index_paths([album / "note.txt"], db="db", model="hash")

    def refused(*_: Any, **__: Any) -> Any:
        raise AssertionError("a process that decodes was started")

    monkeypatch.setattr("oneword.indexer.decode.start", refused)
    assert counts(run()) == (1, 0, 0)


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from tests_reembedding import Turned
from oneword.indexer import reembed, reembedding
from oneword.storage import Collection, Store, moves
reembedding.CHUNK = 2
at, done = int(sys.argv[2]), 0
def deadly(change):
    def step(*args, **options):
        global done
        done += 1
        if done == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return change(*args, **options)
    return step
Collection.upsert = deadly(Collection.upsert)
moves._rename = deadly(moves._rename)
reembed(db="db", model=Turned(), keep="past")
"""


@pytest.mark.parametrize("at", [3, 8], ids=["embedding", "half switched"])  # 3 commits, then 3 renames for each name
def test_a_run_that_is_killed_goes_on(old: Collection, tmp_path: Path, at: int) -> None:
    before = rows()
    (tmp_path / "tests_reembedding.py").write_text(Path(__file__).read_text(encoding="utf-8"), encoding="utf-8")
    done = forkserver.run(["-c", KILLED, tmp_path, at], timeout=120)
    assert done.returncode == -signal.SIGKILL
    assert (Path("db") / "default.lance").is_dir() == (at == 3)
    now = Store("db").open("default").space["model"]
    assert now == ("hash" if at == 3 else "turned")
    assert rows() == (before if now == "hash" else turned(before))
    report = run(keep="past")
    if now == "hash":
        assert counts(report) == (2, 4, 0)
    assert report.already == (now == "turned")
    assert (rows(), rows("past")) == (turned(before), before)
    assert Store("db").collections() == ["default", "past"]
