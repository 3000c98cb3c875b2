"""Measures what publishing costs, with a listener in another process: ``make ros2``, then

``.cache/ros2/bin/python tests/support/ros2/timings.py``.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from edgeseg import LabelMap, Segmentation, now
from edgeseg.embedding.ros2.sink import Ros2Sink, RosOptions
from edgeseg.runtime.sinks.base import Output

SIZE_HW, COUNT, PAUSE_SECONDS = (720, 1280), 200, 0.03


def main() -> None:
    listener = [
        sys.executable,
        str(Path(__file__).with_name("listener.py")),
        "/edgeseg/mask=sensor_msgs/Image",
    ]
    with subprocess.Popen(listener, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        labels = LabelMap.from_pairs([("a", (0, 0, 0)), ("b", (9, 9, 9))])
        sink = Ros2Sink(RosOptions(), labels)
        frame = np.zeros((*SIZE_HW, 3), np.uint8)
        time.sleep(2.0)  # until both have found each other
        written_ms = []
        for number in range(COUNT):
            result = Segmentation(np.full(SIZE_HW, number % 2, np.uint8), number, now())
            start = time.perf_counter()
            sink.write(Output(frame, result, "", lambda: frame))
            written_ms.append((time.perf_counter() - start) * 1e3)
            time.sleep(PAUSE_SECONDS)
        sink.close(commit=True)
        process.stdin.close()
        heard = [json.loads(line) for line in process.stdout]
    ages_ms = [(each["at_ns"] - stamp_ns(each)) / 1e6 for each in heard]
    print(
        f"{COUNT} masks of {SIZE_HW[1]} x {SIZE_HW[0]}, {len(heard) - 1} heard, and the void one of the end"
    )
    for what, values in (("to publish", written_ms), ("from the capture to the listener", ages_ms)):
        p50, p99 = np.percentile(values, [50, 99])
        print(f"{what}: median {p50:.2f} ms, p99 {p99:.2f} ms")


def stamp_ns(facts: dict) -> int:
    stamp = facts["message"]["header"]["stamp"]
    return stamp["sec"] * 10**9 + stamp["nanosec"]


main()
