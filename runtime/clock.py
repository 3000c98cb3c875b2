"""The clock that captures, results and their ages are told by: it goes on while the machine sleeps.

CLOCK_MONOTONIC, which is ``time.monotonic()``, stands still while a board is suspended. By it, a mask from before
would look as young after an hour's sleep as it did before. CLOCK_BOOTTIME counts the sleep too.

Two clocks, two uses, never mixed in one difference (a test reads every module for that):

* *Moments and ages* are of this clock: when a frame was captured, when its class map was there, how old it is.
* *Patience* is of ``time.monotonic()``: for how long a read, a connection, inference or a sink is waited for. A machine
  that sleeps waits for nobody, so that nothing is given up as it wakes merely because it slept.
"""

from __future__ import annotations

import sys
import time

CLOCK_SLACK_SECONDS = 1e-3
"""A moment that is later than now by no more than this is one that was rounded."""

_READ_TOGETHER_SECONDS = 0.01
"""Two clocks that are read within this time of each other tell of the same moment."""

if sys.platform == "linux":

    def now() -> float:
        """Returns the seconds since the machine was booted, those that it slept included.

        ``captured_at``, ``frame_at`` and ``finished_at`` are moments of this clock; all processes of a machine share
        it. It is CLOCK_BOOTTIME on Linux, and ``time.monotonic()`` where a platform has none. A moment of
        ``time.monotonic()`` is never later than one of this clock, so that a result that was given the wrong one looks
        older than it is, never younger.
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
    """Returns for how many seconds the machine has slept since it was booted.

    It alone may compare the two clocks. A moment ``at`` of ``time.monotonic()``, such as the stamp that V4L2 or
    GStreamer gives a buffer, is ``at + slept_seconds()`` by :func:`now`, if the machine has not slept since.
    """
    while True:
        before = time.monotonic()
        at = now()
        after = time.monotonic()
        # A process that is stopped between the two would take that for sleep.
        if after - before <= _READ_TOGETHER_SECONDS:
            return at - after
