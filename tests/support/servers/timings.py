"""Measures the times until sources are lost, reported and back: the figures of docs/sources.md."""

from __future__ import annotations

import argparse
import importlib.util
import logging
import os
import signal
import statistics
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from edgeseg.core.errors import SourceError
from edgeseg.runtime import sources
from edgeseg.runtime.sources import open_source, rtsp
from edgeseg.runtime.sources.live import Interruption, LiveOptions, LiveSource
from edgeseg.runtime.sources.process.source import ChildCapture, ChildSource

HERE = Path(__file__).resolve().parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=15, help="how often each is done; default: %(default)s")
    times = parser.parse_args().times
    logging.disable(logging.CRITICAL)
    sys.path.insert(0, str(HERE))  # of the capturing children too
    sources.register("fakecam", "fake_captures:FakeCamera")
    print("| what | median | worst |\n|---|---|---|")
    with load("mjpeg").MjpegServer(fps=25) as server:
        recovers("HTTP MJPEG connection dropped, until the next frame", server.url, server.drop, times)
        tell(
            "`interrupt()` of a read that waits, until it returns",
            [interrupted(server) for _ in range(times)],
        )
    with load("rtsp").RtspServer() as server:
        for library, target in (("PyAV", "pyav:AvCapture"), ("OpenCV", "opencv:RtspCapture")):
            if library == "PyAV" and importlib.util.find_spec("av") is None:
                continue
            rtsp._capture_target = lambda target=target: f"edgeseg.runtime.sources.process.{target}"
            recovers(
                f"RTSP connection dropped, until the next frame ({library})", server.url, server.drop, times
            )
    recovers("a camera's process killed, until the next frame", "fakecam:", kill_child, times)
    tell("a camera's process killed, until it is reported", [killed() for _ in range(times)])
    tell("a grab that hangs, `--read-timeout 1`, until it is reported", [stalled() for _ in range(times)])
    tell("closing a camera that hangs", [closed() for _ in range(times)])


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"{name}_server", HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tell(what: str, seconds: list[float]) -> None:
    print(f"| {what} | {statistics.median(seconds):.3f} s | {max(seconds):.3f} s |", flush=True)


def recovers(what: str, uri: str, fault: Callable[..., object], times: int) -> None:
    seconds = []
    for seed in range(times):
        with open_source(uri, LiveOptions(seed=seed)) as source:
            for _ in range(5):
                source.read()
            fault(*([source] if fault is kill_child else []))
            start = time.monotonic()
            while not source.reconnects:
                source.read()
            seconds.append(time.monotonic() - start)
    tell(what, seconds)


def kill_child(source: LiveSource) -> None:
    os.kill(source._inner.pid, signal.SIGKILL)


def child(**spec: object) -> ChildSource:
    return ChildSource(
        "camera",
        ChildCapture("fake_captures:FakeCapture", spec),
        LiveOptions(read_timeout_s=1),
        Interruption(),
    )


def until_reported(source: ChildSource) -> float:
    start = time.monotonic()
    try:
        while True:
            source.read()
    except SourceError:
        return time.monotonic() - start


def killed() -> float:
    with child() as source:
        source.read()
        os.kill(source.pid, signal.SIGKILL)
        return until_reported(source)


def stalled() -> float:
    with child(fault="stalls") as source:
        for _ in range(3):
            source.read()
        return until_reported(source)


def closed() -> float:
    source = child(fault="close-hangs")
    source.read()
    start = time.monotonic()
    source.close()
    return time.monotonic() - start


def interrupted(server: Any) -> float:
    with open_source(server.url) as source:
        source.read()
        server.stall = True
        at: list[float] = []
        threading.Timer(0.2, lambda: (at.append(time.monotonic()), source.interrupt())).start()
        while source.read() is not None:
            pass
        server.stall = False
        return time.monotonic() - at[0]


if __name__ == "__main__":
    main()
