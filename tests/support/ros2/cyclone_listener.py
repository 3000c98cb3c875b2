"""Reads masks by CycloneDDS's own Python, which shares only the protocol with ROS: ``cyclone_listener.py TOPIC``.

The first line is ``ready``; then a line of JSON for each mask. It ends when its standard input closes.
"""

from __future__ import annotations

import json
import sys
import threading
import zlib

from cyclone_types import SENSOR_DATA, Image, open_topic
from cyclonedds.core import ReadCondition, SampleState, WaitSet
from cyclonedds.sub import DataReader
from cyclonedds.util import duration


def main() -> None:
    participant, topic = open_topic(sys.argv[1])
    reader = DataReader(participant, topic, SENSOR_DATA)
    condition = ReadCondition(reader, SampleState.NotRead)
    waiting = WaitSet(participant)
    waiting.attach(condition)
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    print("ready", flush=True)
    while not ended.is_set():
        if not waiting.wait(duration(milliseconds=200)):
            continue
        for image in reader.take(condition=condition):
            if not isinstance(image, Image):
                continue  # the end of the writer
            data = bytes(image.data)
            facts = {
                "stamp_ns": image.header.stamp.sec * 10**9 + image.header.stamp.nanosec,
                "frame_id": image.header.frame_id,
                "size_hw": [image.height, image.width],
                "encoding": image.encoding,
                "step": image.step,
                "crc": zlib.crc32(data),
                "classes": sorted(set(data)),
            }
            print(json.dumps(facts), flush=True)


main()
