"""Dynamic batching, with real threads and encoders that fail, hang or give nothing."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

import numpy as np
import PIL.Image
import pytest

from oneword.engine import Image, Text
from oneword.engine.encoder import Side
from oneword.engine.encoding import embed, encode
from oneword.engine.errors import EncodingError, ModelError, ViewError
from oneword.engine.hashing import HashEncoder
from oneword.engine.inputs import Input
from oneword.engine.views import CIRR, DEFAULT, View
from oneword.query.server.batching import Batcher, VectorCache


class Numbers:
    """A meter that keeps what it is told."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.hits = self.misses = 0

    def batch(self, size: int, seconds: float) -> None:
        assert seconds >= 0
        self.batches.append(size)

    def cached(self, hits: int, misses: int) -> None:
        self.hits += hits
        self.misses += misses


class Slow(HashEncoder):
    """Works only while its gate is open; fails on some texts; keeps the texts of each batch."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.batches: list[list[str]] = []
        self.sides: list[Side] = []
        self.views: list[str] = []

    def space(self, view: View) -> Any:
        return super().space(DEFAULT) if view == DEFAULT else _of(view)

    def prepare(self, inputs: Sequence[Input], view: View, side: Side) -> Any:
        texts = [one.text if isinstance(one, Text) else "picture" for one in inputs]
        self.batches.append(texts)
        self.sides.append(side)
        self.views.append(view.name)
        assert self.gate.wait(20)
        vectors = super().prepare(inputs, view, side)
        for place, text in enumerate(texts):
            if text == "nan":
                vectors[place] = np.nan
            if text == "refused":
                raise EncodingError("refused", index=place)
            if text == "crash":
                raise RuntimeError("the model crashed")
            if text == "stop":
                raise StopIteration
        return vectors


def _of(view: View) -> Any:
    if view != CIRR:
        raise ViewError(f"no view {view.name}")
    return type("Space", (), {"fingerprint": "another"})


class Rig:
    """A batcher with all that belongs to it."""

    def __init__(self, *, most: int = 64, wedged: float = 60, cache: int = 2**20) -> None:
        self.encoder, self.numbers, self.cache = Slow(), Numbers(), VectorCache(cache)
        self.batcher = Batcher(self.encoder, self.cache, self.numbers, most=most, wedged=wedged)

    def ask(self, *texts: str, side: Side = Side.QUERY, view: View = DEFAULT) -> asyncio.Task[Any]:
        inputs = [Text(text=text) for text in texts]
        return asyncio.get_running_loop().create_task(self.batcher.embed(inputs, view, side))

    async def asked(self, *texts: str) -> Any:
        return await self.ask(*texts)

    async def encoding(self, batches: int) -> None:
        """Until so many batches have been begun."""
        while len(self.encoder.batches) < batches:
            await asyncio.sleep(0.001)


def run(work: Callable[[Rig], Coroutine[Any, Any, None]], **options: Any) -> Rig:
    rig = Rig(**options)

    async def whole() -> None:
        try:
            await asyncio.wait_for(work(rig), 20)
        finally:
            rig.encoder.gate.set()
            await rig.batcher.close()

    asyncio.run(whole())
    assert rig.batcher.waiting == 0
    return rig


def alone(text: str, side: Side = Side.QUERY) -> Any:
    return encode(HashEncoder(), [Text(text=text)], DEFAULT, side)[0]


async def failure(asked: Awaitable[Any]) -> BaseException:
    (outcome,) = await asyncio.gather(asked, return_exceptions=True)
    assert isinstance(outcome, BaseException), outcome
    return outcome


def test_what_arrives_together_is_one_batch() -> None:
    async def work(rig: Rig) -> None:
        answers = await asyncio.gather(*(rig.asked(f"text {n}") for n in range(10)))
        for n, (vector,) in enumerate(answers):
            assert np.array_equal(vector, alone(f"text {n}"))
            assert not vector.flags.writeable

    assert run(work).numbers.batches == [10]


def test_others_gather_while_one_is_encoded() -> None:
    async def work(rig: Rig) -> None:
        rig.encoder.gate.clear()
        first = rig.ask("first")
        await rig.encoding(1)
        others = [rig.ask(f"other {n}") for n in range(5)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert rig.batcher.waiting == 5
        rig.encoder.gate.set()
        await asyncio.gather(first, *others)

    assert run(work).numbers.batches == [1, 5]


def test_most() -> None:
    async def work(rig: Rig) -> None:
        vectors = await rig.asked(*(f"text {n}" for n in range(10)))
        assert all(np.array_equal(vector, alone(f"text {n}")) for n, vector in enumerate(vectors))

    assert run(work, most=4).numbers.batches == [4, 4, 2]
    assert run(work, most=1).numbers.batches == [1] * 10


def test_one_view_and_side_a_batch() -> None:
    async def work(rig: Rig) -> None:
        asked = [
            rig.ask("a"),
            rig.ask("b", side=Side.GALLERY),
            rig.ask("c", view=CIRR),
            rig.ask("d", side=Side.GALLERY),
            rig.ask("e"),
        ]
        await asyncio.gather(*asked)

    encoder = run(work).encoder
    assert encoder.batches == [["a", "e"], ["b", "d"], ["c"]]  # in the order in which the first of each came
    assert encoder.sides == [Side.QUERY, Side.GALLERY, Side.QUERY]
    assert encoder.views == ["default", "default", "cirr"]


def test_duplicates_are_encoded_once() -> None:
    async def work(rig: Rig) -> None:
        rig.encoder.gate.clear()
        asked = [rig.ask("same", "same", "other") for _ in range(3)]
        await rig.encoding(1)
        asked.append(rig.ask("same"))  # also what is being encoded already
        await asyncio.sleep(0)
        rig.encoder.gate.set()
        answers = await asyncio.gather(*asked)
        assert [len(one) for one in answers] == [3, 3, 3, 1]
        assert all(np.array_equal(one[0], alone("same")) for one in answers)

    assert run(work).encoder.batches == [["same", "other"]]


@pytest.mark.parametrize(("bad", "kind"), [("nan", EncodingError), ("refused", EncodingError), ("crash", RuntimeError)])
def test_a_bad_input_fails_only_those_who_asked_for_it(bad: str, kind: type[Exception]) -> None:
    async def work(rig: Rig) -> None:
        good, wrong, also, other = [rig.ask("good"), rig.ask(bad), rig.ask(bad), rig.ask("other")]
        assert np.array_equal((await good)[0], alone("good"))
        assert np.array_equal((await other)[0], alone("other"))
        for one in (wrong, also):
            if kind is EncodingError:  # told in the place of the vector
                (error,) = await one
            else:
                error = await failure(one)
            assert isinstance(error, kind)
            assert getattr(error, "index", 0) == 0, "a place among other people's inputs"
            assert "input 1" not in str(error)

    run(work)


def test_an_exception_that_no_future_takes() -> None:
    async def work(rig: Rig) -> None:
        assert isinstance(await failure(rig.ask("stop")), RuntimeError)
        assert len(await rig.asked("good")) == 1

    run(work)


def test_a_view_that_the_model_cannot_follow() -> None:
    async def work(rig: Rig) -> None:
        other = View(name="other", query=DEFAULT.query, gallery=DEFAULT.gallery)
        assert isinstance(await failure(rig.ask("a", view=other)), ViewError)

    assert run(work).encoder.batches == []


def test_who_gives_up_is_left_out_and_disturbs_nobody() -> None:
    async def work(rig: Rig) -> None:
        rig.encoder.gate.clear()
        first = rig.ask("first")
        await rig.encoding(1)
        gone, shared, stays = rig.ask("gone", "shared"), rig.ask("shared"), rig.ask("stays")
        await asyncio.sleep(0)
        gone.cancel()
        first.cancel()  # also one whose input is in the encoder's hands
        for one in (gone, first):
            assert isinstance(await failure(one), asyncio.CancelledError)
        assert rig.batcher.waiting == 2, "its inputs are let go of at once"
        rig.encoder.gate.set()
        assert np.array_equal((await shared)[0], alone("shared"))
        assert np.array_equal((await stays)[0], alone("stays"))

    assert run(work).encoder.batches == [["first"], ["shared", "stays"]]


def test_a_cached_vector_needs_no_encoder() -> None:
    async def work(rig: Rig) -> None:
        (before,) = await rig.asked("a cat")
        rig.encoder.gate.clear()
        (after,) = await rig.asked("a cat")
        assert np.array_equal(before, after)
        asked = rig.ask("a cat", side=Side.GALLERY)  # another side is another vector
        await rig.encoding(2)
        rig.encoder.gate.set()
        await asked
        await rig.ask("a cat", view=CIRR)  # so is another view, which is in the space's fingerprint

    rig = run(work)
    assert len(rig.encoder.batches) == 3
    assert (rig.numbers.hits, rig.numbers.misses) == (1, 3)


def test_a_picture_is_known_by_its_pixels() -> None:
    async def work(rig: Rig) -> None:
        pixels = PIL.Image.new("RGB", (4, 4), "red")
        await rig.batcher.embed([Image(pixels=pixels)], DEFAULT, Side.QUERY)
        with_alpha = Image(pixels=pixels.convert("RGBA"))  # the same picture from another format
        await rig.batcher.embed([with_alpha], DEFAULT, Side.QUERY)
        assert len(rig.encoder.batches) == 1
        (other,) = await rig.batcher.embed([Image(pixels=PIL.Image.new("RGB", (4, 4), "blue"))], DEFAULT, Side.QUERY)
        vectors, _ = embed({0: Image(pixels=PIL.Image.new("RGB", (4, 4), "blue"))}, HashEncoder(), DEFAULT)
        assert np.array_equal(other, vectors[0])

    assert len(run(work).encoder.batches) == 2


def test_an_encoder_that_hangs() -> None:
    async def work(rig: Rig) -> None:
        await rig.asked("cached")
        rig.encoder.gate.clear()
        stuck, waits = rig.ask("stuck"), None
        await rig.encoding(2)
        waits = rig.ask("waits")
        while not rig.batcher.wedged:
            await asyncio.sleep(0.005)
        assert isinstance(await failure(rig.ask("more")), ModelError), "nobody queues behind it"
        assert len(await rig.asked("cached")) == 1
        rig.encoder.gate.set()
        await asyncio.gather(stuck, waits)
        assert not rig.batcher.wedged
        assert len(await rig.asked("more")) == 1

    run(work, wedged=0.05)


def test_close_tells_those_who_wait() -> None:
    async def work(rig: Rig) -> None:
        rig.encoder.gate.clear()
        in_hand = rig.ask("in hand")
        await rig.encoding(1)
        waits = rig.ask("waits")
        await asyncio.sleep(0)
        closing = asyncio.get_running_loop().create_task(rig.batcher.close())
        (told,) = await waits
        assert isinstance(told, ModelError)
        rig.encoder.gate.set()
        await closing
        assert np.array_equal((await in_hand)[0], alone("in hand"))
        assert isinstance(await failure(rig.ask("late")), ModelError)

    assert run(work).encoder.batches == [["in hand"]]


def test_close_does_not_wait_for_ever() -> None:
    async def work(rig: Rig) -> None:
        rig.encoder.gate.clear()
        stuck = rig.ask("stuck")
        await rig.encoding(1)
        await rig.batcher.close(timeout=0.01)
        (told,) = await stuck
        assert isinstance(told, ModelError)

    run(work)
