"""Long texts: chunks, linked to their documents."""

import json
import random
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneword.engine.chunks import WORDS, Splitter
from oneword.engine.hashing import HashEncoder
from oneword.engine.inputs import Composed, Image, Text
from oneword.engine.models import load
from oneword.engine.space import Space
from oneword.engine.views import View
from oneword.indexer import JobConfig, Report, index_paths, reembed
from oneword.storage import Item, Store


def text(sentences: int, seed: int = 0) -> str:
    draw = random.Random(seed)
    words = "the red house stands by a river and an old tree".split()
    return " ".join(" ".join(draw.choices(words, k=9)).capitalize() + "." for _ in range(sentences))


def run(*paths: str, **config: Any) -> Report:
    return index_paths(paths, db="db", model="hash", config=JobConfig(**config))


def rows() -> dict[str, Item]:
    return {item.id: item for items in Store("db").open("default").scan(vectors=True) for item in items}


@given(st.text(max_size=3000), st.integers(8, 200))
def test_chunks_fit_and_lose_nothing_but_white_space(whole: str, tokens: int) -> None:
    chunks = Splitter(tokens=tokens).split(whole)
    assert all(len(WORDS.findall(one)) <= tokens for one in chunks)
    assert re.sub(r"\s", "", "".join(chunks)) == re.sub(r"\s", "", whole)


@pytest.mark.parametrize("model", ["basic", "mini"])
def test_tokens_are_the_models_own(model: str) -> None:
    from tokenizers import Tokenizer

    encoder = load(model)
    splitter = Splitter.of(encoder)
    tokenizer = Tokenizer.from_str(str(encoder.tokenizer))
    chunks = splitter.split(text(300) + " [SEP] <image> " + "漢字" * 400)
    assert splitter.tokens == encoder.chunk_tokens
    assert len(chunks) > 5
    lengths = [len(tokenizer.encode(one, add_special_tokens=False).ids) for one in chunks]
    assert max(lengths) <= encoder.chunk_tokens
    assert sum(one.endswith(".") for one in chunks) > len(chunks) / 2, "they end with sentences"


def test_a_text_that_fits_is_as_it_is() -> None:
    assert Splitter(tokens=8).split("  a  b \n") == ["  a  b \n"]


def test_a_document_and_its_chunks(tmp_path: Path) -> None:
    Path("d.jsonl").write_text(
        json.dumps({"id": "d", "text": text(60), "year": 1990}) + "\n" + '{"id":"e","text":"short"}\n'
    )
    report = run("d.jsonl")
    assert (report.added, report.rows) == (2, len(rows()))
    count = len(rows()) - 1
    assert count > 3
    assert rows()["e"].metadata.get("document") is None
    chunks = [rows()["d"], *(rows()[f"d#{number}"] for number in range(2, count + 1))]
    assert " ".join(str(one.text) for one in chunks) == text(60)
    for number, one in enumerate(chunks, 1):
        facts = one.metadata
        assert (facts["document"], facts["chunk"], facts["chunks"], facts["year"]) == ("d", number, count, 1990)
        assert one.uri == chunks[0].uri
    hits = Store("db").open("default").search(chunks[2].vector, group_by="document")
    assert [hit.item.id for hit in hits] == ["d#3", "e"]


@pytest.mark.parametrize("outcome", ["longer", "shorter", "one", "gone", "last words"])
def test_a_document_that_changes(outcome: str, tmp_path: Path) -> None:
    file = Path("doc.txt")
    file.write_text(text(60))
    run("doc.txt")
    before = len(rows())
    assert run("doc.txt").unchanged == 1
    now = {"longer": text(90), "shorter": text(30), "one": "short", "gone": None, "last words": text(60) + " End."}[
        outcome
    ]
    if now is None:
        file.unlink()
        Path("other").mkdir()
        Path("other/note.txt").write_text("here")
        index_paths([tmp_path], db="db", model="hash", config=JobConfig(delete_missing=True))
        assert [item.text for item in rows().values()] == ["here"]
        return
    file.write_text(now)
    assert run("doc.txt").updated == 1
    after = sorted(rows().values(), key=lambda item: int(item.metadata.get("chunk", 1)))  # type: ignore[arg-type]
    assert " ".join(str(one.text) for one in after) == now
    assert all(one.metadata.get("chunks", 1) == len(after) for one in after)
    assert {"longer": len(after) > before, "shorter": len(after) < before, "one": len(after) == 1}.get(outcome, True)
    assert run("doc.txt").unchanged == 1


def test_another_measure_splits_again(tmp_path: Path) -> None:
    Path("doc.txt").write_text(text(60))
    run("doc.txt")
    before = len(rows())
    assert run("doc.txt", chunks=32).updated == 1
    assert len(rows()) > 2 * before
    assert run("doc.txt", chunks=0).updated == 1
    assert [item.text for item in rows().values()] == [text(60)]


def test_a_text_in_a_table_is_compared_as_it_would_be_embedded(tmp_path: Path) -> None:
    Path("texts.jsonl").write_text(json.dumps({"id": "a", "text": text(60)}))
    run("texts.jsonl", chunks=0)
    assert run("texts.jsonl", chunks=0).unchanged == 1
    assert run("texts.jsonl", chunks=32).updated == 1
    assert run("texts.jsonl", chunks=0).updated == 1
    [item] = rows().values()
    Store("db").open("default").upsert(
        [replace(item, vector=np.full(256, 1 / 16, np.float32), content_hash="client:a")]
    )
    assert run("texts.jsonl", chunks=0).updated == 1
    assert rows()["a"].content_hash == item.content_hash


def test_captions_stay_whole(album: Path) -> None:
    (album / "red.txt").write_text(text(60))
    assert run(str(album)).rows == 6


class Short(HashEncoder):
    """Reads 20 words and marks of a text; keeps what it was given."""

    text_tokens = 20

    def __init__(self) -> None:
        self.read: list[str] = []

    def prepare(self, inputs: Any, view: Any, side: Any) -> Any:
        self.read += [one.text for one in inputs if not isinstance(one, Image)]
        return super().prepare(inputs, view, side)


def test_what_a_model_does_not_read_is_cut_at_a_sentence_and_told_once(
    album: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (album / "red.txt").write_text(text(60))
    (album / "note.txt").write_text(text(50, seed=1))
    encoder = Short()
    report = index_paths([album], db="db", model=encoder, config=JobConfig(chunks=0))
    assert (report.indexed, report.shortened, report.as_dict()["shortened"]) == (6, 2, 2)
    said = [one for one in caplog.messages if "longer than the 20 tokens" in one]
    assert len(said) == 1
    assert "model hash reads: 2;" in said[0]
    first_two = ". ".join(text(60).split(". ")[:2]) + "."
    long = [one for one in encoder.read if len(one) > 40]
    assert len(long) == 2
    assert all(one.endswith(".") and len(WORDS.findall(one)) == 20 for one in long), "two sentences of ten"
    assert first_two in long
    assert text(60) in {one.text for one in rows().values()}, "the store has all of it"
    again = Short()
    report = reembed(db="db", model=Turned(again))
    assert report.shortened == 2
    assert sorted(one for one in again.read if len(one) > 40) == sorted(long)


class Turned(Short):
    """In another space."""

    def __init__(self, other: Short) -> None:
        self.read = other.read

    def space(self, view: View) -> Space:
        return replace(super().space(view), revision="2")


def test_an_id_that_a_chunk_has_is_nobody_elses() -> None:
    Path("d.jsonl").write_text(json.dumps({"id": "d", "text": text(60)}) + "\n")
    Path("e.jsonl").write_text('{"id": "d#2", "text": "mine"}\n{"id": "issue#12", "text": "a bug"}\n')
    run("d.jsonl")
    for _ in range(2):
        report = run("e.jsonl")
        assert (report.inputs, report.quarantined) == (2, 1)
        assert report.kinds == {"IdTaken": 1}
    assert rows()["d#2"].metadata["document"] == "d"
    assert rows()["issue#12"].text == "a bug"
    Path("other.jsonl").write_text(json.dumps({"id": "issue", "text": text(200)}) + "\n")
    assert run("other.jsonl").kinds == {"DuplicateId": 1}, "nor may a chunk take it"
    assert rows()["issue#12"].text == "a bug"


def test_a_character_may_be_several_tokens() -> None:
    """Of byte-level tokenizers, whose tokens may be single bytes."""
    splitter = Splitter(tokens=None, tokenizer=load("mini").tokenizer, limit=8)
    whole, few = Text(text="世界世界"), Text(text="a cat")
    read = splitter.fitted(whole)
    assert isinstance(read, Text)
    assert 0 < len(read.text) < len(whole.text)
    assert splitter.fitted(few) is few
    edited = Composed(image=Image(pixels=PIL.Image.new("RGB", (8, 8))), edit=whole.text)
    assert splitter.fitted(edited) == replace(edited, edit=read.text)
