"""Work on many files in threads: reading and decoding release the interpreter's lock."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_MOST_THREADS = 16


def in_threads(work: Callable[[_Item], _Result], items: Iterable[_Item]) -> list[_Result]:
    """Returns the result for each item, in order.

    The first item in order that fails ends the work with its error.
    """
    pool = ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1))
    try:
        return list(pool.map(work, items))
    finally:
        pool.shutdown(cancel_futures=True)
