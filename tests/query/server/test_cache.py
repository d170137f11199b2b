"""The cache of vectors: bounded, least recently used first, read-only."""

from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneword.query.server.batching import VectorCache


def vector(n: int, size: int = 4) -> np.ndarray:
    return np.full(size, n, np.float32)


def test_the_least_recently_used_goes() -> None:
    cache = VectorCache(3 * 16)
    for n in range(3):
        cache.put(n, vector(n))
    assert cache.get(0) is not None
    cache.put(1, vector(1))  # also asking to keep it is using it
    cache.put(3, vector(3))
    assert [n for n in range(4) if cache.get(n) is not None] == [0, 1, 3]
    assert (len(cache), cache.bytes) == (3, 48)


def test_vectors_are_copies_that_nobody_changes() -> None:
    cache = VectorCache(1000)
    batch = np.ones((100, 4), np.float32)
    cache.put("row", batch[3])
    batch[3] = 7
    kept = cache.get("row")
    assert kept is not None
    assert kept.base is None
    assert kept.tolist() == [1, 1, 1, 1]
    with pytest.raises(ValueError, match="read-only"):
        kept[0] = 2


def test_what_is_too_large_and_a_cache_of_nothing() -> None:
    cache = VectorCache(16)
    cache.put("small", vector(1))
    cache.put("large", vector(2, 5))
    assert cache.get("large") is None
    assert cache.get("small") is not None
    none = VectorCache(0)
    none.put("small", vector(1))
    assert (none.get("small"), none.bytes, len(none)) == (None, 0, 0)


@given(st.integers(0, 200), st.lists(st.tuples(st.booleans(), st.integers(0, 8), st.integers(1, 12))))
def test_as_a_model(size: int, steps: list[tuple[bool, int, int]]) -> None:
    cache, model = VectorCache(size), OrderedDict[int, int]()
    for put, key, length in steps:
        if put:
            cache.put(key, vector(key, length))
            if key in model:
                model.move_to_end(key)
            elif 4 * length <= size:
                model[key] = 4 * length
                while sum(model.values()) > size:
                    model.popitem(last=False)
        else:
            found = cache.get(key)
            assert (found is not None) == (key in model)
            if found is not None:
                assert found.nbytes == model[key]
                assert (found == key).all()
                model.move_to_end(key)
        assert cache.bytes == sum(model.values()) <= size
        assert len(cache) == len(model)
