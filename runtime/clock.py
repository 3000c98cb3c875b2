"""The clock for captures, results and their ages. It goes on while the machine sleeps.

CLOCK_MONOTONIC, which is ``time.monotonic()``, stops while a board is suspended. By that clock, an hour of sleep would
not make a class map older. CLOCK_BOOTTIME counts the sleep too.

The two clocks have two uses. They are never mixed in one difference; a test checks every module for that:

* *Moments and ages* use this clock: a frame's capture time, the time of its class map, its age.
* *Timeouts* use ``time.monotonic()``: the time to wait for a read, a connection, inference or a sink. Sleep does not
  count there, so nothing is given up at wake-up only because the machine slept.
"""

from __future__ import annotations

import sys
import time

CLOCK_SLACK_SECONDS = 1e-3
"""A moment that is later than now by at most this counts as a rounding error."""

_READ_TOGETHER_SECONDS = 0.01
"""Two clocks that are read within this time of each other count as read at the same moment."""

if sys.platform == "linux":

    def now() -> float:
        """Returns the seconds since the machine was booted, with the time that it slept.

        ``captured_at``, ``frame_at`` and ``finished_at`` are moments of this clock. All processes of a machine share
        it. It is CLOCK_BOOTTIME on Linux, and ``time.monotonic()`` on other platforms. ``time.monotonic()`` is never
        ahead of this clock, so a result with a moment of the wrong clock looks older than it is, never younger.
        """
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def now_ns() -> int:
        """Returns :func:`now` in nanoseconds."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

else:

    def now() -> float:
        """Returns ``time.monotonic()``; see the Linux version."""
        return time.monotonic()

    def now_ns() -> int:
        """Returns :func:`now` in nanoseconds."""
        return time.monotonic_ns()


def slept_seconds() -> float:
    """Returns the seconds that the machine has slept since it was booted.

    Only this function may compare the two clocks. A moment ``at`` of ``time.monotonic()``, such as a V4L2 or GStreamer
    buffer's timestamp, is ``at + slept_seconds()`` by :func:`now`, if the machine has not slept since.
    """
    while True:
        before = time.monotonic()
        at = now()
        after = time.monotonic()
        # A process that is stopped between the two reads would count the pause as sleep.
        if after - before <= _READ_TOGETHER_SECONDS:
            return at - after
