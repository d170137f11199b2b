import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneword.query.server.auth import RateLimiter


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(("rate", "burst"), [(0.1, 1), (0.5, 1), (1, 2), (3, 6), (20, 40), (0.9, 1), (1000, 2000)])
def test_after_a_rest_twice_the_rate_comes_at_once(rate: float, burst: int) -> None:
    rates = RateLimiter(clock=Clock())
    admitted = [rates.take("a", rate) == 0 for _ in range(burst + 5)]
    assert admitted == [True] * burst + [False] * 5


@given(rate=st.floats(0.01, 1000), waits=st.lists(st.floats(0, 5), min_size=1, max_size=200))
def test_no_stretch_of_time_admits_more_than_burst_and_rate(rate: float, waits: list[float]) -> None:
    clock = Clock()
    rates = RateLimiter(clock=clock)
    times = []
    for wait in waits:
        clock.now += wait
        if rates.take("a", rate) == 0:
            times.append(clock.now)
    for first in range(0, len(times), 7):
        for last in range(first, len(times)):
            assert last - first + 1 <= max(2 * rate, 1) + rate * (times[last] - times[first]) + 1e-3


@given(rate=st.floats(0.01, 1000), before=st.integers(0, 50))
def test_who_waits_as_told_is_admitted(rate: float, before: int) -> None:
    clock = Clock()
    rates = RateLimiter(clock=clock)
    for _ in range(before):
        rates.take("a", rate)
    if wait := rates.take("a", rate):
        clock.now += wait * 0.99 - 1e-6
        assert rates.take("a", rate) > 0
        clock.now += wait * 0.01 + 1e-6
        assert rates.take("a", rate) == 0


def test_a_refused_request_takes_nothing_and_others_are_not_touched() -> None:
    rates = RateLimiter(clock=Clock())
    waits = [rates.take("a", 1) for _ in range(10)]
    assert waits[2:] == [waits[2]] * 8
    assert rates.take("b", 1) == 0


def test_a_burst_may_be_said() -> None:
    rates = RateLimiter(clock=Clock())
    assert [rates.take("a", 20 / 60, burst=20) == 0 for _ in range(21)] == [True] * 20 + [False]


def test_memory_is_bounded_and_those_who_ask_most_are_kept() -> None:
    clock = Clock()
    rates = RateLimiter(most=100, clock=clock)
    assert [rates.take("seldom", 0.5) for _ in range(3)] == [0, 2, 2]
    for number in range(10_000):
        rates.take(f"guest {number}", 1)
        clock.now += 1e-6
        if number % 50 == 0:
            # Refused or admitted, who asks is known.
            assert rates.take("refused", 0.5) > 0 or number == 0
            assert rates.take("admitted", 1000) == 0
    assert len(rates) == 100
    assert rates.take("guest 0", 1) == rates.take("seldom", 0.5) == 0
    assert sum(rates.take("admitted", 1000) == 0 for _ in range(2000)) < 2000
