"""The gate: so many requests at once, each with a deadline."""

import asyncio
from typing import Any

import pytest

from oneword.query.server.config import ServerConfig
from oneword.query.server.load import Load, ResponseMemory
from oneword.query.server.problem import Problem
from oneword.query.server.telemetry import Metrics


class App:
    """Waits until it is let go; keeps count."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.working = self.cancelled = 0
        self.error: Exception | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.working += 1
        try:
            if scope["path"].endswith("/begun"):
                await send({"type": "http.response.start", "status": 200, "headers": []})
            await self.go_on.wait()
            if self.error is not None:
                raise self.error
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.working -= 1


class Rig:
    def __init__(self, **config: Any) -> None:
        self.app, self.metrics = App(), Metrics()
        self.gate = Load(self.app, ServerConfig(**config), self.metrics, ResponseMemory(0))

    def ask(self, path: str = "/v1/collections", query: str = "") -> asyncio.Task[None]:
        async def send(_: Any) -> None: ...

        async def receive() -> Any: ...

        scope = {"type": "http", "path": path, "query_string": query.encode()}
        return asyncio.get_running_loop().create_task(self.gate(scope, receive, send))  # type: ignore[arg-type]

    def number(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"oneword_{name}", labels) or 0.0


async def problem(asked: asyncio.Task[None]) -> Problem:
    with pytest.raises(Problem) as told:
        await asked
    return told.value


async def settle() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


def test_more_than_the_queue_holds_are_told_at_once() -> None:
    async def work() -> None:
        rig = Rig(queue=2)
        held = [rig.ask(), rig.ask()]
        await settle()
        assert rig.number("requests_in_progress") == 2
        told = await problem(rig.ask())
        assert (told.status, told.code, told.response().headers["retry-after"]) == (503, "overloaded", "1")
        assert rig.app.working == 2
        probe = rig.ask("/readyz")  # what watches the service always passes
        await settle()
        assert rig.app.working == 3
        held[0].cancel()
        await settle()
        held.append(rig.ask())  # a slot is free again
        await settle()
        assert rig.app.working == 3
        rig.app.go_on.set()
        await asyncio.gather(*held[1:], probe)
        assert rig.number("requests_in_progress") == 0

    asyncio.run(work())


@pytest.mark.parametrize(("deadline", "query"), [(0.01, ""), (30, "timeout=0.01"), (30, "a=b&timeout=3&timeout=0.01")])
def test_past_its_deadline(deadline: float, query: str) -> None:
    async def work() -> None:
        rig = Rig(deadline=deadline)
        told = await problem(rig.ask(query=query))
        assert (told.status, told.code) == (504, "deadline")
        assert "0.01 s" in told.detail
        assert (rig.app.cancelled, rig.app.working, rig.number("requests_in_progress")) == (1, 0, 0)

    asyncio.run(work())


@pytest.mark.parametrize("value", ["0", "-1", "31", "nan", "inf", "x", "1e", "%00", "9" * 400])
def test_no_such_timeout(value: str) -> None:
    async def work() -> None:
        rig = Rig(deadline=30)
        told = await problem(rig.ask(query=f"timeout={value}"))
        assert (told.status, told.code, told.field) == (422, "invalid_field", "timeout")
        assert len(told.detail) < 200
        assert rig.number("requests_in_progress") == 0

    asyncio.run(work())


def test_unhurried_requests_have_no_deadline() -> None:
    async def work() -> None:
        rig = Rig(deadline=0.01)
        asked = [rig.ask(f"/v1/collections/a/{what}") for what in ("verify", "build")]
        await asyncio.sleep(0.05)
        rig.app.go_on.set()
        await asyncio.gather(*asked)

    asyncio.run(work())


@pytest.mark.parametrize("path", ["/v1/collections/a/items/x/verify", "/v1/collections/build", "/v1/models/verify"])
def test_others_of_their_names_have_one(path: str) -> None:
    async def work() -> None:
        assert (await problem(Rig(deadline=0.01).ask(path))).code == "deadline"

    asyncio.run(work())


def test_a_timeout_of_the_work_is_no_deadline() -> None:
    async def work() -> None:
        rig = Rig(deadline=30)
        rig.app.error = TimeoutError("a server did not answer")
        rig.app.go_on.set()
        with pytest.raises(TimeoutError, match="a server"):
            await rig.ask()

    asyncio.run(work())


def test_an_answer_that_has_begun_is_cut_off(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        await Rig(deadline=0.01).ask("/v1/begun")

    asyncio.run(work())


def test_cancelled_from_outside() -> None:
    async def work() -> None:
        rig = Rig(deadline=30)
        asked = rig.ask()
        await settle()
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert (rig.app.cancelled, rig.number("requests_in_progress")) == (1, 0)

    asyncio.run(work())
