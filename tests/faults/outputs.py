"""Outputs that are slow, fail, block, or have no place left."""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
from edgeseg.apps.recording.reading import Recording
from edgeseg.runtime.clock import now

from .bench import Bench
from .live_run import Event, LiveRun
from .outcome import Outcome, expect, fault
from .saboteur import SINK_BLOCKS, SINK_RAISES, SINK_SLOW
from .servers import mjpeg_server

_CAMERA_FPS = 25.0
_SECONDS = 1.0
_SLOWER, _SLOWER_WHERE_BUSY = 0.7, 0.3
"""Of the rate before: so much must be left while an output misbehaves, on a machine that does nothing else or much."""

_UNHARMED = "results stay valid at the camera's rate"


def rate_of(live_run: LiveRun, since: float, seconds: float = _SECONDS) -> float:
    """Valid results a second, from a moment on."""
    time.sleep(max(0.0, since + seconds - now()))
    live_run.poll()
    valid = [
        event
        for event in live_run.events
        if event["type"] == "result" and event["valid"] and since <= event["monotonic_s"] < since + seconds
    ]
    return len(valid) / seconds


def _sinks(event: Event) -> dict[str, Any]:
    """The sinks of a heartbeat, by the first word of their names."""
    return {sink["name"].split()[0]: sink for sink in event.get("sinks", [])}


def _unharmed(live_run: LiveRun, began_at: float, rate: float) -> float:
    """Checks that results went on from the beginning of a fault on; their rate then."""
    during = rate_of(live_run, began_at)
    share = _SLOWER_WHERE_BUSY if live_run.pace.slack_s else _SLOWER
    expect(during >= share * rate, f"{during:.0f} results a second under the fault, {rate:.0f} before")
    bad = [each for each in live_run.verdicts(began_at, now()) if not each[1]]
    expect(not bad, f"results were not valid under the fault: {bad[:3]}")
    live_run.check_ages()
    return during


def _masks(bench: Bench, switch: str, value: float, told: Callable[[dict[str, Any]], object]) -> Outcome:
    """Sabotages ``--masks`` beside a video."""
    folder = bench.new_folder()
    more = ("--masks", "masks", "--save", "film.mp4")
    with bench.start("0", *more, sabotaged=True, folder=folder) as live_run:
        rate = rate_of(live_run, live_run.valid()["monotonic_s"])
        began_at = now()
        live_run.switches.on(switch, value)

        def is_told(event: Event) -> bool:
            return event["type"] == "heartbeat" and bool(told(_sinks(event)["masks"]))

        seconds = live_run.wait(is_told, "reported the sink", began_at)["monotonic_s"] - began_at
        during = _unharmed(live_run, began_at, rate)
        live_run.switches.off(switch)
        live_run.signal()
        status = live_run.ends()
        frames = frames_of(folder / "film.mp4")
    expect(status in (0, 2), f"exit status {status}: {live_run.log}")
    expect(frames > 0, "the video beside it is not whole")
    expect("Traceback" not in live_run.log, f"it said {live_run.log}")
    return Outcome(f"{rate:.0f} results a second before, {during:.0f} then; exit status {status}", seconds)


@fault(
    "slow sink",
    "each mask takes 0.4 s to write; a camera of 25 frames a second",
    f"{_UNHARMED}; its drops are counted",
)
def slow_sink(bench: Bench) -> Outcome:
    """A card that is too slow."""
    return _masks(bench, SINK_SLOW, 0.4, lambda sink: sink["dropped"])


@fault(
    "raising sink",
    "each mask raises `OutputError`",
    f"{_UNHARMED}; it is disabled and reported, status 2 at the end",
)
def raising_sink(bench: Bench) -> Outcome:
    """A disk that fails."""
    return _masks(bench, SINK_RAISES, 1.0, lambda sink: sink["disabled"] and sink["errors"])


@fault(
    "blocking sink",
    "writing a mask never returns, inside the C library",
    f"{_UNHARMED}; its drops are counted",
)
def blocking_sink(bench: Bench) -> Outcome:
    """A network disk that is gone."""
    return _masks(bench, SINK_BLOCKS, 1.0, lambda sink: sink["dropped"])


@fault(
    "events that nobody reads",
    "a second `--events` is a pipe of 4 KiB whose reader does not read",
    f"{_UNHARMED}; its drops are counted",
)
def unread_pipe(bench: Bench) -> Outcome:
    """Whoever reads the events has stopped."""
    folder = bench.new_folder()
    os.mkfifo(folder / "pipe")
    reader = os.open(folder / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)
    with (
        mjpeg_server(size_hw=(120, 160), fps=_CAMERA_FPS) as server,
        bench.start(server.url, "--events", "pipe", folder=folder) as live_run,
    ):
        stopped = threading.Event()
        draining = threading.Thread(target=_drain, args=(reader, stopped))
        draining.start()
        rate = rate_of(live_run, live_run.valid()["monotonic_s"])
        stopped.set()
        draining.join()
        began_at = now()

        def is_told(event: Event) -> bool:
            pipe = [sink for sink in event.get("sinks", []) if sink["name"].endswith("pipe")]
            return bool(pipe and pipe[0]["dropped"])

        told_at = live_run.wait(is_told, "reported that a pipe is full", began_at)["monotonic_s"]
        during = _unharmed(live_run, told_at, rate)
        live_run.signal()
        status = live_run.ends()
    expect(status in (0, 2), f"exit status {status}: {live_run.log}")
    outcome = f"{rate:.0f} results a second before, {during:.0f} then; exit status {status}"
    return Outcome(outcome, told_at - began_at)


def _drain(reader: int, stopped: threading.Event) -> None:
    """Reads a pipe until it is told to stop."""
    while not stopped.wait(0.01):
        with contextlib.suppress(BlockingIOError):
            os.read(reader, 1 << 16)


@fault(
    "disk full",
    "`RLIMIT_FSIZE` of the running process: no file may grow beyond 4 KiB; a segmented video and a recording are on",
    f"{_UNHARMED}; both are reported as failed, complete files stay complete, status 2 at the end",
)
def disk_full(bench: Bench) -> Outcome:
    """A disk without room, in the middle of a run."""
    folder = bench.new_folder()
    more = ("--save", "film.mp4", "--segment", "1", "--record", "record")
    with (
        mjpeg_server(size_hw=(120, 160), fps=_CAMERA_FPS) as server,
        bench.start(server.url, *more, folder=folder, events="pipe") as live_run,
    ):
        rate = rate_of(live_run, live_run.valid()["monotonic_s"])
        live_run.wait(lambda event: list(folder.glob("film-*.mp4")), "wrote a segment")
        began_at = now()
        _limit_files(live_run.process.pid, 4096)

        def is_told(event: Event) -> bool:
            sinks = _sinks(event)
            return bool(sinks) and sinks["video"]["disabled"] and sinks["recording"]["errors"] > 0

        told_at = live_run.wait(is_told, "reported that both failed", began_at)["monotonic_s"]
        during = _unharmed(live_run, began_at, rate)
        live_run.signal()
        status = live_run.ends()
    segments, kept = sorted(folder.glob("film-*.mp4")), recorded(folder / "record")
    frames = [frames_of(segment) for segment in segments]
    left = [path.name for path in folder.rglob(".*partial*")]
    expect(status == 2, f"exit status {status}, expected 2: {live_run.log}")
    expect(frames and all(frames), f"segments that cannot be read: {frames}")
    expect(kept > 0, "nothing of the recording can be read")
    expect(not left, f"half-written files stayed: {left}")
    return Outcome(
        f"{rate:.0f} results a second before, {during:.0f} then; {len(segments)} segments and {kept} recorded frames"
        f" are whole; exit status {status}",
        told_at - began_at,
    )


def _limit_files(pid: int, most_bytes: int) -> None:
    """Lets no file of a running process grow beyond so much."""
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (most_bytes, hard))


def frames_of(video: Path) -> int:
    """Counts the frames of a video that can be read."""
    capture, frames = cv2.VideoCapture(str(video)), 0
    while capture.read()[0]:
        frames += 1
    capture.release()
    return frames


def recorded(folder: Path) -> int:
    """Counts the frames of a recording that can be read."""
    return sum(1 for _ in Recording(folder).frames())
