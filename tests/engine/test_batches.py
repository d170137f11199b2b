from hypothesis import given
from hypothesis import strategies as st

from oneword.engine.batches import SLACK, Budget, Cost, plan

COSTS = st.lists(st.builds(Cost, length=st.integers(1, 3000), vision=st.integers(0, 800)), max_size=60)
BUDGETS = st.builds(
    Budget,
    tokens=st.integers(1, 20_000),
    rows=st.none() | st.integers(1, 9),
    enough=st.none() | st.integers(0, 5000),
)


@given(COSTS, BUDGETS)
def test_every_position_stands_once_and_no_batch_is_over_budget(costs, budget):
    batches = plan(costs, budget)
    assert sorted(i for batch in batches for i in batch) == list(range(len(costs)))
    for batch in batches:
        assert batch
        padded = len(batch) * max(costs[i].length for i in batch) + sum(costs[i].vision for i in batch)
        assert len(batch) == 1 or padded <= budget.tokens
        assert budget.rows is None or len(batch) <= budget.rows


@given(COSTS, BUDGETS)
def test_the_longest_come_first(costs, budget):
    lengths = [costs[i].length for batch in plan(costs, budget) for i in batch]
    assert lengths == sorted(lengths, reverse=True)


@given(COSTS, BUDGETS)
def test_once_the_device_is_busy_rows_are_hardly_padded(costs, budget):
    for batch in plan(costs, budget):
        longest = costs[batch[0]].length
        for rows, i in enumerate(batch):
            if budget.enough is not None and rows and rows * longest >= budget.enough:
                assert (longest - costs[i].length) * SLACK <= longest


def test_rows_of_one_length_fill_the_budget():
    assert [len(batch) for batch in plan([Cost(length=10)] * 25, Budget(tokens=100, enough=50))] == [
        10,
        10,
        5,
    ]


def test_tiles_count_as_well():
    costs = [Cost(length=10, vision=40)] * 4
    assert [len(batch) for batch in plan(costs, Budget(tokens=100))] == [2, 2]


def test_nothing_to_plan():
    assert plan([], Budget(tokens=100)) == []
