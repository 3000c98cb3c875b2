"""Frames that come and show nothing."""

from __future__ import annotations

from typing import Any

from edgeseg.runtime.reasons import DARK, FROZEN, SATURATED

from .bench import Bench, Expected
from .outcome import Outcome, fault
from .servers import mjpeg_server, rtsp_server

_FROZEN_AFTER_S = 1.0


def _shows(bench: Bench, make: Any, image: str, reason: str) -> Outcome:
    with make(size_hw=(120, 160), fps=25.0) as server, bench.start(server.url) as live_run:
        return bench.disturb(
            live_run,
            lambda: setattr(server, "image", image),
            lambda: setattr(server, "image", "moving"),
            Expected([reason], bench.pace.told_s + (_FROZEN_AFTER_S if reason == FROZEN else 0.0)),
        )


@fault("black frames", "HTTP camera gives black images", "`dark`, each of them")
def black(bench: Bench) -> Outcome:
    """A lens that is covered."""
    return _shows(bench, mjpeg_server, "black", DARK)


@fault("saturated frames", "HTTP camera gives white images", "`saturated`, each of them")
def white(bench: Bench) -> Outcome:
    """A camera that looks into the sun."""
    return _shows(bench, mjpeg_server, "white", SATURATED)


@fault(
    "HTTP server repeats one frame",
    "HTTP camera gives one image again and again",
    "`frozen` after `--frozen-after`, here 1 s",
)
def http_repeats(bench: Bench) -> Outcome:
    """A camera whose sensor has stopped and whose encoder has not."""
    return _shows(bench, mjpeg_server, "still", FROZEN)


@fault(
    "RTSP server repeats one frame",
    "RTSP camera gives one image again and again",
    "`frozen` after `--frozen-after`, here 1 s",
)
def rtsp_repeats(bench: Bench) -> Outcome:
    """The same over RTSP."""
    return _shows(bench, rtsp_server, "still", FROZEN)
