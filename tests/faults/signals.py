"""SIGTERM, in every state that a run can be in; and SIGHUP, when its terminal closes."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import Any

from edgeseg.runtime.clock import now
from edgeseg.runtime.reasons import SOURCE_LOST

from .bench import Bench
from .cameras import OPEN_HANGS, UNPLUGGED
from .live_run import Event, LiveRun
from .outcome import Outcome, expect, fault
from .outputs import frames_of, recorded
from .saboteur import BUNDLE_HANGS, INFER_HANGS, SINK_BLOCKS, SINK_CLOSE_BLOCKS
from .servers import mjpeg_server, rtsp_server

_SIZE_HW, _FPS = (120, 160), 25.0
_A_SECOND, _CLOSING_S = 1.0, 5.0
_APART_S = 1.0
"""Two signals at once count as one: a shell and its service manager may send one each."""

_TIMES = 10


def _stopped(
    bench: Bench,
    live_run: LiveRun,
    statuses: tuple[int, ...],
    within_s: float = _A_SECOND,
    number: signal.Signals = signal.SIGTERM,
) -> tuple[int, float]:
    """Sends a signal; checks the exit status and that it is there in time; gives both."""
    at = live_run.signal(number)
    status = live_run.ends()
    seconds = now() - at
    expect(status in statuses, f"exit status {status}, expected {statuses}: {live_run.log}")
    bound = within_s + bench.pace.slack_s
    expect(seconds <= bound, f"it ended after {seconds:.2f} s, not {bound:.2f}")
    expect("Traceback" not in live_run.log and "Fatal" not in live_run.log, f"it said {live_run.log}")
    return status, seconds


def _term(status: int, seconds: float) -> Outcome:
    return Outcome(f"exit status {status}", seconds)


_WITHIN = "ends within a second"
_BEFORE = f"{_WITHIN}, status 130: the run had not begun"
_AFTER = f"{_WITHIN}, status 0"


@fault(
    "SIGTERM while importing",
    "SIGTERM after 0.02 to 0.3 s, ten times",
    f"{_WITHIN}: by the signal, or status 130",
)
def term_importing(bench: Bench) -> Outcome:
    """The end is asked for before there is anything to end."""
    worst, seen = 0.0, set()
    with mjpeg_server() as server:
        for number in range(_TIMES):
            with bench.start(server.url) as live_run:
                time.sleep(0.02 + 0.03 * number)
                # After its imports a run may be open already, on a fast machine.
                status, seconds = _stopped(bench, live_run, (-signal.SIGTERM, 130, 0))
                worst = max(worst, seconds)
                seen.add(status)
    return Outcome(f"exit status {', '.join(str(status) for status in sorted(seen))}; the slowest", worst)


def _opening(bench: Bench, switch: str) -> Outcome:
    with bench.start("0", "--open-timeout", "30", sabotaged=True, on=(switch,)) as live_run:
        live_run.until(lambda: live_run.switches.is_reached(switch), "opened anything")
        return _term(*_stopped(bench, live_run, (130,)))


@fault("SIGTERM while opening the bundle", "loading the bundle never returns, inside the C library", _BEFORE)
def term_bundle(bench: Bench) -> Outcome:
    """A disk that does not answer, an engine that takes minutes to build."""
    return _opening(bench, BUNDLE_HANGS)


@fault(
    "SIGTERM while a camera hangs in its opening",
    "opening never returns, inside the C library, in the capturing process",
    _BEFORE,
)
def term_camera(bench: Bench) -> Outcome:
    """A driver that hangs."""
    return _opening(bench, OPEN_HANGS)


def _muted(bench: Bench, make: Callable[..., Any]) -> Outcome:
    with make() as server:
        server.mute = True
        with bench.start(server.url, "--open-timeout", "30") as live_run:
            live_run.until(lambda: server.connections, "asked the server")
            time.sleep(0.1)  # until it waits for the answer
            return _term(*_stopped(bench, live_run, (130,)))


@fault(
    "SIGTERM while an HTTP server does not answer",
    "real HTTP server takes the request and answers nothing",
    _BEFORE,
)
def term_http(bench: Bench) -> Outcome:
    """A camera in the network that hangs."""
    return _muted(bench, mjpeg_server)


@fault(
    "SIGTERM while an RTSP server does not answer",
    "real RTSP server takes the request and answers nothing",
    _BEFORE,
)
def term_rtsp(bench: Bench) -> Outcome:
    """The same over RTSP."""
    return _muted(bench, rtsp_server)


@fault("SIGTERM while running", "video, masks and a recording are written", f"{_AFTER}; all files whole")
def term_running(bench: Bench) -> Outcome:
    """The usual end."""
    return _ends_whole(bench, signal.SIGTERM)


@fault(
    "the terminal closes: SIGHUP while running",
    "video, masks and a recording are written",
    f"{_AFTER}; all files whole",
)
def hang_up(bench: Bench) -> Outcome:
    """A connection over SSH that breaks."""
    return _ends_whole(bench, signal.SIGHUP)


def _ends_whole(bench: Bench, number: signal.Signals) -> Outcome:
    folder = bench.new_folder()
    more = ("--save", "film.mp4", "--masks", "masks", "--record", "record")
    with (
        mjpeg_server(size_hw=_SIZE_HW, fps=_FPS) as server,
        bench.start(server.url, *more, folder=folder) as live_run,
    ):
        first = live_run.valid()["monotonic_s"]
        live_run.valid(first + _A_SECOND)
        outcome = _term(*_stopped(bench, live_run, (0,), number=number))
    frames, masks = frames_of(folder / "film.mp4"), len(list((folder / "masks").glob("*.png")))
    expect(frames > 0 and masks > 0, f"{frames} frames of video, {masks} masks")
    expect(recorded(folder / "record") > 0, "nothing was recorded")
    left = [path.name for path in folder.rglob(".*partial*")]
    expect(not left, f"half-written files stayed: {left}")
    return outcome


@fault(
    "SIGTERM while the camera is lost", "the camera is unplugged, and edgeseg tries to open it again", _AFTER
)
def term_lost(bench: Bench) -> Outcome:
    """The end in the middle of a pause before the next attempt."""
    with bench.start("0", sabotaged=True) as live_run:
        live_run.valid()
        live_run.switches.on(UNPLUGGED)
        live_run.invalid(SOURCE_LOST, now())
        return _term(*_stopped(bench, live_run, (0,)))


@fault(
    "SIGTERM while a sink blocks",
    "writing a mask never returns, inside the C library; a video is written beside it",
    f"{_WITHIN}, status 2, because of the masks; the video is whole",
)
def term_sink(bench: Bench) -> Outcome:
    """A disk that is gone at the end."""
    folder = bench.new_folder()
    with bench.start(
        "0", "--masks", "masks", "--save", "film.mp4", sabotaged=True, folder=folder
    ) as live_run:
        live_run.valid()
        at = now()
        live_run.switches.on(SINK_BLOCKS)
        live_run.wait(_drops_masks, "dropped masks", at)
        outcome = _term(*_stopped(bench, live_run, (2,)))
    expect(frames_of(folder / "film.mp4") > 0, "the video is not whole")
    return outcome


def _drops_masks(event: Event) -> bool:
    return any(sink["name"].startswith("masks") and sink["dropped"] for sink in event.get("sinks", ()))


@fault(
    "SIGTERM while inference hangs",
    "inference never returns, inside the C library; ten times",
    f"{_AFTER}; never by SIGABRT, as C++ destructors under a thread that is still at work would have it",
    slow=True,
)
def term_inference(bench: Bench) -> Outcome:
    """A thread that nothing ends, and the end of the interpreter beside it."""
    worst = 0.0
    for _ in range(_TIMES):
        with bench.start("0", sabotaged=True) as live_run:
            live_run.valid()
            at = now()
            live_run.switches.on(INFER_HANGS)
            live_run.wait(lambda event: not event.get("valid", True), "hung", at)
            worst = max(worst, _stopped(bench, live_run, (0,))[1])
    return Outcome("exit status 0, ten times; the slowest", worst)


@fault(
    "SIGTERM while stopping",
    "a second SIGTERM, a second after the first, while closing an output never returns, inside the C library",
    f"{_WITHIN} of the second",
)
def term_stopping(bench: Bench) -> Outcome:
    """Somebody who is impatient."""
    with bench.start("0", "--masks", "masks", sabotaged=True) as live_run:
        live_run.valid()
        live_run.switches.on(SINK_CLOSE_BLOCKS)
        live_run.signal()
        live_run.until(lambda: live_run.switches.is_reached(SINK_CLOSE_BLOCKS), "closed the masks")
        time.sleep(_APART_S)
        return _term(*_stopped(bench, live_run, (2, 130)))


@fault(
    "SIGTERM, and an output that never closes",
    "closing the masks never returns, inside the C library; a video is written beside them",
    "ends within six seconds, status 2, because of the masks; the video is whole",
    slow=True,
)
def term_closing(bench: Bench) -> Outcome:
    """A card that never takes the last bytes. A file that is being closed is given five seconds more."""
    folder = bench.new_folder()
    with bench.start(
        "0", "--masks", "masks", "--save", "film.mp4", sabotaged=True, folder=folder
    ) as live_run:
        live_run.valid()
        live_run.switches.on(SINK_CLOSE_BLOCKS)
        outcome = _term(*_stopped(bench, live_run, (2,), _A_SECOND + _CLOSING_S))
    expect(frames_of(folder / "film.mp4") > 0, "the video is not whole")
    return outcome
