"""Tables and shards of everything that can be wrong with rows: spoilt ones are told, their neighbors are indexed."""

from __future__ import annotations

import io
import json
import os
import re
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oneword.engine import hashing
from oneword.indexer import BadSource, JobConfig, Report, index_paths
from oneword.storage import Store

TEXTS = 100_000 if os.environ.get("ONEWORD_NASTY") == "1" else 6_000


def run(*paths: Path | str, **config: Any) -> Report:
    return index_paths(paths, db="db", model="hash", config=JobConfig(**config))


def lines(*rows: Any) -> bytes:
    return b"".join((row if isinstance(row, bytes) else json.dumps(row).encode()) + b"\n" for row in rows)


def tar(*members: tuple[str, bytes, bytes], **more: Any) -> bytes:
    """Name, content, type of each."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, content, kind in members:
            member = tarfile.TarInfo(name)
            member.type, member.size = kind, len(content) if kind == tarfile.REGTYPE else 0
            member.linkname = content.decode() if kind != tarfile.REGTYPE else ""
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def files(*members: tuple[str, bytes]) -> bytes:
    return tar(*((name, content, tarfile.REGTYPE) for name, content in members))


def parquet() -> bytes:
    table = pa.table({"id": [f"r{at}" for at in range(300)], "text": [f"text number {at}" for at in range(300)]})
    file = io.BytesIO()
    pq.write_table(table, file, row_group_size=100)
    return file.getvalue()


def arrow() -> bytes:
    table = pa.table({"id": [f"r{at}" for at in range(300)], "text": [f"text number {at}" for at in range(300)]})
    file = io.BytesIO()
    with pa.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table, max_chunksize=100)
    return file.getvalue()


PARQUET, ARROW = parquet(), arrow()
SHARD = files(*((f"s{number}.txt", f"text {number}".encode()) for number in range(20)))
GOOD = {"id": "good", "text": "a good neighbor"}
LONG = "many words, again and again. " * 200

# name: (content, indexed, unchanged, refusals by kind)
CASES: dict[str, tuple[bytes, int, int, dict[str, int]]] = {
    "quotes.csv": (
        b'id,text\na,"never closed\nb,fine\nc,also fine\nd,x"y\ne,"x"y\nf,"good"\n',
        4,
        0,
        {"BadRow": 2},
    ),
    "ragged.csv": (b"id,text,n\na,x\nb,y,1,2\nc,z,3\n\n,,\n", 1, 0, {"BadRow": 2, "BadId": 1}),
    "latin.csv": ("id,text\na,café\nb,fine\n".encode("latin-1"), 1, 0, {"BadRow": 1}),
    "ends.csv": (b'id,text\r\na,x\rb,y\nc,"z\r\nw"\nd,fine\r\n', 2, 0, {"BadRow": 1}),
    "mark.csv": (b"\xef\xbb\xbfid,text\na,x\n", 1, 0, {}),
    "zero.csv": (b"id,text\na,x\0y\nb,fine\n", 2, 0, {}),
    "field.csv": (b"id,text\na," + b"x" * (17 * 2**20) + b"\nb,fine\n", 1, 0, {"BadRow": 1}),
    "control.csv": (b'id,text\n"a\nb\x1b[2J",x\n"a\nb\x1b[2J",y\n', 1, 0, {"DuplicateId": 1}),
    "pictures.csv": (
        b'id,image,text\na,absent.png,x\nb,/etc,x\nc,http://127.0.0.1/x.png,x\nd,"data:image/png;base64,!!!",x\n'
        b'e,"new\nline.png",x\nf,file://other/x.png,x\ng,http://[::1,x\nh,/dev/zero,x\ni,,fine\nj,nowhere://a/b,x\n'
        b"k,ftp://127.0.0.1/x.png,x\nl,zip://x.png::http://127.0.0.1/x.zip,x\n",
        1,
        0,
        {"UnreadableFile": 5, "UrlRefused": 2, "BadImage": 4},
    ),
    "deep.jsonl": (
        lines(b'{"id":"a","text":"x","k":' + b"[" * 100_000 + b"]" * 100_000 + b"}", GOOD),
        1,
        0,
        {"BadRow": 1},
    ),
    "numbers.jsonl": (
        lines(
            b'{"id":"a","text":"x","n":NaN}',
            b'{"id":"b","text":NaN}',
            b'{"id":NaN,"text":"x"}',
            b'{"id":1e400,"text":"x"}',
            b'{"id":"c","text":"x","n":' + b"9" * 400 + b"}",
            b'{"id":"d","text":"x","n":' + b"9" * 5000 + b"}",
            b'{"id":' + b"9" * 100 + b',"text":"x"}',
            b'{"id":"e","text":"x","n":9007199254740993}',
        ),
        4,
        0,
        {"EmptyRow": 1, "BadId": 2, "BadRow": 1},
    ),
    "same.jsonl": (
        lines(
            b'{"id":"a","text":"x","text":"y"}',
            {"id": "a", "text": "z"},
            {"id": "a", "text": "y"},
            {"id": "a", "text": "y", "k": 1},
            {"id": "b", "text": "y"},
        ),
        2,
        1,
        {"DuplicateId": 2},
    ),
    "types.jsonl": (
        lines(
            GOOD,
            [1],
            1,
            "x",
            None,
            b"{",
            b"\xff",
            {},
            {"id": ["a"], "text": "x"},
            {"id": "c", "text": {"a": 1}},
            {"id": " ", "text": "x"},
            {"id": "d" * 600, "text": "x"},
        ),
        1,
        0,
        {"BadRow": 6, "BadId": 4, "BadText": 1},
    ),
    "unicode.jsonl": (
        lines(
            b'{"id":"a","text":"short \\ud800"}',
            b'{"id":"b","text":"' + b"long \\ud800 " * 300 + b'"}',
            b'{"id":"c","text":"fine","k":"\\ud800","\\ud801":"v"}',
            b'{"id":"d\\ud800","text":"x"}',
            {"id": "e", "text": "\u200b\ufeff\u2060"},
            {"id": "f", "text": "\x01\x02"},
            {"id": "g", "text": "\U0001f600"},
            {"id": "h", "text": "<image> <|eot_id|> [SEP]"},
            {"id": "i", "text": "x\0y"},
            {"id": "j", "text": "\u0301"},
        ),
        5,
        0,
        {"BadText": 2, "BadId": 1, "EmptyRow": 2},
    ),
    "long.jsonl": (lines({"id": "a", "text": LONG}, {"id": "b", "text": "x" * 2**17}, GOOD), 3, 0, {}),
    "spoilt.parquet": (
        PARQUET[: len(PARQUET) // 3] + bytes(200) + PARQUET[len(PARQUET) // 3 + 200 :],
        200,
        0,
        {"DamagedFile": 1},
    ),
    "half.arrows": (ARROW[: len(ARROW) // 2], 100, 0, {"DamagedFile": 1}),
    "head.tar": (SHARD[: 5 * 1024 + 100], 4, 0, {"DamagedFile": 1}),
    "data.tar": (SHARD[: 5 * 1024 + 514], 4, 0, {"DamagedFile": 1}),
    "members.tar": (
        tar(
            ("../../etc/up.txt", b"up", tarfile.REGTYPE),
            ("/absolute.txt", b"abs", tarfile.REGTYPE),
            ("link.txt", b"/etc/passwd", tarfile.SYMTYPE),
            ("hard.txt", b"../../etc/up.txt", tarfile.LNKTYPE),
            ("pipe.txt", b"", tarfile.FIFOTYPE),
            ("device.txt", b"", tarfile.CHRTYPE),
            ("folder.txt", b"", tarfile.DIRTYPE),
            ("a.txt", b"one", tarfile.REGTYPE),
            ("b.txt", b"b", tarfile.REGTYPE),
            ("a.txt", b"two", tarfile.REGTYPE),
            ("n\new.txt", b"new line", tarfile.REGTYPE),
            ("e\x1b[2J.png", b"no picture", tarfile.REGTYPE),
            ("caf\udce9.txt", b"odd name", tarfile.REGTYPE),
            ("j.txt", b"x", tarfile.REGTYPE),
            ("j.json", b"{bad", tarfile.REGTYPE),
            ("k.txt", b"x", tarfile.REGTYPE),
            ("k.json", b'{"n": NaN, "s": "\\ud800", "d": {"a": 1}}', tarfile.REGTYPE),
            ("l.txt", b" ", tarfile.REGTYPE),
        ),
        7,
        0,
        {"DuplicateId": 1, "NotAnImage": 1, "BadRow": 1, "EmptyRow": 1},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_spoilt_rows_spoil_no_others(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content, indexed, unchanged, kinds = CASES[name]
    Path(name).write_bytes(content)
    report = run(name)
    assert (dict(report.kinds), report.indexed, report.unchanged) == (kinds, indexed, unchanged)
    entries = Store("db").quarantine("default").list()
    assert len(entries) == sum(kinds.values())
    for one in entries:
        assert one.reason.isprintable(), one.reason
        assert not re.search(r" at 0x[0-9a-f]+|<\w+ object|Errno|Traceback|\bsys\.|recursion|universal", one.reason)
        told = re.sub(r"^.*?: ", "", one.reason)
        assert len(told) > 15, one.reason
        elsewhere = name == "pictures.csv" and one.kind != "BadImage"  # that file or URL is named
        assert elsewhere or one.reason.startswith(str(tmp_path / name)), one.reason
    before = {item.id: item for items in Store("db").open("default").scan() for item in items}
    monkeypatch.setattr(hashing, "_features", lambda one: pytest.fail("something was embedded again"))
    report = run(name)
    assert (dict(report.kinds), report.indexed, report.unchanged) == (kinds, 0, indexed + unchanged)
    assert {one.tries for one in Store("db").quarantine("default").list()} <= {2}
    assert {item.id: item for items in Store("db").open("default").scan() for item in items} == before


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("t.csv", "id,text\na,x\n".encode("utf-16-le"), "no names of columns"),
        ("t.csv", b"", "is empty"),
        ("t.csv", b"one,two\n1,2\n", "it has 'one', 'two'"),
        ("t.jsonl", b"not json\n", "no line holds a JSON object"),
        ("t.parquet", PARQUET[: len(PARQUET) // 2], "not a whole Parquet file"),
        ("t.parquet", b"", "not a whole Parquet file"),
        ("t.arrow", b"ARROW1" + bytes(50), "not an Arrow file"),
        ("t.tar", b"", "not a tar file"),
        ("t.tar", SHARD[:300], "not a tar file"),
    ],
)
def test_what_is_no_table_at_all_is_told_and_among_others_quarantined(
    name: str, content: bytes, complaint: str
) -> None:
    Path(name).write_bytes(content)
    with pytest.raises(BadSource, match=re.escape(complaint)):
        run(name)
    good = Path("good" + Path(name).suffix)
    whole = {".csv": b"id,text\na,x\n", ".jsonl": lines(GOOD), ".parquet": PARQUET, ".arrow": ARROW, ".tar": SHARD}
    good.write_bytes(whole[good.suffix])
    report = run(good, name)
    assert report.indexed > 0
    assert report.quarantined == 1
    assert str(Path(name).resolve()) in report.refused[0].reason


def test_very_many_tiny_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("t.jsonl").open("w") as file:
        file.writelines(json.dumps({"id": number, "text": f"tiny {number}"}) + "\n" for number in range(TEXTS))
    report = run("t.jsonl")
    assert (report.indexed, report.quarantined, report.embedded) == (TEXTS, 0, TEXTS)
    monkeypatch.setattr(hashing, "_features", lambda one: pytest.fail("something was embedded again"))
    report = run("t.jsonl")
    assert (report.indexed, report.unchanged) == (0, TEXTS)
