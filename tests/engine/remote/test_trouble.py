"""Servers that fail, refuse and lie."""

import base64
import itertools
import socket
import threading
import time

import numpy as np
import pytest

from oneword.engine import Text, encode, load, views
from oneword.engine.errors import EncodingError, RemoteUnavailable
from oneword.engine.hashing import HashEncoder
from oneword.engine.remote import RemoteConfig, load_remote

from .conftest import Status

TEXTS = [Text(text=f"text number {i}") for i in range(100)]
QUICK = RemoteConfig(backoff=0.0, tries=3, batch_size=16)


def spoil(service, *spoilt, status=422):
    def before(body):
        if set(spoilt) & set(body["input"]):
            raise Status(status, {"error": {"message": "this input is bad"}})

    service.before = before


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_bad_input_is_found(serve, hashing, status):
    spoil(hashing, "text number 37", status=status)
    remote = load_remote(serve(hashing), QUICK)
    with pytest.raises(EncodingError, match=f"Text refused: {status}: this input is bad") as caught:
        encode(remote, TEXTS, views.DEFAULT)
    assert caught.value.index == 37
    tried = [body["input"] for body in hashing.bodies if "text number 37" in body["input"]]
    assert [len(inputs) for inputs in tried] == [16, 8, 4, 2, 1]


def test_a_server_that_stumbles_over_an_input(serve, hashing):
    """The others can be embedded: 500 is not held against all."""
    spoil(hashing, "text number 37", status=500)
    remote = load_remote(serve(hashing), QUICK)
    with pytest.raises(EncodingError, match=r"answers 500 .this input is bad") as caught:
        encode(remote, TEXTS, views.DEFAULT)
    assert caught.value.index == 37
    tried = [len(body["input"]) for body in hashing.bodies if "text number 37" in body["input"]]
    assert tried == [16, 16, 16, 8, 8, 8, 4, 4, 4, 2, 2, 2, 1, 1, 1]


def test_bad_inputs_never_fail_the_others(serve, hashing):
    spoil(hashing, "text number 3", "text number 37", "text number 99")
    remote = load_remote(serve(hashing), QUICK)
    left, bad = list(TEXTS), []
    while True:
        try:
            vectors = encode(remote, left, views.DEFAULT)
            break
        except EncodingError as error:
            bad.append(left.pop(error.index).text)
    assert bad == ["text number 3", "text number 37", "text number 99"]
    assert np.array_equal(vectors, encode(HashEncoder(), left, views.DEFAULT))


def test_positions_hold_across_waves(serve, hashing):
    spoil(hashing, "text number 90")
    remote = load_remote(serve(hashing), RemoteConfig(backoff=0.0, batch_size=2, at_once=2))
    with pytest.raises(EncodingError) as caught:
        encode(remote, TEXTS, views.DEFAULT)
    assert caught.value.index == 90


@pytest.mark.parametrize(
    "statuses", [[503, 503, 200], [500, 200], [429, 200], [502, 504, 200]], ids=lambda statuses: str(statuses)
)
def test_passing_trouble(serve, hashing, statuses):
    left = iter(statuses)

    def before(body):
        if (status := next(left)) != 200:
            raise Status(status, {"error": {"message": "busy"}}, Retry_After="0")

    remote = load_remote(serve(hashing), QUICK)
    hashing.before = before
    assert np.array_equal(encode(remote, TEXTS[:5], views.DEFAULT), encode(HashEncoder(), TEXTS[:5], views.DEFAULT))
    assert len(hashing.bodies) == len(statuses)


@pytest.mark.parametrize(
    ("status", "tries", "said"),
    [
        (500, 6, "answers 500 .busy.*after 3 tries"),  # three for the inputs, three for a plain text
        (503, 3, "answers 503 .busy.*after 3 tries"),
        (404, 1, "answers 404 .busy.*address of its API"),
        (401, 1, "wants a key in ONEWORD_REMOTE_KEY, and there is none"),
        (307, 1, "answers 307"),
    ],
)
def test_lasting_trouble(serve, hashing, status, tries, said):
    def before(body):
        raise Status(status, {"error": {"message": "busy"}})

    remote = load_remote(serve(hashing), QUICK)
    hashing.before = before
    with pytest.raises(RemoteUnavailable, match=said):
        encode(remote, TEXTS[:5], views.DEFAULT)
    assert len(hashing.bodies) == tries


def test_a_wait_that_is_too_long(serve, hashing):
    def before(body):
        raise Status(429, {"error": {"message": "busy"}}, Retry_After="3600")

    remote = load_remote(serve(hashing), QUICK)
    hashing.before = before
    with pytest.raises(RemoteUnavailable, match="after 1 try"):
        encode(remote, TEXTS[:5], views.DEFAULT)


def test_no_server():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    with pytest.raises(RemoteUnavailable, match=r"/v1/models: cannot be reached .* after 3 tries: .*is it up"):
        load_remote(f"http://127.0.0.1:{port}/v1", QUICK)


def test_a_server_that_falls_silent(serve, hashing):
    over = threading.Event()
    remote = load_remote(serve(hashing), RemoteConfig(timeout=0.2, tries=2, backoff=0.0))
    hashing.before = lambda body: over.wait(20)
    try:
        with pytest.raises(RemoteUnavailable, match=r"cannot be reached .timed out.* after 2 tries"):
            encode(remote, TEXTS[:1], views.DEFAULT)
    finally:
        over.set()


def test_the_key(serve, hashing):
    def before(body):
        if hashing.headers[-1].get("Authorization") != "Bearer sesame":
            raise Status(401, {"error": {"message": "no"}})

    hashing.before = before
    url = serve(hashing)
    remote = load_remote(url, RemoteConfig(key="sesame"))
    encode(remote, TEXTS[:1], views.DEFAULT)
    assert "sesame" not in remote.name
    with pytest.raises(RemoteUnavailable, match="which it does not accept") as caught:
        encode(load_remote(url, RemoteConfig(key="open")), TEXTS[:1], views.DEFAULT)
    assert "Bearer" not in str(caught.value)


def spoilt(change):
    """The answer's document after a change of its entries, which stand backwards: index 4 first."""

    def after(document):
        return change(document["data"]) or document

    return after


def packed(*numbers):
    return base64.b64encode(np.array(numbers, "<f4").tobytes()).decode()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data.pop() and None, "4 embeddings: expected 5"),
        (lambda data: data.append(data[0]), "6 embeddings: expected 5"),
        (lambda data: data[0].update(index=3), "index 3: expected each of 0 to 4 once"),
        (lambda data: data[0].update(index=5), "index 5: expected"),
        (lambda data: data[0].update(index=-1), "index -1: expected"),
        (lambda data: data[0].update(index="4"), "index '4': expected"),
        (lambda data: data[0].pop("index") and None, "index None: expected"),
        (lambda data: data[0].update(embedding=packed(1, 2)), "2 numbers for an input: expected 256"),
        (lambda data: data[0].update(embedding="####"), "an embedding that is none"),
        (lambda data: data[0].update(embedding="AAAA"), "an embedding that is none"),
        (lambda data: data[0].update(embedding=None), "expected 256"),
        (lambda data: data[0].update(embedding=["a"] * 256), "an embedding that is none"),
        (lambda data: {"data": None}, 'no list "data"'),
        (lambda data: [1], 'no list "data"'),
        (lambda data: b"<html>", "not JSON"),
        (lambda data: b"\xff\xfe\x00", "not JSON"),
    ],
)
def test_answers_that_are_none(serve, hashing, change, said):
    remote = load_remote(serve(hashing), QUICK)
    hashing.after = spoilt(change)
    with pytest.raises(RemoteUnavailable, match=said):
        encode(remote, TEXTS[:5], views.DEFAULT)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 0.0])
def test_useless_vectors(serve, hashing, number):
    remote = load_remote(serve(hashing), QUICK)
    hashing.after = spoilt(lambda data: data[1].update(embedding=packed(*[number] * 256)))
    with pytest.raises(EncodingError, match="input 3") as caught:
        encode(remote, TEXTS[:5], views.DEFAULT)
    assert caught.value.index == 3


def test_servers_that_only_know_lists_of_numbers(serve, hashing):
    remote = load_remote(serve(hashing), QUICK)
    hashing.before = lambda body: body.pop("encoding_format")
    got = encode(remote, TEXTS[:5], views.DEFAULT)
    assert np.array_equal(got, encode(HashEncoder(), TEXTS[:5], views.DEFAULT))


def test_several_requests_in_flight(serve, hashing):
    lock, together, count, running, seen = threading.Lock(), threading.Barrier(3), itertools.count(), set(), []

    def before(body):
        mine = next(count)
        with lock:
            running.add(mine)
            seen.append(len(running))
        together.wait(20)  # ends only if three are in flight
        time.sleep(0.01)
        with lock:
            running.discard(mine)

    remote = load_remote(serve(hashing), RemoteConfig(batch_size=4, at_once=3))
    hashing.before = before
    encode(remote, TEXTS[:72], views.DEFAULT)  # 18 requests: two waves, of 12 and of 6
    assert max(seen) == 3


def test_a_missing_package_is_named(monkeypatch):
    from oneword.engine import dependencies
    from oneword.engine.errors import MissingDependency

    monkeypatch.setattr(dependencies, "find_spec", lambda name: None)
    with pytest.raises(MissingDependency, match=r'pip install "oneword\[remote\]"'):
        load("http://127.0.0.1:9/v1")
