"""Captures that misbehave as libraries do, for the capturing child: ``fake_captures:Class`` on the child's path.

No user reaches them: a test names them as the target of a ``ChildSource``, or registers ``FakeCamera`` as a scheme.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from edgeseg.runtime.clock import now
from edgeseg.runtime.sources.live import Interruption, LiveOptions
from edgeseg.runtime.sources.process.capture import Capture, CaptureError, Grabbed
from edgeseg.runtime.sources.process.source import ChildCapture, ChildSource


class FakeCapture(Capture):
    """A camera of 100 frames a second that counts in its first pixel.

    Args:
        spec: ``size_hw``; ``fault``, which begins at the frame ``after`` (default 3); where ``once`` names a file, only
            if that is not there yet, and it is then made.
    """

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self.fps = 100.0
        self._spec, self._number = spec, 0
        self._height, self._width = spec.get("size_hw", (48, 64))
        self._fault = str(spec.get("fault", ""))
        once = spec.get("once")
        if once and os.path.exists(once):
            self._fault = ""
        elif once:
            open(once, "w").close()
        if self._fault == "open-hangs":
            time.sleep(3600)
        if self._fault == "open-hangs-and-holds-the-interpreter":
            ctypes.PyDLL(None).sleep(3600)
        if self._fault == "open-fails":
            raise CaptureError("the fake camera does not open")
        if self._fault == "hopeless":
            raise CaptureError("this machine lacks what it takes", hopeless=True)
        if self._fault == "notes":
            self.notes = ("the camera gives something else",)

    def read(self, into: np.ndarray | None) -> Grabbed:
        time.sleep(0.01)
        if self._number == self._spec.get("after", 3):
            self._misbehave()
        frame = np.full((self._height, self._width, 3), 128, np.uint8)
        frame[0, 0] = self._number % 256
        self._number += 1
        return Grabbed(frame, now(), "corrupt" if self._fault == "corrupt" else "")

    def _misbehave(self) -> None:
        if self._fault == "stalls":
            time.sleep(3600)
        elif self._fault == "stalls-and-holds-the-interpreter":
            ctypes.PyDLL(None).sleep(3600)
        elif self._fault == "crashes":
            os.write(2, b"fake camera: out of cheese\n")
            os.kill(os.getpid(), signal.SIGSEGV)
        elif self._fault == "exits":
            os._exit(3)
        elif self._fault == "raises":
            raise ZeroDivisionError("a bug in a capture")
        elif self._fault == "unplugged":
            raise CaptureError("the fake camera gives no frames any more; is it still plugged in?")
        elif self._fault == "grows":
            self._height, self._width = 2 * self._height, 2 * self._width

    def close(self) -> None:
        if self._fault == "close-hangs":
            time.sleep(3600)


class FakeCamera(ChildSource):
    """``SCHEME:FAULT[,AFTER[,ONCE]]``, for ``register``: a live source whose capture is a :class:`FakeCapture`.

    ``EDGESEG_TEST_OPEN_TIMEOUT`` and ``EDGESEG_TEST_READ_TIMEOUT`` are its deadlines, in seconds.
    """

    def __init__(self, rest: str) -> None:
        fault, after, once = [*rest.split(","), "", ""][:3]
        options = LiveOptions(
            open_timeout_s=float(os.environ.get("EDGESEG_TEST_OPEN_TIMEOUT", "20")),
            read_timeout_s=float(os.environ.get("EDGESEG_TEST_READ_TIMEOUT", "10")),
        )
        spec = {"fault": fault, "after": int(after or 3), "once": once}
        capture = ChildCapture("fake_captures:FakeCapture", spec)
        super().__init__("fake camera", capture, options, Interruption())
