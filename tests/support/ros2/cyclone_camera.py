"""Publishes images by CycloneDDS's own Python: ``cyclone_camera.py TOPIC``; it ends when its standard input closes."""

from __future__ import annotations

import sys
import threading
import time

import numpy as np
from cyclone_types import SENSOR_DATA, Header, Image, Time, open_topic
from cyclonedds.pub import DataWriter


def main() -> None:
    participant, topic = open_topic(sys.argv[1])
    writer = DataWriter(participant, topic, SENSOR_DATA)
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    frame = np.zeros((48, 64, 3), np.uint8)
    frame[:, 21:], frame[:, 42:] = (120, 125, 130), (250, 245, 240)
    print("ready", flush=True)
    number = 0
    while not ended.wait(0.05):
        frame[2:6, number % 60 : number % 60 + 4] ^= 8
        number += 1
        at_ns = time.time_ns()
        header = Header(Time(at_ns // 10**9, at_ns % 10**9), "cyclone")
        writer.write(Image(header, 48, 64, "bgr8", 0, 192, frame.tobytes()))


main()
