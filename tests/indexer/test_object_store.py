"""Inputs and a store in an object store: a real S3 protocol, on this machine (moto's server)."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from oneword.indexer import JobConfig, index_paths
from oneword.query import SearchService
from oneword.storage import Store

moto_server = pytest.importorskip("moto.server")
boto3 = pytest.importorskip("boto3")
pytest.importorskip("s3fs")
pytestmark = pytest.mark.filterwarnings("ignore")  # of what moto and botocore are built on


def picture(colour: str) -> bytes:
    file = io.BytesIO()
    PIL.Image.new("RGB", (20, 20), colour).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("HOME", str(tmp_path))  # where ANN indexes of object stores lie
    client = boto3.client("s3")
    client.create_bucket(Bucket="bucket")
    yield client
    server.stop()


def test_from_a_bucket_into_a_bucket(bucket: Any) -> None:
    for name in ("red", "blue"):
        bucket.put_object(Bucket="bucket", Key=f"in/deep/{name}.png", Body=picture(name))
    bucket.put_object(Bucket="bucket", Key="in/deep/red.txt", Body=b"a red square")
    bucket.put_object(Bucket="bucket", Key="in/broken.png", Body=b"\x89PNG")
    bucket.put_object(Bucket="bucket", Key="t.csv", Body=b"id,text,year\na,one cat,1\nb,two dogs,2\n")
    paths, db = ["s3://bucket/in", "s3://bucket/t.csv"], "s3://bucket/store"

    report = index_paths(paths, db=db, model="hash")
    assert (report.added, report.quarantined) == (4, 1)
    report = index_paths(paths, db=db, model="hash")
    assert (report.added, report.updated, report.unchanged, report.quarantined) == (0, 0, 4, 1)

    bucket.put_object(Bucket="bucket", Key="in/deep/red.txt", Body=b"a crimson square")
    bucket.delete_object(Bucket="bucket", Key="in/deep/blue.png")
    bucket.put_object(Bucket="bucket", Key="in/broken.png", Body=picture("pink"))
    report = index_paths(paths, db=db, model="hash", config=JobConfig(delete_missing=True))
    assert (report.added, report.updated, report.unchanged, report.deleted) == (1, 1, 2, 1)

    store = Store(db)
    assert store.quarantine("default").count() == 0
    assert [job.state for job in store.journal().list()] == ["done"] * 3
    texts = {item.uri: item.text for items in store.open("default").scan() for item in items}
    assert texts["s3://bucket/in/deep/red.png"] == "a crimson square"
    service = SearchService(db)
    assert service.search("one cat", limit=1).hits[0].id == "a"
    assert service.search("one cat", where="year = 2").hits[0].id == "b"
