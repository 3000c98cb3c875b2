"""Cameras and servers that go, hang or refuse."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
from edgeseg.runtime.clock import now
from edgeseg.runtime.reasons import CORRUPT, RESOLUTION_CHANGED, SOURCE_LOST, STALE

from .bench import Bench, Expected
from .cameras import CRASHES, OPEN_HANGS, STALLS, UNPLUGGED, stripes
from .live_run import LiveRun
from .outcome import NotHereError, Outcome, expect, fault
from .servers import mjpeg_server, rtsp_server, two_sizes

_CAMERA = "in the capturing process, in V4L2's place"
_LOST = "`source-lost` within the age and two heartbeats; opened again by itself"
_HTTP, _RTSP = "real HTTP server", "real RTSP server"
_SIZE_HW, _FPS = (120, 160), 25.0
_FEW_MIB = 64

_OPEN_SOON = ("--open-timeout", "2")
"""Options of the runs whose fault is an opening that hangs. The others are patient, for a busy machine."""


def _camera(bench: Bench, switch: str, *reasons: str) -> Outcome:
    with bench.start("0", sabotaged=True) as live_run:
        switches = live_run.switches
        return bench.disturb(
            live_run, lambda: switches.on(switch), lambda: switches.off(switch), Expected(reasons)
        )


@fault("camera unplugged", f"reads fail and the device is gone, {_CAMERA}", _LOST)
def camera_unplugged(bench: Bench) -> Outcome:
    """A camera that is pulled out, and put back."""
    return _camera(bench, UNPLUGGED, SOURCE_LOST)


@fault("open that hangs", f"a lost camera hangs in its opening, inside the C library, {_CAMERA}", _LOST)
def open_hangs(bench: Bench) -> Outcome:
    """A camera that is lost, and then hangs whoever opens it."""
    with bench.start("0", *_OPEN_SOON, sabotaged=True) as live_run:

        def begin() -> None:
            live_run.switches.on(OPEN_HANGS)
            live_run.switches.on(UNPLUGGED)
            # The device is back, but does not answer.
            live_run.wait(lambda event: event.get("to") == "lost", "lost", now())
            live_run.switches.off(UNPLUGGED)

        # Three seconds are one whole opening that is killed at its deadline of two.
        return bench.disturb(
            live_run, begin, lambda: live_run.switches.off(OPEN_HANGS), Expected([SOURCE_LOST]), hold_s=3.0
        )


@fault(
    "open that hangs at the start",
    f"opening never returns, inside the C library, {_CAMERA}",
    "status 2, one line, at `--open-timeout`",
)
def open_hangs_at_the_start(bench: Bench) -> Outcome:
    """A camera that hangs whoever opens it first."""
    with bench.start("0", *_OPEN_SOON, sabotaged=True, on=(OPEN_HANGS,)) as live_run:
        status, seconds = live_run.ends(), now() - live_run.began_at
    expect(status == 2, f"exit status {status}, expected 2: {live_run.log}")
    expect("camera 0 does not open within 2 s" in live_run.log, f"it said {live_run.log}")
    return Outcome("exit status 2: “camera 0 does not open within 2 s”", seconds)


@fault(
    "grab that stalls",
    f"a read never returns, inside the C library, {_CAMERA}",
    "`stale` within the age and two heartbeats, `source-lost` at `--read-timeout`; its process is replaced",
)
def grab_stalls(bench: Bench) -> Outcome:
    """A camera that hangs whoever reads."""
    return _camera(bench, STALLS, STALE, SOURCE_LOST)


@fault(
    "capture crashes",
    f"a segmentation fault, {_CAMERA}",
    "`stale` or `source-lost` within the age and two heartbeats, `source-lost` in the end; its process is replaced",
)
def capture_crashes(bench: Bench) -> Outcome:
    """A driver that takes its process down, again and again."""
    with bench.start("0", sabotaged=True) as live_run:
        switches = live_run.switches
        # It is there for a moment after each start, and then there is no reason but the age.
        return bench.disturb(
            live_run,
            lambda: switches.on(CRASHES),
            lambda: switches.off(CRASHES),
            Expected([SOURCE_LOST], or_else=[STALE]),
        )


def _served(
    bench: Bench,
    make: Callable[..., Any],
    begin: Callable[[Any], object],
    end: Callable[[Any], object],
    *reasons: str,
    **settings: Any,
) -> Outcome:
    with make(size_hw=_SIZE_HW, fps=_FPS, **settings) as server, bench.start(server.url) as live_run:
        return bench.disturb(live_run, lambda: begin(server), lambda: end(server), Expected(reasons))


def _end_connections(server: Any) -> None:
    server.stop()


def _refuse(server: Any) -> None:
    server.user_password = "joe:other"
    server.drop()


def _let_in(server: Any) -> None:
    server.user_password = None


def _mute(server: Any) -> None:
    server.mute = True
    server.drop()


def _set(name: str, value: Any) -> Callable[[Any], None]:
    return lambda server: setattr(server, name, value)


for _what, _server, _make in (("HTTP", _HTTP, mjpeg_server), ("RTSP", _RTSP, rtsp_server)):

    def _drops(bench: Bench, make: Callable[..., Any] = _make) -> Outcome:
        return _served(bench, make, _end_connections, lambda server: server.start(), SOURCE_LOST)

    def _refuses(bench: Bench, make: Callable[..., Any] = _make) -> Outcome:
        return _served(bench, make, _refuse, _let_in, SOURCE_LOST)

    def _stalls(bench: Bench, make: Callable[..., Any] = _make) -> Outcome:
        return _served(bench, make, _set("stall", True), _set("stall", False), STALE, SOURCE_LOST)

    def _does_not_answer(bench: Bench, make: Callable[..., Any] = _make) -> Outcome:
        return _served(bench, make, _mute, _set("mute", False), SOURCE_LOST)

    fault(f"{_what} server drops", f"{_server} ends its connections and its port, then is back", _LOST)(
        _drops
    )
    fault(
        f"{_what} server answers 401",
        f"{_server} ends connections and asks for a password, then does not",
        _LOST,
    )(_refuses)
    fault(
        f"{_what} server stalls",
        f"{_server} keeps its connections and sends nothing",
        "`stale` within the age and two heartbeats, `source-lost` at `--read-timeout`",
    )(_stalls)
    fault(f"{_what} server mute", f"{_server} ends connections, takes new ones and answers nothing", _LOST)(
        _does_not_answer
    )


def _new_size(bench: Bench, live_run: LiveRun, begin: Callable[[], object]) -> Outcome:
    """A stream that changes its size. The fault is over as soon as it has begun: there is nothing to wait for."""
    before = live_run.valid()["size_hw"]
    began_at = now()
    begin()
    told = live_run.wait(
        lambda event: event["type"] == "result" and event["reason"] == RESOLUTION_CHANGED,
        "told of the new size",
        began_at,
    )
    back = live_run.valid(told["captured_at"], lambda event: event["size_hw"] != before)
    wrong = [
        event
        for event in live_run.events
        if event["type"] == "result" and event["valid"] and event["captured_at"] > told["captured_at"]
        and event["size_hw"] == before and event["captured_at"] < back["captured_at"]
    ]  # fmt: skip
    expect(not wrong, f"results of the old size came after the new one: {wrong}")
    live_run.check_ages()
    height, width = back["size_hw"]
    told_s, bound = told["monotonic_s"] - told["captured_at"], bench.pace.told_s
    expect(told_s <= bound, f"told {told_s:.2f} s after the frame, not {bound:.2f}")
    return Outcome(
        f"`resolution-changed`, then class maps of {width} x {height}",
        told_s,
        back["monotonic_s"] - told["captured_at"],
    )


_SIZE_TEXT = "one result `resolution-changed`, then class maps of the new size; none of the old"


@fault("HTTP stream changes resolution", f"{_HTTP}: 160 x 120, then 320 x 240", _SIZE_TEXT)
def http_size(bench: Bench) -> Outcome:
    """A camera that is switched to another size."""
    with mjpeg_server(size_hw=_SIZE_HW, fps=_FPS) as server, bench.start(server.url) as live_run:
        return _new_size(bench, live_run, lambda: setattr(server, "size_hw", (240, 320)))


@fault(
    "RTSP stream changes resolution", f"{_RTSP}: H.264 of 96 x 64, then 192 x 128, over and over", _SIZE_TEXT
)
def rtsp_size(bench: Bench) -> Outcome:
    """The same in H.264, in the middle of the stream."""
    if importlib.util.find_spec("av") is None:
        raise NotHereError("PyAV is not installed, and OpenCV hides a new size")
    with rtsp_server(fps=_FPS) as server:
        server.h264 = server.images_of(two_sizes())
        with bench.start(server.url) as live_run:
            return _new_size(bench, live_run, lambda: None)


@fault("HTTP server sends truncated JPEGs", f"{_HTTP}: each image lacks its end", "`corrupt`, each of them")
def truncated(bench: Bench) -> Outcome:
    """Images that do not arrive whole."""
    return _served(bench, mjpeg_server, _set("truncate", 1), _set("truncate", 0), CORRUPT)


@fault(
    "HTTP server sends JPEGs cut short with an end",
    f"{_HTTP}: each image lacks a part of its data, and has its end marker",
    "`corrupt`, each of them",
)
def cut_with_an_end(bench: Bench) -> Outcome:
    """Images that did not arrive whole, and of which only the decoder knows it."""

    def cut(number: int) -> bytes:
        data = _jpeg(number)
        return data[: -len(data) // 8] + data[-2:]

    return _served(bench, mjpeg_server, _set("part", cut), _set("part", None), CORRUPT)


@fault(
    "pixel flood",
    f"{_HTTP}: images of 160 x 120 whose heads claim 16384 x 16384",
    "`corrupt`, each of them; memory stays as it was",
)
def pixel_flood(bench: Bench) -> Outcome:
    """A few kilobytes that claim to be 768 MiB, again and again."""

    def forged(number: int) -> bytes:
        data = _jpeg(number)
        at = data.index(b"\xff\xc0") + 5
        return data[:at] + (16384).to_bytes(2, "big") * 2 + data[at + 4 :]

    with mjpeg_server(size_hw=_SIZE_HW, fps=_FPS) as server, bench.start(server.url) as live_run:
        live_run.valid()
        before = _peak_mib(live_run.process.pid)
        outcome = bench.disturb(
            live_run,
            lambda: _set("part", forged)(server),
            lambda: _set("part", None)(server),
            Expected([CORRUPT]),
        )
        grown = _peak_mib(live_run.process.pid) - before
    expect(grown <= _FEW_MIB, f"its memory grew by {grown} MiB, expected {_FEW_MIB} at most")
    return replace(outcome, observed=f"{outcome.observed}; memory grew by {grown} MiB")


def _jpeg(number: int) -> bytes:
    return bytes(cv2.imencode(".jpg", stripes(number, _SIZE_HW))[1])


def _peak_mib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text("utf-8")
    return int(re.findall(r"VmHWM:\s*(\d+) kB", status)[0]) >> 10
