"""Quarantined inputs are tried again from where they came; URLs and remote encoders behave as files and local ones."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import PIL.Image
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oneword import cli as front_door
from oneword.engine.encoding import encode
from oneword.engine.hashing import HashEncoder
from oneword.engine.inputs import Image, Text
from oneword.engine.views import DEFAULT
from oneword.indexer import JobConfig, Report, Retried, SourceKind, SourceOptions, index_paths, retry
from oneword.storage import Store


def run(*paths: Path | str, **options: Any) -> Report:
    return index_paths(paths, **{"db": "db", "model": "hash", **options})


def again(**options: Any) -> tuple[int, int, int, int]:
    found = retry(db="db", **options)
    return counts(found)


def counts(found: Retried) -> tuple[int, int, int, int]:
    return found.tried, found.indexed, found.quarantined, found.gone


def ids() -> set[str]:
    return {item.id for items in Store("db").open("default").scan() for item in items}


def left() -> dict[str, int]:
    """Tries by the last part of the uri."""
    return {one.uri.rpartition("/")[2]: one.tries for one in Store("db").quarantine("default").list()}


def picture(colour: str, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    PIL.Image.new("RGB", (12, 9), colour).save(file, kind)
    return file.getvalue()


def test_mended_files_are_indexed_and_no_others_are_read(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.png", "b.png", "c.png", "photo~backup12.png", "d~0123abcd"):
        (album / name).write_bytes(b"spoilt")
    run(album, album / "d~0123abcd")
    assert len(left()) == 5
    (album / "a.png").write_bytes(picture("red"))
    (album / "photo~backup12.png").write_bytes(picture("teal"))
    (album / "d~0123abcd").write_bytes(picture("olive"))
    (album / "b.png").unlink()
    (album / "blue.jpg").write_bytes(b"spoilt later")  # not in quarantine, so not looked at
    monkeypatch.chdir(album)  # paths were relative to another folder
    found = retry(db="../db")
    assert counts(found) == (5, 3, 1, 1)
    assert [report.inputs for report in found.reports] == [4]
    monkeypatch.chdir(album.parent)
    assert left() == {"c.png": 2}
    assert again() == (1, 0, 1, 0)
    assert left() == {"c.png": 3}


def test_relative_paths_are_found_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("here").mkdir()
    Path("here/a.png").write_bytes(b"spoilt")
    run("here")
    Path("here/a.png").write_bytes(picture("red"))
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert counts(retry(db="../db")) == (1, 1, 0, 0)


def test_chosen_by_uri_and_by_kind(album: Path) -> None:
    (album / "a.png").write_bytes(b"")
    (album / "b.png").write_bytes(b"spoilt")
    (album / "c.txt").write_bytes(b" ")
    run(album)
    assert again(kinds=["EmptyFile"]) == (1, 0, 1, 0)
    assert left() == {"a.png": 2, "b.png": 1, "c.txt": 1}
    assert again(uris=[(album / "c.txt").as_uri()]) == (1, 0, 1, 0)
    assert left() == {"a.png": 2, "b.png": 1, "c.txt": 2}
    assert again(uris=["file:///nobody"], kinds=["EmptyFile"]) == (0, 0, 0, 0)


@pytest.mark.parametrize("header", ["id,text", "text"], ids=["ids", "no ids"])
def test_a_mended_row_of_a_csv_file(header: str) -> None:
    first, second = ("a,one", "b,two") if "id" in header else ("one", "two")
    Path("t.csv").write_text(f"{header}\n{first}\n{second},too,many\n")
    run("t.csv")
    assert left() == {"t.csv#row=2": 1}
    Path("t.csv").write_text(f"{header}\n{first}\n{second}\n")
    assert again() == (1, 1, 0, 0)
    assert len(ids()) == 2
    assert left() == {}


def test_a_row_without_its_id_and_a_row_that_goes() -> None:
    Path("t.jsonl").write_text('{"id": "a", "text": "one"}\n{"id": "", "text": "two"}\n{"id": "c", "text": ""}\n')
    run("t.jsonl")
    assert set(left()) == {"t.jsonl#row=2", "t.jsonl#id=c"}
    Path("t.jsonl").write_text('{"id": "a", "text": "one"}\n{"id": "b", "text": "two"}\n')
    assert again() == (2, 1, 0, 1)
    assert ids() == {"a", "b"}


def test_a_mended_table_gives_all_of_its_rows() -> None:
    file = io.BytesIO()
    table = pa.table({"id": [f"r{at}" for at in range(300)], "text": [f"text number {at}" for at in range(300)]})
    pq.write_table(table, file, row_group_size=100)
    whole = file.getvalue()
    third = len(whole) // 3
    Path("spoilt.parquet").write_bytes(whole[:third] + bytes(200) + whole[third + 200 :])
    Path("cut.parquet").write_bytes(whole[:third])
    run("spoilt.parquet", "cut.parquet")
    assert len(ids()) == 200
    assert left() == {"spoilt.parquet#row=101": 1, "cut.parquet": 1}
    Path("spoilt.parquet").write_bytes(whole)
    assert again(kinds=["DamagedFile"]) == (1, 1, 0, 0)
    assert len(ids()) == 300
    assert left() == {"cut.parquet": 1}


def test_second_inputs_of_an_id() -> None:
    Path("t.csv").write_text("id,text\na,one\na,two\na,three\nb,four\n")
    run("t.csv")
    assert len(left()) == 2
    assert again() == (2, 0, 2, 0)
    assert set(left().values()) == {2}
    Path("t.csv").write_text("id,text\na,one\na,two\nb,four\n")
    assert again() == (2, 0, 1, 1)


def test_sources_that_are_gone_are_told_and_others_tried(album: Path) -> None:
    Path("t.csv").write_text("id,text\na,\nb,fine\n")
    (album / "a.png").write_bytes(b"")
    run("t.csv")
    run(album)
    Path("t.csv").unlink()
    (album / "a.png").write_bytes(picture("red"))
    found = retry(db="db")
    assert counts(found) == (2, 1, 0, 0)
    assert ["does not exist" in reason for reason in found.unreachable.values()] == [True]
    assert left() == {"t.csv#id=a": 1}
    Path("t.csv").write_bytes(b"")
    assert "is empty" in next(iter(retry(db="db").unreachable.values()))


def test_texts_are_split_as_they_were_asked_to_be() -> None:
    Path("t.txt").write_text(" ")
    run("t.txt", config=JobConfig(chunks=0))
    Path("t.txt").write_text("many words, again and again. " * 100)
    assert again() == (1, 1, 0, 0)
    assert len(ids()) == 1


def test_the_command_line(album: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (album / "a.png").write_bytes(b"")
    (album / "b\nc\x1b[2J.png").write_bytes(b"spoilt")

    def call(*arguments: str, code: int = 0) -> str:
        capsys.readouterr()
        assert front_door.run(["quarantine", *arguments, "--db", "db"]) == code
        done = capsys.readouterr()
        assert "Traceback" not in done.err
        return done.out

    assert front_door.run(["index", str(album), "--db", "db", "--model", "hash", "--strict"]) == 3
    assert "\x1b" not in capsys.readouterr().out
    listed = json.loads(call("list", "--json"))
    assert (listed["total"], listed["kinds"]) == (2, {"EmptyFile": 1, "NotAnImage": 1})
    assert "\x1b" not in call("list")
    assert "2 tried again: 0 indexed, 2 stay in quarantine, 0 are gone" in call("retry", code=1)
    (album / "a.png").write_bytes(picture("red"))
    told = json.loads(call("retry", "--kind", "EmptyFile", "--json"))
    assert (told["tried"], told["indexed"], told["quarantined"]) == (1, 1, 0)
    call("retry", "--collection", "absent", code=1)
    call("list", "--limit", "0", code=2)
    assert json.loads(call("clear", "--yes", "--json"))["cleared"] == 1
    assert "Nothing of 'default' is in quarantine" in call("list")
    assert "0 tried again" in call("retry")


@pytest.fixture
def site() -> Iterator[tuple[str, dict[str, bytes]]]:
    """A server on loopback, and what it serves by path; other paths are not found."""
    served: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = served.get(self.path)
            self.send_response(200 if body is not None else 404)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", served
    server.shutdown()
    server.server_close()
    thread.join()


PRIVATE = JobConfig(allow_private=True)


def test_urls_that_fail_and_later_answer(site: tuple[str, dict[str, bytes]]) -> None:
    base, served = site
    served |= {"/a.png": picture("red"), "/page": b"<html>no picture</html>"}
    Path("urls.txt").write_text(f"# pictures\n{base}/a.png\n{base}/b.png\n{base}/page\nnot a url\n")
    options = SourceOptions(kind=SourceKind.URLS)
    report = run("urls.txt", options=options, config=PRIVATE)
    assert (report.indexed, report.quarantined) == (1, 3)
    assert report.kinds == {"FetchFailed": 1, "NotAnImage": 1, "BadUrl": 1}
    assert all("urls.txt, line 5" in one.reason or one.uri in one.reason for one in report.refused)
    served |= {"/b.png": picture("blue"), "/page": picture("teal", "JPEG")}
    assert again() == (3, 0, 3, 0), "without leave, nothing private is fetched"
    assert again(config=PRIVATE) == (3, 2, 1, 0)
    Path("urls.txt").write_text(f"{base}/a.png\n{base}/b.png\n{base}/page\n")
    assert again(config=PRIVATE) == (1, 0, 0, 1)
    stored = {item.uri: item for items in Store("db").open("default").scan(vectors=True) for item in items}
    assert set(stored) == {f"{base}/{name}" for name in ("a.png", "b.png", "page")}
    blue = Image(pixels=PIL.Image.new("RGB", (12, 9), "blue"))
    assert abs(encode(HashEncoder(), [blue], DEFAULT)[0] - stored[f"{base}/b.png"].vector).max() < 1e-3


def test_pictures_of_a_table_at_urls(site: tuple[str, dict[str, bytes]]) -> None:
    base, served = site
    served["/a.png"] = picture("red")
    Path("t.csv").write_text(f"id,url,caption\na,{base}/a.png,red\nb,{base}/b.png,blue\n")
    report = run("t.csv", config=PRIVATE)
    assert (report.indexed, report.quarantined) == (1, 1)
    served["/b.png"] = picture("blue")
    assert again(config=PRIVATE) == (1, 1, 0, 0)
    assert ids() == {"a", "b"}
    report = run("t.csv", config=PRIVATE)
    assert (report.unchanged, report.quarantined) == (2, 0)


@pytest.fixture
def encoder() -> Iterator[tuple[str, Callable[[], int]]]:
    """A server of Oneword's kind (`docs/remote.md`) with the model `hash`; and how many inputs it has embedded."""
    model, embedded = HashEncoder(), [0]
    space = model.space(DEFAULT)
    told = {"fingerprint": space.fingerprint, "space": space.as_dict(), "any_view": False}

    def read(one: Any) -> Any:
        if isinstance(one, str):
            return Text(text=one)
        data = base64.b64decode(one["image"].partition("base64,")[2])
        image = Image(pixels=PIL.Image.open(io.BytesIO(data)).convert("RGB"))
        if "text" not in one:
            return image
        from oneword.engine.inputs import Document

        return Document(image=image, text=one["text"])

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def do_GET(self) -> None:
            self._answer({"object": "list", "data": [{"id": "hash", "object": "model", "oneword": told}]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            vectors = encode(model, [read(one) for one in body["input"]], DEFAULT, unit=False)
            embedded[0] += len(vectors)
            data = [
                {
                    "object": "embedding",
                    "index": at,
                    "embedding": base64.b64encode(row.astype("<f4").tobytes()).decode()
                    if body.get("encoding_format") == "base64"
                    else row.tolist(),
                }
                for at, row in enumerate(vectors)
            ]
            self._answer({"object": "list", "model": "hash", "data": data})

        def _answer(self, document: Any) -> None:
            payload = json.dumps(document).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1", lambda: embedded[0]
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_remote_encoder_gives_the_same_rows(album: Path, encoder: tuple[str, Callable[[], int]]) -> None:
    url, embedded = encoder
    (album / "long.txt").write_text("many words, again and again. " * 100)
    (album / "bad.png").write_bytes(b"spoilt")

    def rows(collection: str) -> dict[str, Any]:
        return {
            item.id: (
                item.uri,
                item.text,
                item.content_hash,
                dict(item.metadata),
                item.vector.tobytes(),
            )
            for items in Store("db").open(collection).scan(vectors=True)
            for item in items
            if item.vector is not None
        }

    here = run(album)
    there = run(album, model=url, collection="remote")
    assert (there.indexed, there.quarantined, there.rows) == (here.indexed, here.quarantined, here.rows)
    assert rows("remote") == rows("default")
    before = embedded()
    assert before == there.embedded
    assert run(album, model=url, collection="remote").unchanged == 7
    assert embedded() == before
