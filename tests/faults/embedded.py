"""An embedder's program with a segmenter: ``embedded threads BUNDLE`` or ``embedded fork BUNDLE BACKEND``.

``threads`` calls one segmenter from several threads at once. ``fork`` forks, and lets children do to the inherited
segmenter what programs do. Either prints what came of it as a line of JSON.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from edgeseg.core.errors import EdgesegError
from edgeseg.runtime.segmenter import Segmenter

THREADS, CALLS = 8, 30
_SIZE_HW = (120, 160)
_BLOCK = 40
"""Pixels; patterns so coarse that no two frames have the same mask."""

_CHILD_SECONDS = 10.0


def threads(bundle: str) -> dict[str, Any]:
    """Counts the masks of other frames, and collects the errors."""
    random = np.random.Generator(np.random.PCG64(0))
    blocks = [random.integers(0, 256, (6, 8, 3), np.uint8) for _ in range(THREADS)]
    frames = [each.repeat(_BLOCK, 0).repeat(_BLOCK, 1) for each in blocks]
    with Segmenter(bundle, threads=1) as segmenter:
        expected = [segmenter(frame).classes.copy() for frame in frames]
        begin = threading.Barrier(THREADS)

        def wrong(number: int) -> int:
            begin.wait()
            results = [segmenter(frames[number]) for _ in range(CALLS)]
            return sum(not np.array_equal(each.classes, expected[number]) for each in results)

        with ThreadPoolExecutor(THREADS) as pool:
            masks = len({classes.tobytes() for classes in expected})
            return {"calls": THREADS * CALLS, "masks": masks, "wrong": sum(pool.map(wrong, range(THREADS)))}


def fork(bundle: str, backend: str) -> dict[str, Any]:
    """Reports what each child did, and if the parent's segmenter still gives its earlier mask."""
    frame = np.full((*_SIZE_HW, 3), 90, np.uint8)
    held = [Segmenter(bundle, backend=backend, threads=2)]
    expected = held[0](frame).classes.copy()

    def drop() -> None:
        held.clear()
        gc.collect()

    deeds: dict[str, Callable[[], object]] = {
        "close": lambda: held[0].close(),
        "drop": drop,
        "call": lambda: held[0](frame),
        "end": lambda: sys.exit(0),
    }
    told = {name: _in_child(deed) for name, deed in deeds.items()}
    told["parent"] = "well" if np.array_equal(held[0](frame).classes, expected) else "another mask"
    held[0].close()
    return told


def _in_child(deed: Callable[[], object]) -> str:
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            deed()
        except EdgesegError as error:
            os.write(writing, str(error).encode())
        os._exit(0)
    os.close(writing)
    began_at = time.monotonic()
    while not (ended := os.waitpid(pid, os.WNOHANG)[0]) and time.monotonic() - began_at < _CHILD_SECONDS:
        time.sleep(0.01)
    if not ended:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    with os.fdopen(reading) as said:
        return (said.read() or "ended") if ended else "hangs"


if __name__ == "__main__":
    print(json.dumps(threads(sys.argv[2]) if sys.argv[1] == "threads" else fork(*sys.argv[2:])))
