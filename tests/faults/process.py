"""Faults of the whole process: kills, and clocks that are set."""

from __future__ import annotations

import itertools
import signal
import time
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path

import cv2
from edgeseg.runtime.clock import now
from edgeseg.runtime.reasons import SOURCE_LOST, STALE

from .bench import Bench
from .clock import SteppedClock
from .live_run import Event
from .outcome import NotHereError, Outcome, expect, fault
from .outputs import frames_of, recorded
from .seal import NOT_HERE, TURNED_TO_A_NETWORK, foreign_files, sealed_run, why_not
from .servers import mjpeg_server

_SIZE_HW, _FPS = (120, 160), 25.0
_A_SECOND = 1.0
_HOUR_S = 3600


@fault(
    "wall clock stepped by an hour",
    "the C library's wall clock of the running process jumps on by an hour and back by two (`LD_PRELOAD`)",
    "no result is lost, late or called old; only the field `time` of events follows the clock",
)
def wall_clock(bench: Bench) -> Outcome:
    """A clock that is set during a run, as when a GPS receiver has its first fix."""
    folder = bench.new_folder()
    clock = SteppedClock(folder)
    server = mjpeg_server(size_hw=_SIZE_HW, fps=_FPS)
    with server, bench.start(server.url, folder=folder, environment=clock.environment) as live_run:
        began_at = live_run.valid()["monotonic_s"]
        for offset_s in (_HOUR_S, -_HOUR_S):
            at = clock.step(offset_s)
            event = live_run.valid(at)
            hours = _wall_seconds(event) - (time.time() + at - now())
            expect(abs(hours - offset_s) < 60, f"the clock did not step: {event['time']}")
            live_run.valid(at + _A_SECOND)
        ended_at = now()
        bad = [each for each in live_run.verdicts(began_at, ended_at) if not each[1]]
        at_s = [event["captured_at"] for event in live_run.events if event["type"] == "result"]
        gaps = [later - earlier for earlier, later in itertools.pairwise(at_s)]
        live_run.check_ages()
        live_run.signal()
        status = live_run.ends()
    expect(not bad, f"results were called not valid: {bad[:3]}")
    expect(max(gaps) < bench.pace.told_s, f"results stayed away for {max(gaps):.2f} s")
    expect(status == 0, f"exit status {status}: {live_run.log}")
    return Outcome(f"valid at every moment; no two results further apart than {max(gaps):.2f} s")


@fault(
    "telemetry",
    "a run that Linux kills at its first socket of the internet (seccomp), with an empty home",
    "it ends well, and the home holds nothing but edgeseg's own cache",
    slow=True,
)
def telemetry(bench: Bench) -> Outcome:
    """Libraries that would tell their makers of it, with each backend that is installed."""
    if reason := why_not():
        raise NotHereError(reason)
    told = []
    for backend in ("onnxruntime", "openvino"):
        if find_spec(backend) is None:
            continue
        home = bench.new_folder()
        status, log = sealed_run(bench.bundle, home, backend, "aerial:7?frames=2")
        if status == NOT_HERE:
            raise NotHereError(log.strip())
        expect(status != TURNED_TO_A_NETWORK, f"with {backend} it turned to a network")
        expect(status == 0, f"exit status {status} with {backend}: {log}")
        strange = foreign_files(home)
        expect(not strange, f"with {backend} it wrote {strange}")
        told.append(backend)
    return Outcome(f"no socket and no file with {' and '.join(told)}")


@fault(
    "suspend (simulated)",
    "an hour passes by CLOCK_BOOTTIME and the wall clock of the running process, and none by CLOCK_MONOTONIC"
    " (`LD_PRELOAD`), as when a board sleeps; twice, the second time with the camera silent",
    "no mask from before is called valid after it; the camera is opened again; nothing else is given up",
)
def suspend(bench: Bench) -> Outcome:
    """A board that is put to sleep in mid-run."""
    folder, server = bench.new_folder(), mjpeg_server(size_hw=_SIZE_HW, fps=_FPS)
    clock = SteppedClock(folder)
    told_s, back_s = [], []
    with server, bench.start(server.url, folder=folder, environment=clock.environment) as live_run:
        for number, silent in enumerate((False, True), 1):
            # The run's own clock is ahead of this process's by what it slept.
            live_run.valid(now() + (number - 1) * _HOUR_S)
            if silent:
                server.stall = True
            woke_at = clock.sleep(number * _HOUR_S) + number * _HOUR_S
            told = live_run.wait(lambda event: event.get("valid") is False, "told", woke_at)
            expect(told["reason"] in (STALE, SOURCE_LOST), f"told {told['reason']}")
            told_s.append(told["monotonic_s"] - woke_at)
            if silent:
                server.stall = False
            back_s.append(live_run.valid(woke_at)["monotonic_s"] - woke_at)
            old = [
                event
                for event in live_run.events
                if event["monotonic_s"] >= woke_at and event.get("valid")
                and event["monotonic_s"] - event["age_ms"] / 1e3 < woke_at
            ]  # fmt: skip
            expect(not old, f"a mask from before was called valid: {old[:1]}")
        live_run.signal()
        status = live_run.ends()
    expect(status == 0, f"exit status {status}: {live_run.log}")
    return Outcome("no mask from before was valid; the camera was opened again", max(told_s), max(back_s))


def _wall_seconds(event: Event) -> float:
    return datetime.fromisoformat(str(event["time"]).replace("Z", "+00:00")).timestamp()


@fault(
    "kill -9 in mid-recording",
    "SIGKILL while a segmented video, masks, a recording and events are written; then started again in the same folder",
    "every file with its final name is complete, and every record; the next run removes incomplete files and continues",
    slow=True,
)
def kill(bench: Bench) -> Outcome:
    """A power cut, but for the disk."""
    folder = bench.new_folder()
    more = ("--save", "film.mp4", "--segment", "1", "--masks", "masks", "--record", "record")
    with mjpeg_server(size_hw=_SIZE_HW, fps=_FPS) as server:
        with bench.start(server.url, *more, folder=folder) as live_run:
            live_run.wait(lambda event: len(list(folder.glob("film-*.mp4"))) >= 2, "wrote two segments")
            live_run.valid(now())
            results = sum(event["type"] == "result" for event in live_run.events)
            live_run.signal(signal.SIGKILL)
            live_run.ends()
        segments = _whole_videos(folder)
        masks = sorted((folder / "masks").glob("*.png"))
        damaged = [mask.name for mask in masks if cv2.imread(str(mask)) is None]
        frames = recorded(folder / "record")
        expect(len(segments) >= 2, f"{len(segments)} segments")
        expect(masks and not damaged, f"masks that cannot be read: {damaged} of {len(masks)}")
        # What the queues held is lost: a frame that is being written, and four that wait.
        lost = results - min(frames, len(masks))
        expect(lost <= 6, f"{results} results, but {frames} frames recorded and {len(masks)} masks")
        with bench.start(server.url, *more, folder=folder) as live_run:
            back = live_run.valid()["monotonic_s"] - live_run.began_at
            live_run.wait(
                lambda event: len(list(folder.glob("film-*.mp4"))) > len(segments), "wrote a segment"
            )
            live_run.signal()
            status = live_run.ends()
        left = [path.name for path in folder.rglob(".*partial*")]
        expect(status == 0, f"the next run ended with {status}: {live_run.log}")
        expect(not left, f"half-written files stayed: {left}")
        expect(len(_whole_videos(folder)) > len(segments), "the next run wrote no segment")
        expect(recorded(folder / "record") > frames, "the next run recorded nothing")
    return Outcome(
        f"{len(segments)} segments, {len(masks)} masks, {frames} recorded frames of {results} results are whole",
        None,
        back,
    )


def _whole_videos(folder: Path) -> list[Path]:
    videos = sorted(folder.glob("film-*.mp4"))
    broken = [video.name for video in videos if frames_of(video) == 0]
    expect(not broken, f"segments that cannot be read: {broken}")
    return videos
