"""Answers that are written and sent in pieces say what they would say in one."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneword.query.server import listing
from oneword.query.server.config import ServerConfig
from oneword.query.server.listing import Listing, length, listed
from oneword.query.server.load import PIECE, Load, ResponseMemory
from oneword.query.server.problem import Problem
from oneword.query.server.telemetry import Metrics

DOCUMENTS = st.lists(st.dictionaries(st.text(max_size=3), st.text(max_size=9) | st.integers() | st.none(), max_size=3))
REST = st.dictionaries(st.sampled_from(["total", "version", "about"]), st.integers() | st.text(max_size=5))


@given(documents=DOCUMENTS, rest=REST, each=st.integers(1, 64), again=st.booleans())
def test_pieces_are_the_whole(documents: list[Any], rest: dict[str, Any], each: int, again: bool) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(listing, "PIECE", each)
        pieces = listed("hits", documents, rest)
        assert length(pieces) == len(b"".join(pieces))
        assert json.loads(b"".join(pieces)) == {"hits": documents, **rest}
        if again:  # a list of such answers
            together = listed("results", [pieces, [b"{}"], pieces], rest)
            whole = {"hits": documents, **rest}
            assert json.loads(b"".join(together)) == {"results": [whole, {}, whole], **rest}


def test_an_answer_that_grows_too_large_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "MAX_ANSWER", 1000)
    asked: list[int] = []

    def documents() -> Any:
        for number in range(1000):
            asked.append(number)
            yield {"text": "x" * 100}

    with pytest.raises(Problem) as told:
        listed("hits", documents(), {})
    assert (told.value.status, told.value.code) == (422, "answer_too_large")
    assert len(asked) < 12


class Client:
    """Takes pieces while it is told to."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.messages: list[Any] = []

    async def send(self, message: Any) -> None:
        await self.go_on.wait()
        self.messages.append(message)


SCOPE = {"type": "http", "path": "/", "query_string": b""}


def sent(app: Any, memory: ResponseMemory) -> Load:
    return Load(app, ServerConfig(), Metrics(), memory)


def app_of(body: bytes | list[bytes]) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if isinstance(body, list):
            await Listing(body)(scope, receive, send)
            return
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


@pytest.mark.parametrize("body", [b"", b"x", b"x" * PIECE, b"x" * (3 * PIECE + 1), [b"x" * PIECE] * 3, [b"x"]])
def test_a_body_goes_out_in_pieces(body: Any) -> None:
    async def work() -> None:
        client, held = Client(), ResponseMemory(100 * PIECE)
        whole = b"".join(body) if isinstance(body, list) else body
        answering = asyncio.create_task(sent(app_of(body), held)(SCOPE, None, client.send))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        assert held.bytes == len(whole)
        client.go_on.set()
        await answering
        assert held.bytes == 0
        _, *pieces = client.messages
        assert b"".join(one["body"] for one in pieces) == whole
        assert all(len(one["body"]) <= PIECE for one in pieces)
        assert [one.get("more_body", False) for one in pieces] == [True] * (len(pieces) - 1) + [False]

    asyncio.run(work())


def test_large_answers_that_nobody_reads_leave_room_for_small_ones_alone() -> None:
    async def work() -> None:
        held, deaf = ResponseMemory(4 * PIECE), Client()
        large, small = app_of(b"x" * 2 * PIECE), app_of(b"x" * 100)
        waiting = [asyncio.create_task(sent(large, held)(SCOPE, None, deaf.send)) for _ in range(2)]  # type: ignore[arg-type]
        await asyncio.sleep(0)
        reader = Client()
        reader.go_on.set()
        with pytest.raises(Problem) as told:
            await sent(large, held)(SCOPE, None, reader.send)  # type: ignore[arg-type]
        assert (told.value.status, told.value.code, told.value.retry_after) == (503, "busy", 1)
        assert not reader.messages
        await sent(small, held)(SCOPE, None, reader.send)  # type: ignore[arg-type]
        assert len(reader.messages) == 2
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert held.bytes == 0

    asyncio.run(work())
