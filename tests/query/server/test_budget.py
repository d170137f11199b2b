"""The budget of pixels: never overdrawn, first come first served, nothing lost when somebody gives up."""

import asyncio
import io
from contextlib import suppress
from typing import Any

import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oneword.query.server import images as module
from oneword.query.server.config import ServerConfig
from oneword.query.server.images import Budget, Images, Named
from oneword.query.server.problem import Problem
from oneword.query.server.processes import Processes
from oneword.query.server.threads import Workers


def test_a_large_wish_is_not_overtaken_for_ever() -> None:
    async def work() -> None:
        budget, order = Budget(10), []

        async def user(name: str, amount: int) -> None:
            async with budget.taken(amount):
                order.append(name)
                await asyncio.sleep(0)

        async with asyncio.TaskGroup() as group:
            for name, amount in [("a", 6), ("large", 99), ("b", 2), ("c", 2)]:
                group.create_task(user(name, amount))
        assert order == ["a", "large", "b", "c"]
        assert (budget.used, budget.waiting) == (0, 0)

    asyncio.run(work())


def test_who_gives_up_lets_the_next_have_it() -> None:
    async def work() -> None:
        budget = Budget(10)
        holds, free = asyncio.Event(), asyncio.Event()

        async def user(amount: int) -> None:
            async with budget.taken(amount):
                holds.set()
                await free.wait()

        first = asyncio.create_task(user(6))
        await holds.wait()
        large, small = asyncio.create_task(user(9)), asyncio.create_task(user(3))
        await asyncio.sleep(0)
        assert (budget.used, budget.waiting) == (6, 2)
        large.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert (budget.used, budget.waiting) == (9, 0)
        free.set()
        await asyncio.gather(first, small)
        assert budget.used == 0

    asyncio.run(work())


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 15), st.integers(0, 4), st.none() | st.integers(0, 9)), max_size=15))
def test_never_overdrawn_and_never_stuck(users: list[tuple[int, int, int | None]]) -> None:
    async def work() -> None:
        budget, using = Budget(10), 0

        async def user(amount: int, turns: int) -> None:
            nonlocal using
            async with budget.taken(amount):
                using += min(amount, 10)
                assert using <= 10
                assert budget.used <= 10
                try:
                    for _ in range(turns):
                        await asyncio.sleep(0)
                finally:
                    using -= min(amount, 10)

        tasks = [asyncio.create_task(user(amount, turns)) for amount, turns, _ in users]
        for turn in range(10):
            for task, (_, _, given_up) in zip(tasks, users, strict=True):
                if given_up == turn:
                    task.cancel()
            await asyncio.sleep(0)
        with suppress(asyncio.CancelledError):
            await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5)
        assert (using, budget.used, budget.waiting) == (0, 0, 0)

    asyncio.run(work())


def png(side: int) -> bytes:
    file = io.BytesIO()
    PIL.Image.new("RGB", (side, side), "red").save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def pictures(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(module, "PIXELS_AT_ONCE", 1000)
    workers = Workers()
    processes = Processes(2, seconds=30)
    yield Images(ServerConfig(max_pixels=500), workers, processes)
    processes.close()
    workers.close()


def test_many_requests_of_many_pictures(pictures: Images) -> None:
    uploads = {"a": png(20), "b": png(10), "bad": b"no picture", "large": png(23)}  # 400, 100, 0, over the limit

    async def request(names: list[str]) -> int:
        async with pictures.read([Named(f"upload:{name}", name) for name in names], uploads) as images:
            assert pictures._pixels.used <= 1000
            await asyncio.sleep(0.001)
            return sum(one.image.size[0] ** 2 for one in images)

    async def work() -> list[Any]:
        asked = [["a"], ["a", "a", "a", "b"], ["b"], ["a", "bad"], ["large"], ["b", "none"], []] * 5
        tasks = [asyncio.create_task(request(names)) for names in asked]
        for task in tasks[-7:]:
            await asyncio.sleep(0.001)
            task.cancel()
        return await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 20)

    told = asyncio.run(work())
    for pixels, whole, small, bad, large, none, nothing in zip(*[iter(told[:-7])] * 7, strict=True):
        assert (pixels, small, nothing) == (400, 100, 0)
        assert isinstance(whole, Problem)  # more than the budget: 32 pictures at the cap would be 8 GB
        assert whole.code == "image_too_large"
        for error, code, field in [(bad, "bad_image", "bad"), (large, "image_too_large", "large")]:
            assert isinstance(error, Problem)
            assert (error.code, error.field) == (code, field)
        assert isinstance(none, Problem)
        assert none.code == "no_upload"
    assert (pictures._pixels.used, pictures._pixels.waiting) == (0, 0)
