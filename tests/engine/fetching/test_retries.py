"""How long the fetcher waits, what it tries again, and how it treats a host, against real servers."""

import itertools
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from email.utils import formatdate

import pytest

from oneword.engine.errors import FetchFailed
from oneword.engine.fetching import Fetcher
from oneword.engine.fetching.retrying import retry_after

from .conftest import HERE, failure, fetch, send


class TestTime:
    @pytest.mark.parametrize(
        ("start", "piece"),
        [(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"x"), (b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n")],
        ids=["body", "header"],
    )
    def test_one_that_drips(self, serve, over, start, piece):
        """Every byte comes in time, and the answer never ends within the deadline."""
        gone = threading.Event()

        def answer(handler):
            handler.wfile.write(start)
            try:
                while not over.wait(0.02):
                    handler.wfile.write(piece)
            except OSError:
                gone.set()
            handler.close_connection = True

        assert failure(
            FetchFailed, r"too slow .*may take 0.5 s", serve(answer).url, replace(HERE, deadline=0.5)
        ).retryable
        assert gone.wait(10)  # the connection was closed, not left to drip on

    def test_silence_is_tried_again(self, serve, over):
        server = serve(lambda handler: over.wait(20) if len(server.asked) == 1 else send(handler, body=b"x"))
        assert fetch(server.url, replace(HERE, read_timeout=0.2)).data == b"x"
        assert len(server.asked) == 2

    def test_silence_past_the_deadline(self, serve, over):
        server = serve(lambda handler: (over.wait(5), send(handler, body=b"x")))
        failure(FetchFailed, "too slow", server.url, replace(HERE, read_timeout=10.0, deadline=0.2))
        assert len(server.asked) == 1

    def test_a_resolver_that_hangs(self, over):
        short = replace(HERE, connect_timeout=0.05, tries=2)
        hang = {"getaddrinfo": lambda *_, **__: over.wait(20) and []}
        error = failure(FetchFailed, r"slow\.test was not resolved in time", "http://slow.test/", short, **hang)
        assert (error.tries, error.retryable) == (2, True)


class TestRetries:
    @pytest.mark.parametrize(
        ("status", "tries"), [(429, 3), (500, 3), (503, 3), (400, 1), (401, 1), (403, 1), (404, 1), (204, 1), (304, 1)]
    )
    def test_by_status(self, serve, status, tries):
        server = serve(lambda handler: send(handler, status))
        error = failure(FetchFailed, f"answered {status}, expected 200", f"{server.url}/a?token=secret")
        assert (len(server.asked), error.tries, error.status, error.retryable) == (tries, tries, status, tries > 1)
        assert "secret" not in str(error)

    @pytest.mark.parametrize("tries", [1, 2, 5])
    def test_as_often_as_configured(self, serve, tries):
        server = serve(lambda handler: send(handler, 503))
        failure(FetchFailed, "503", server.url, replace(HERE, tries=tries))
        assert len(server.asked) == tries

    def test_until_it_succeeds(self, serve):
        statuses = iter([503, 429, 200])
        server = serve(lambda handler: send(handler, next(statuses), body=b"x", Retry_After="0"))
        assert fetch(server.url).data == b"x"
        assert len(server.asked) == 3

    def test_a_server_that_asks_for_too_long_a_wait(self, serve):
        server = serve(lambda handler: send(handler, 429, Retry_After="3600"))
        assert failure(FetchFailed, "left alone for 3,600 s", server.url).retryable
        assert len(server.asked) == 1

    def test_no_wait_past_the_deadline(self, serve):
        server = serve(lambda handler: send(handler, 503, Retry_After="9"))
        failure(FetchFailed, "503", server.url, replace(HERE, deadline=5.0))
        assert len(server.asked) == 1

    def test_a_connection_that_breaks(self, serve):
        def answer(handler):
            send(handler, body=b"half", Content_Length="8" if len(server.asked) == 1 else "4")
            handler.close_connection = True

        server = serve(answer)
        assert fetch(server.url).data == b"half"
        assert len(server.asked) == 2

    def test_no_server(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{free.getsockname()[1]}/"
        why = r"no connection .* after 2 tries; try again later"
        error = failure(FetchFailed, why, url, replace(HERE, tries=2))
        assert (error.status, error.tries, error.retryable) == (None, 2, True)

    @pytest.mark.parametrize(("code", "tries"), [(socket.EAI_NONAME, 1), (socket.EAI_AGAIN, 3)])
    def test_names_without_an_address(self, code, tries):
        asked = []

        def getaddrinfo(host, port, **_):
            asked.append(host)
            raise socket.gaierror(code, "no")

        error = failure(FetchFailed, "cannot be resolved", "http://absent.example/", getaddrinfo=getaddrinfo)
        assert (len(asked), error.tries, error.retryable) == (tries, tries, tries > 1)

    @pytest.mark.parametrize(
        ("value", "least", "most"),
        [
            (None, None, None),
            ("7", 7, 7),
            (" 0 ", 0, 0),
            ("soon", None, None),
            ("-1", None, None),
            ("9" * 30, 1e6, 1e9),
        ],
    )
    def test_retry_after(self, value, least, most):
        seconds = retry_after(value)
        assert seconds is least is None or least <= seconds <= most

    def test_retry_after_a_date(self):
        assert 50 < retry_after(formatdate(time.time() + 60, usegmt=True)) <= 60
        assert retry_after(formatdate(time.time() - 60, usegmt=True)) == 0


class TestPoliteness:
    def test_so_many_at_once(self, serve):
        lock, together, active, seen = threading.Lock(), threading.Barrier(2), itertools.count(), []
        running = set()

        def answer(handler):
            mine = next(active)
            with lock:
                running.add(mine)
                seen.append(len(running))
            together.wait(20)  # ends only if two are let in
            time.sleep(0.02)
            with lock:
                running.discard(mine)
            send(handler, body=b"x")

        server = serve(answer)
        with Fetcher(replace(HERE, per_host=2)) as fetcher, ThreadPoolExecutor(12) as threads:
            got = list(threads.map(lambda i: fetcher.fetch(f"{server.url}/{i}").data, range(24)))
        assert got == [b"x"] * 24
        assert max(seen) == 2

    def test_waiting_for_a_turn_takes_no_time_off(self, serve):
        server = serve(lambda handler: (time.sleep(0.08), send(handler, body=b"x")))
        with Fetcher(replace(HERE, per_host=1, deadline=1.0)) as fetcher, ThreadPoolExecutor(15) as threads:
            assert list(threads.map(lambda _: fetcher.fetch(server.url).data, range(15))) == [b"x"] * 15

    def test_not_too_fast(self, serve):
        server = serve(lambda handler: send(handler, body=b"x"))
        began = time.monotonic()
        with Fetcher(replace(HERE, interval=0.1)) as fetcher, ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda _: fetcher.fetch(server.url), range(5)))
        assert time.monotonic() - began >= 0.4  # a bound from below: it holds on any machine

    def test_hosts_are_forgotten(self, serve):
        server = serve(lambda handler: send(handler, body=b"x"))
        with Fetcher(HERE) as fetcher:
            fetcher.fetch(server.url)
            assert not fetcher._turns._hosts
