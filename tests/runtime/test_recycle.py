from __future__ import annotations

import numpy as np
from edgeseg.runtime.recycle import ArrayPool


def test_an_array_that_nobody_holds_is_used_again() -> None:
    pool = ArrayPool()
    first = pool.take((4, 5), np.uint8)
    address = first.ctypes.data
    assert first.shape == (4, 5)
    assert first.dtype == np.uint8
    del first
    assert pool.take((4, 5), np.uint8).ctypes.data == address


def test_an_array_that_somebody_holds_is_left_alone() -> None:
    pool = ArrayPool()
    first = pool.take((4, 5), np.uint8)
    second = pool.take((4, 5), np.uint8)
    assert not np.shares_memory(first, second)


def test_a_view_or_a_buffer_holds_it_too() -> None:
    pool = ArrayPool()
    view = pool.take((4, 5), np.uint8)[1:, ::2]
    buffer = memoryview(pool.take((4, 5), np.uint8))
    flat = pool.take((4, 5), np.uint8).reshape(-1).view(np.int8)
    fresh = pool.take((4, 5), np.uint8)
    for held in (view, np.asarray(buffer), flat):
        assert not np.shares_memory(held, fresh)


def test_another_shape_or_type_gets_its_own() -> None:
    pool = ArrayPool()
    pool.take((4, 5), np.uint8)
    assert pool.take((2, 5), np.uint8).shape == (2, 5)
    assert pool.take((2, 5), np.float32).dtype == np.float32


def test_whoever_keeps_everything_keeps_what_he_was_given() -> None:
    pool = ArrayPool()
    kept = []
    for number in range(100):
        array = pool.take((2, 2), np.uint8)
        array.fill(number)
        kept.append(array)
    assert [int(array[0, 0]) for array in kept] == list(range(100))


def test_a_few_kinds_live_side_by_side() -> None:
    pool = ArrayPool()
    addresses = {pool.take((2, width), np.uint8).ctypes.data for width in range(2, 6)}
    assert {pool.take((2, width), np.uint8).ctypes.data for width in range(2, 6)} == addresses


def test_many_kinds_are_not_kept() -> None:
    pool = ArrayPool()
    for width in range(1, 100):
        assert pool.take((2, width), np.uint8).shape == (2, width)
    assert len(pool._arrays) <= 8
