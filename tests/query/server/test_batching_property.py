"""Whatever arrives, is given up or fails: each gets what `oneword.engine.encode` gives for its input alone, once."""

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from oneword.engine import Text
from oneword.engine.encoder import Side
from oneword.engine.encoding import encode
from oneword.engine.errors import EncodingError
from oneword.engine.hashing import HashEncoder
from oneword.engine.inputs import Input
from oneword.engine.views import DEFAULT, View
from oneword.query.server.batching import Batcher, VectorCache


class Picky(HashEncoder):
    """Refuses, crashes on, or gives no vector for texts that say so."""

    def prepare(self, inputs: Sequence[Input], view: View, side: Side) -> Any:
        vectors = super().prepare(inputs, view, side)
        for place, one in enumerate(inputs):
            assert isinstance(one, Text)
            if one.text.startswith("refused"):
                raise EncodingError(f"{one.text!r} is refused", index=place)
            if one.text.startswith("crash"):
                raise RuntimeError(f"crash on {one.text}")
            if one.text.startswith("nan"):
                vectors[place] = np.nan
        return vectors


class Silent:
    def batch(self, size: int, seconds: float) -> None: ...

    def cached(self, hits: int, misses: int) -> None: ...


TEXTS = [*(f"text {n}" for n in range(6)), "refused a", "refused b", "crash a", "nan a", "nan b"]

requests = st.lists(
    st.tuples(
        st.lists(st.sampled_from(TEXTS), min_size=1, max_size=4),
        st.sampled_from(Side),
        st.integers(0, 3),  # turns of the loop before it arrives
        st.none() | st.integers(0, 6),  # and until it is given up
    ),
    min_size=1,
    max_size=12,
)


def expected(text: str, side: Side) -> Any:
    try:
        return encode(Picky(), [Text(text=text)], DEFAULT, side)[0]
    except (EncodingError, RuntimeError) as error:
        return error


def same(got: Any, want: Any) -> bool:
    if isinstance(want, Exception):
        return type(got) is type(want) and str(got) == str(want)
    return isinstance(got, np.ndarray) and np.array_equal(got, want)


@settings(max_examples=60)
@given(requests, st.integers(1, 5), st.sampled_from([0, 1500, 2**20]))
def test_each_gets_its_own(asked: Any, most: int, cache: int) -> None:
    async def one(batcher: Batcher, texts: list[str], side: Side, late: int) -> Any:
        for _ in range(late):
            await asyncio.sleep(0)
        return await batcher.embed([Text(text=text) for text in texts], DEFAULT, side)

    async def whole() -> list[Any]:
        batcher = Batcher(Picky(), VectorCache(cache), Silent(), most=most, wedged=60)
        loop, stray = asyncio.get_running_loop(), []
        loop.set_exception_handler(lambda _, context: stray.append(context))  # errors that nobody was told
        tasks = [loop.create_task(one(batcher, texts, side, late)) for texts, side, late, _ in asked]
        for turn in range(7):
            for task, (_, _, _, given_up) in zip(tasks, asked, strict=True):
                if given_up == turn:
                    task.cancel()
            await asyncio.sleep(0)
        told = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 20)
        assert batcher.waiting == 0
        await batcher.close()
        assert not stray
        return told

    for (texts, side, _, given_up), told in zip(asked, asyncio.run(whole()), strict=True):
        wanted = [expected(text, side) for text in texts]
        if isinstance(told, asyncio.CancelledError):
            assert given_up is not None
        elif isinstance(told, list):
            assert all(same(*pair) for pair in zip(told, wanted, strict=True)), (told, wanted)
        else:  # what is not an error of ours fails the request
            assert any(same(told, one) for one in wanted if isinstance(one, RuntimeError)), told
