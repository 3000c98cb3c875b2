"""Captures in a child process, which can be killed when a library hangs."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ....core.errors import EdgesegError, SourceError
from ....core.images.bounds import most_live_pixels
from ....core.source import Source
from ...forks import Owned, refuse_in_child, stays_with_this_process
from ...recycle import ArrayPool
from ..live import HopelessError, Interrupted, Interruption, LiveOptions
from .child import MOST_MESSAGE_BYTES
from .ring import SLOTS, Ring

log = logging.getLogger(__name__)

_CLOSE_SECONDS = 0.35
_KILL_SECONDS = 0.1
_END_SECONDS = 2.0
"""For a child that has closed its connection to end: a crash may first write a core file."""
_STDERR_BYTES = 4096
_CODE = (
    "import sys; sys.path[:] = sys.argv[3:];"
    " from edgeseg.runtime.sources.process.child import main; main(int(sys.argv[1]), int(sys.argv[2]))"
)


def _close_copies(source: ChildSource, error: EdgesegError) -> None:
    """Closes a forked child's copies of descriptors, so that the capturing process does not outlive the parent."""
    source._closed = True
    for fd in (source._life_fd, source._stderr_fd):
        os.close(fd)
    source._connection.close()


_IN_A_CHILD = Owned("the source", SourceError, ignores=("interrupt",), in_child=_close_copies)


@dataclass(frozen=True)
class ChildCapture:
    """A capture for a child process, and how its problems are told.

    Attributes:
        target: ``package.module:Class`` of a :class:`~edgeseg.runtime.sources.process.capture.Capture`.
        spec: the argument of its construction; plain data.
        environment: of the child; this process's if None.
        redacted: removes secrets from a library's messages.
        explain: makes the user's message from the child's problem and a library's last output; None to keep the
            problem as it is.
    """

    target: str
    spec: Mapping[str, Any]
    environment: Mapping[str, str] | None = None
    redacted: Callable[[str], str] = str
    explain: Callable[[str, str], str] | None = None


class ChildSource(Source):
    """A capture in its own child process, which gives the newest frame.

    The child ends whenever this process ends, and leaves nothing behind.

    Args:
        name: for display, without credentials.
        capture: what the child captures.
        options: the deadlines. A child that misses one is killed.
        interruption: ends waits.

    Raises:
        SourceError: the capture does not open, or opens too late.
    """

    live = True

    def __init__(
        self, name: str, capture: ChildCapture, options: LiveOptions, interruption: Interruption
    ) -> None:
        self.name = name
        self._options, self._interruption = options, interruption
        self._redacted, self._explain = capture.redacted, capture.explain
        self._ring: Ring | None = None
        self._frames = ArrayPool()
        self._asked = self._closed = False
        self._output = b""
        self._start(capture.environment)
        stays_with_this_process(self, _IN_A_CHILD)
        try:
            self._send({"target": capture.target, "spec": dict(capture.spec)})
            opened = self._receive(options.open_timeout_s, "does not open")
        except BaseException:
            self.close()
            raise
        self.fps = opened["fps"]
        for note in opened["notes"]:
            extra = {"event": "source-note", "fields": {"source": name, "note": note}}
            log.warning("%s: %s", name, note, extra=extra)

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._child.pid

    def read(self) -> npt.NDArray[np.uint8] | None:
        """The newest frame, uint8 [H, W, 3] BGR; None once interrupted.

        Raises:
            SourceError: the child or its capture has ended, or gives no frame in time.
        """
        refuse_in_child(self)
        try:
            if not self._asked:
                self._send({"next": True})
                self._asked = True
            answer = self._receive(self._options.read_timeout_s, "gives no frame")
        except Interrupted:
            return None
        self._asked = False
        ring, slot = self._ring, int(answer["slot"])
        if ring is None or not 0 <= slot < SLOTS:
            raise SourceError(f"the process that captures {self.name} sends data that cannot be read")
        self.frame_at, self.frame_fault = float(answer["at"]), str(answer["fault"])
        self.dropped = int(answer["dropped"])
        frame: npt.NDArray[np.uint8] = self._frames.take(ring.shape, np.uint8)
        frame[:] = ring.slots[slot]
        return frame

    def interrupt(self) -> None:
        """Makes a waiting :meth:`read` return None soon."""
        self._interruption.set()

    def close(self) -> None:
        """Ends the child: it has a third of a second to release the device, then it is killed."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(OSError, SourceError):
            self._send({"close": True})
        if not self._wait(_CLOSE_SECONDS):
            self._kill()
        for fd in (self._life_fd, self._stderr_fd):
            os.close(fd)
        self._connection.close()
        self._ring = None

    def _start(self, environment: Mapping[str, str] | None) -> None:
        # It keeps messages apart, and the child's end closes the connection.
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        life, self._life_fd = os.pipe()
        self._stderr_fd, stderr = os.pipe()
        # A full pipe must not block the child; its further output is lost.
        os.set_blocking(stderr, False)
        os.set_blocking(self._stderr_fd, False)
        ours.setblocking(False)
        self._connection = ours
        try:
            self._child = subprocess.Popen(
                [sys.executable, "-c", _CODE, str(theirs.fileno()), str(life), *sys.path],
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                env=environment,
                pass_fds=(theirs.fileno(), life),
                start_new_session=True,
            )
        except OSError as error:
            for fd in (self._life_fd, self._stderr_fd):
                os.close(fd)
            ours.close()
            raise SourceError(
                f"no process can be started to capture {self.name}: {error.strerror}"
            ) from error
        finally:
            theirs.close()
            os.close(life)
            os.close(stderr)
        self._ready = select.poll()
        self._ready.register(ours, select.POLLIN)

    def _send(self, message: Mapping[str, Any]) -> None:
        try:
            self._connection.send(json.dumps(message).encode())
        except (BrokenPipeError, ConnectionResetError):
            raise SourceError(self._how_it_ended()) from None

    def _receive(self, timeout_s: float, lacking: str) -> dict[str, Any]:
        """Returns the child's answer. A child that gives none in time is killed."""
        until = time.monotonic() + timeout_s
        ready = self._interruption.wait_ready(self._ready, until)
        self._listen()
        if not ready:
            self._kill()
            raise SourceError(f"{self.name} {lacking} within {timeout_s:g} s")
        try:
            data, fds, _, _ = socket.recv_fds(
                self._connection, MOST_MESSAGE_BYTES, 1, socket.MSG_CMSG_CLOEXEC
            )
        except ConnectionResetError:
            data, fds = b"", []
        try:
            if not data:
                raise SourceError(self._how_it_ended())
            answer: dict[str, Any] = json.loads(data)
            if fds:
                self._attach(answer, fds[0])
        finally:
            for fd in fds:
                os.close(fd)
        if "failed" in answer:
            problem = self._redacted(str(answer["failed"]))
            if self._explain is not None:
                problem = self._explain(problem, self._redacted(self._output.decode("utf-8", "replace")))
            if answer["hopeless"]:
                raise HopelessError(problem)
            raise SourceError(problem)
        return answer

    def _attach(self, answer: Mapping[str, Any], fd: int) -> None:
        height, width, channels = (int(side) for side in answer["shape"])
        if channels != 3 or not 0 < height * width <= most_live_pixels():
            raise SourceError(f"{self.name} gives frames of {width} x {height} x {channels}, which cannot be")
        self._ring = Ring.attach((height, width, 3), fd)

    def _listen(self) -> None:
        """Keeps the end of the output of the child's libraries."""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._stderr_fd, _STDERR_BYTES):
                self._output = (self._output + data)[-_STDERR_BYTES:]

    def _how_it_ended(self) -> str:
        if not self._wait(_END_SECONDS, interruptible=True):
            self._kill()
        self._listen()
        status = self._child.poll()
        words = self._redacted(self._output.decode("utf-8", "replace")).strip().splitlines()
        last = f"; its last words: {words[-1][:200]}" if words else ""
        if status is not None and status < 0:
            with contextlib.suppress(ValueError):
                return (
                    f"the process that captures {self.name} was ended by {signal.Signals(-status).name}{last}"
                )
        if status is None:
            return f"the process that captures {self.name} has closed its connection and does not end{last}"
        return f"the process that captures {self.name} ended with status {status}{last}"

    def _kill(self) -> None:
        self._child.kill()
        # A process that hangs in a driver ends only when the driver allows it, so the wait has a limit.
        self._wait(_KILL_SECONDS)

    def _wait(self, seconds: float, interruptible: bool = False) -> bool:
        """Returns True if the child ends in time. ``Popen.wait`` would sleep in growing steps, up to 50 ms."""
        until = time.monotonic() + seconds
        while self._child.poll() is None:
            if time.monotonic() > until or (interruptible and self._interruption.is_set()):
                return False
            time.sleep(0.002)
        return True
