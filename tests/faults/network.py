"""Inference that is slow, fails, hangs or lies."""

from __future__ import annotations

import re
import resource
from pathlib import Path

from edgeseg.runtime.reasons import (
    BACKEND_FAILED,
    CORRUPT,
    NOT_FINITE,
    RESOLUTION_CHANGED,
    SOURCE_LOST,
    STALE,
)

from .bench import Bench, Expected
from .live_run import PATIENCE_SECONDS
from .outcome import Outcome, expect, fault
from .saboteur import INFER_HANGS, INFER_MEMORY, INFER_NAN, INFER_RAISES, INFER_SLOW
from .servers import mjpeg_server

_INSIDE = "inside of inference"


def _sabotaged(
    bench: Bench, switch: str, reason: str, *more: str, says: str = "", value: float = 1.0
) -> Outcome:
    with bench.start("0", *more, sabotaged=True) as live_run:
        switches = live_run.switches
        outcome = bench.disturb(
            live_run, lambda: switches.on(switch, value), lambda: switches.off(switch), Expected([reason])
        )
        expect(says in live_run.log, f"it did not say {says!r}: {live_run.log}")
    return outcome


@fault(
    "slow network",
    f"each frame waits for twice the age, {_INSIDE}",
    "`stale`, each of them: never a mask that is too old",
)
def slow(bench: Bench) -> Outcome:
    """A network that is too slow for what is promised."""
    # What takes longer than --inference-timeout counts as hanging.
    more = ("--inference-timeout", "5")
    return _sabotaged(bench, INFER_SLOW, STALE, *more, value=2 * bench.pace.max_age_s)


@fault(
    "inference raises",
    f"`BackendError` {_INSIDE}, for each frame",
    "`backend-failed`; the network is opened again, and the run goes on",
)
def raises(bench: Bench) -> Outcome:
    """A device that fails for a while."""
    return _sabotaged(bench, INFER_RAISES, BACKEND_FAILED, says="the network has been opened again")


@fault(
    "inference raises for good",
    f"`BackendError` {_INSIDE}, for each frame, until the end",
    "`backend-failed`, then status 1: another process may do better",
    slow=True,
)
def raises_for_good(bench: Bench) -> Outcome:
    """A device that is broken."""
    with bench.start("0", sabotaged=True) as live_run:
        began_at = live_run.valid()["monotonic_s"]
        live_run.switches.on(INFER_RAISES)
        told = live_run.invalid(BACKEND_FAILED, began_at)["monotonic_s"]
        # Its attempts to open the network again are spread over some seconds.
        status = live_run.ends(2 * PATIENCE_SECONDS)
        live_run.check_ages()
        expect(status == 1, f"exit status {status}, expected 1: {live_run.log}")
        expect("opening the network anew 5 times" in live_run.log, f"it said {live_run.log}")
        expect("Traceback" not in live_run.log, f"it said {live_run.log}")
    return Outcome("`backend-failed`, then exit status 1", told - began_at)


@fault(
    "inference hangs",
    f"it never returns, inside the C library, {_INSIDE}",
    "`stale` within the age and two heartbeats, `backend-failed` at `--inference-timeout`, status 1 after twice that",
)
def hangs(bench: Bench) -> Outcome:
    """A device that does not answer."""
    with bench.start("0", sabotaged=True) as live_run:
        began_at = live_run.valid()["monotonic_s"]
        live_run.switches.on(INFER_HANGS)
        told = live_run.invalid(STALE, began_at)["monotonic_s"] - began_at
        live_run.invalid(BACKEND_FAILED, began_at)
        status = live_run.ends()
        live_run.check_ages()
        bound = bench.pace.told_s
        expect(told <= bound, f"stale was reported after {told:.2f} s, not {bound:.2f}")
        expect(status == 1, f"exit status {status}, expected 1: {live_run.log}")
        expect("inference has not answered for" in live_run.log, f"it said {live_run.log}")
    return Outcome("`stale`, then `backend-failed`, then exit status 1", told)


@fault("inference gives NaN", f"each logit is NaN, {_INSIDE}", "`not-finite`, each of them")
def not_finite(bench: Bench) -> Outcome:
    """Numbers that are none."""
    return _sabotaged(bench, INFER_NAN, NOT_FINITE)


@fault(
    "out of memory",
    f"an allocation that fails, {_INSIDE}, for each frame",
    "`backend-failed`, and what could not be allocated; the run goes on",
)
def out_of_memory(bench: Bench) -> Outcome:
    """Memory that there is not."""
    return _sabotaged(bench, INFER_MEMORY, BACKEND_FAILED, says="inference failed: Unable to allocate")


@fault(
    "no more memory for the process",
    "`RLIMIT_AS` of the running process, at what it has; the HTTP camera then sends 3840 x 2160 instead of 160 x 120",
    "no result of such a frame is valid; the run goes on, and follows once there is memory",
)
def no_memory(bench: Bench) -> Outcome:
    """Frames that there is no room for."""
    small_hw, large_hw = (120, 160), (2160, 3840)
    with mjpeg_server(size_hw=small_hw, fps=25.0) as server, bench.start(server.url) as live_run:
        live_run.valid()
        pid = live_run.process.pid
        status = Path(f"/proc/{pid}/status").read_text("utf-8")
        size_kib = int(re.findall(r"VmSize:\s*(\d+) kB", status)[0])
        soft, hard = resource.prlimit(pid, resource.RLIMIT_AS)

        def begin() -> None:
            resource.prlimit(pid, resource.RLIMIT_AS, (1024 * size_kib, hard))
            server.size_hw = large_hw

        def end() -> None:
            server.size_hw = small_hw
            resource.prlimit(pid, resource.RLIMIT_AS, (soft, hard))

        # It depends on who asks first: an image that there is no room for is as good as a damaged one.
        reasons = (CORRUPT, RESOLUTION_CHANGED, SOURCE_LOST, BACKEND_FAILED)
        return bench.disturb(live_run, begin, end, Expected((), or_else=reasons), hold_s=1.0)
