"""Networks that carry too little, hold everything back for a while, or lead nowhere."""

from __future__ import annotations

import threading
from functools import partial

from edgeseg.runtime.reasons import SOURCE_LOST, STALE

from .bench import Bench, Expected
from .live_run import LiveRun
from .outcome import Outcome, expect, fault
from .servers import mjpeg_server, thin_link

_HTTP = "real HTTP server, whose images have no time stamps"
_SIZE_HW, _FPS, _GAP_SIZE_HW = (120, 160), 25.0, (144, 192)
_GAP_SECONDS, _FASTER = 4.0, 6
_NOWHERE = ("http://[", "http://127.0.0.1:99999/")


@fault(
    "thin link",
    f"{_HTTP}, behind a relay that keeps all and lets half of it through",
    "`stale` as soon as the images that come are too old, and none of them valid",
)
def thin(bench: Bench) -> Outcome:
    """A link that becomes too thin: each image comes a little later than the one before."""
    with mjpeg_server(size_hw=_SIZE_HW, fps=_FPS) as server, thin_link(server.port, 512) as link:
        enough = len(server.part_of(0)) * _FPS

        def narrow() -> None:
            link.bytes_a_second = enough / 2

        def widen() -> None:
            link.bytes_a_second = None

        # At half of what it needs, a second makes half a second.
        within_s = 2 * bench.pace.max_age_s + 2 / bench.pace.heartbeat_hz
        with bench.start(link.url) as live_run:
            return bench.disturb(live_run, narrow, widen, Expected([STALE], within_s), hold_s=2.0)


@fault(
    "gap",
    f"{_HTTP}, behind a relay that keeps all for {_GAP_SECONDS:g} s, then sends it {_FASTER} times as fast",
    "`stale` within the age and two heartbeats, and of what was kept nothing valid that is too old",
)
def gap(bench: Bench) -> Outcome:
    """A network that stands still. What is taken meanwhile has a size of its own, by which it is known."""
    with mjpeg_server(size_hw=_SIZE_HW, fps=_FPS) as server, thin_link(server.port) as link:
        enough = len(server.part_of(0)) * _FPS

        def release() -> None:
            link.bytes_a_second = _FASTER * enough
            link.held.clear()

        def hold() -> None:
            link.held.set()
            server.size_hw = _GAP_SIZE_HW
            # What is taken after that may be young enough as it comes.
            threading.Timer(
                _GAP_SECONDS - 2 * bench.pace.max_age_s, setattr, (server, "size_hw", _SIZE_HW)
            ).start()

        with bench.start(link.url, "--read-timeout", "10") as live_run:
            outcome = bench.disturb(live_run, hold, release, Expected([STALE]), hold_s=_GAP_SECONDS)
            old = [
                event
                for event in live_run.events
                if event["type"] == "result" and event["valid"] and event["size_hw"] == list(_GAP_SIZE_HW)
            ]
            expect(not old, f"of the gap's images it called valid: {old[:3]}")
            return outcome


@fault(
    "redirect",
    "real HTTP server ends connections and answers `302`, with `Location: http://[`, then with a port of 99999",
    "`source-lost` within the age and two heartbeats, with the reason; opened again by itself",
)
def redirect(bench: Bench) -> Outcome:
    """A camera that comes back and sends its clients nowhere."""
    with mjpeg_server(size_hw=_SIZE_HW, fps=_FPS) as server, bench.start(server.url) as live_run:

        def lead(location: str) -> None:
            server.location, server.status = location, 302

        def drop() -> None:
            lead(_NOWHERE[0])
            server.drop()

        def let_in() -> None:
            for location in _NOWHERE:
                lead(location)
                live_run.until(partial(_is_said, live_run, location), f"said where {location} leads")
            server.status = 200

        outcome = bench.disturb(live_run, drop, let_in, Expected([SOURCE_LOST]))
        expect("Traceback" not in live_run.log, f"it said {live_run.log}")
        return outcome


def _is_said(live_run: LiveRun, location: str) -> bool:
    return f"leads to {location}, which is no address" in live_run.log
