"""One contender in its own process: it starts, makes its first mask, and is then timed on request.

:mod:`edgeseg.benchmarks.contender` starts ``python -m edgeseg.benchmarks.worker``.
The two exchange JSON, with one message on each line.
"""

from __future__ import annotations

import time

_STARTED = time.monotonic()

import json  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any, TextIO  # noqa: E402

_STEADY_FRAMES = 10


def main() -> int:
    """Serves one contender until stdin ends; returns the exit status."""
    # The output of libraries must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    order = json.loads(sys.stdin.readline())
    os.sched_setaffinity(0, order["cpus"])
    os.environ["OMP_NUM_THREADS"] = str(len(order["cpus"]))
    import cv2
    import numpy as np

    from .peers import peer_class
    from .peers.base import Setting

    setting = Setting.from_json(order["setting"])
    cv2.setNumThreads(setting.threads)
    # Only the first frame is loaded: the others would count as this contender's memory.
    first = np.load(order["frames"], mmap_mode="r")[0].copy()
    imported = time.monotonic()
    peer = peer_class(order["name"])(order["name"], setting)
    prepared = time.monotonic()
    peer(first)
    done = time.monotonic()
    for _ in range(_STEADY_FRAMES):
        peer(first)
    _answer(
        answers,
        {
            "precision": peer.precision,
            "limit": peer.limit,
            "start_ms": {
                "python": (_STARTED - order["spawned_at"]) * 1e3,
                "imports": (imported - _STARTED) * 1e3,
                "open": (prepared - imported) * 1e3,
                "first mask": (done - prepared) * 1e3,
                "total": (done - order["spawned_at"]) * 1e3,
            },
            **memory_mb(),
        },
    )
    frames = list(np.load(order["frames"]))
    bare: Callable[[], object] | None = None
    for line in sys.stdin:
        request = json.loads(line)
        if request["do"] == "maps":
            np.save(request["to"], np.stack([peer(frame) for frame in frames]))
            _answer(answers, {})
            continue
        if request["do"] == "bare" and bare is None:
            bare = peer.bare(frames[0])
            bare()
        times = []
        for number in range(request["first"], request["first"] + request["count"]):
            frame = frames[number % len(frames)]
            start = time.perf_counter()
            if request["do"] == "frames" or bare is None:
                peer(frame)
            else:
                bare()
            times.append((time.perf_counter() - start) * 1e3)
        _answer(answers, {"ms": times})
    return 0


def memory_mb() -> dict[str, float]:
    """Returns the resident memory of this process, current and peak, in MB (10^6 bytes)."""
    fields = dict(
        line.split(":", 1)
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        if ":" in line
    )
    # Not getrusage, because its peak is inherited from the parent process.
    return {
        key: int(fields[name].split()[0]) * 1024 / 1e6
        for key, name in (("memory_mb", "VmRSS"), ("peak_memory_mb", "VmHWM"))
    }


def _answer(to: TextIO, message: dict[str, Any]) -> None:
    to.write(json.dumps(message) + "\n")
    to.flush()


if __name__ == "__main__":
    sys.exit(main())
