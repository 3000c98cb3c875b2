"""A live source that reconnects: lost devices and servers are opened again, with pauses that grow and vary."""

from __future__ import annotations

import logging
import random
import select
import threading
import time
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...core.errors import EdgesegError, SourceError
from ...core.source import Source
from ..clock import slept_seconds
from ..forks import Owned, is_left_alone, stays_with_this_process
from ..gate import Gate
from ..reasons import RESOLUTION_CHANGED
from .uri import SourceUri

log = logging.getLogger(__name__)

_SLICE_SECONDS = 0.05
"""The longest time that a wait goes on before it checks for an interruption."""

_GROWTH = 2.0

_SLEEP_SECONDS = 0.1
"""After a longer sleep of the machine, buffers may have frames from before it, without their times."""


@dataclass(frozen=True)
class LiveOptions:
    """The times to wait for a live source.

    Attributes:
        open_timeout_s: seconds until a device or server must be open.
        read_timeout_s: seconds until a frame must be whole.
        give_up_after_s: seconds for which a lost source is opened again and again; None for ever.
        wait_for_source: True to wait for a source that is not there at the start, like for a lost one.
        first_pause_s: seconds before the first attempt to open it again. Each later pause is twice as long.
        most_pause_s: the longest pause, in seconds.
        jitter: the share by which each pause is randomly longer or shorter, so that many cameras of one server do not
            all reconnect at once.
        seed: of the random pauses; None for a random seed.
    """

    open_timeout_s: float = 10.0
    read_timeout_s: float = 5.0
    give_up_after_s: float | None = None
    wait_for_source: bool = False
    first_pause_s: float = 0.25
    most_pause_s: float = 10.0
    jitter: float = 0.5
    seed: int | None = None


class HopelessError(SourceError):
    """The source can never open, because this machine lacks something that it needs."""


class Interrupted(Exception):  # noqa: N818 - a request, not an error
    """A wait was ended by a request."""


class Interruption:
    """Ends waits from another thread.

    Args:
        also: an event of the caller that ends them too.
    """

    def __init__(self, also: threading.Event | None = None) -> None:
        self._event, self._also = threading.Event(), also

    def set(self) -> None:
        """Ends all waits, now and later. May be called by a signal handler."""
        self._event.set()

    def is_set(self) -> bool:
        """Returns True if waits end at once."""
        return self._event.is_set() or (self._also is not None and self._also.is_set())

    def check(self) -> None:
        """Raises Interrupted if waits are to end."""
        if self.is_set():
            raise Interrupted

    def sleep(self, seconds: float) -> None:
        """Waits. Raises Interrupted if it is to end."""
        until = time.monotonic() + seconds
        self.check()
        while (left := until - time.monotonic()) > 0:
            self._event.wait(min(left, _SLICE_SECONDS))
            self.check()

    def wait_for(self, event: threading.Event, until: float) -> bool:
        """Waits for an event until a moment of ``time.monotonic()``; returns True if it came. Raises Interrupted."""
        while not event.is_set():
            left = until - time.monotonic()
            if left <= 0:
                return False
            event.wait(min(left, _SLICE_SECONDS))
            self.check()
        return True

    def wait_ready(self, ready: select.poll, until: float) -> list[tuple[int, int]]:
        """Waits for files until a moment of ``time.monotonic()``; returns the ready ones. Raises Interrupted."""
        while True:
            self.check()
            left = until - time.monotonic()
            found = ready.poll(max(0.0, min(left, _SLICE_SECONDS)) * 1000)
            if found or left <= 0:
                return found


class BackOff:
    """The pauses between attempts."""

    def __init__(self, options: LiveOptions) -> None:
        self._options = options
        self._random = random.Random(options.seed)
        self._attempts = 0

    def reset(self) -> None:
        """Makes the next pause as long as the first."""
        self._attempts = 0

    def next_pause_s(self) -> float:
        """Returns the pause before the next attempt, in seconds."""
        options = self._options
        # A larger power could overflow.
        pause = min(options.most_pause_s, options.first_pause_s * _GROWTH ** min(self._attempts, 60))
        self._attempts += 1
        return pause * (1 + options.jitter * self._random.uniform(-1, 1))


class WaitingSource(Source):
    """A live source of a registered scheme that waits by itself, with the deadlines of the run.

    Args:
        uri: parsed.
        options: the deadlines.
        interruption: ends its waits.
    """

    live = True

    @abstractmethod
    def __init__(self, uri: SourceUri, options: LiveOptions, interruption: Interruption) -> None: ...


def _bar(source: LiveSource, error: EdgesegError) -> None:
    source._gate.bar(error)


class LiveSource(Source):
    """Keeps a live source open: :meth:`read` gives frames. While there are none, it waits and opens the source again.

    A lost source is ``connected`` again once a frame has come, not as soon as it opens. After a sleep of the machine
    the source counts as lost: old frames of drivers and sockets must not count as new.

    Only one thread at a time may read; any other may call :meth:`interrupt` and :meth:`close`.

    Args:
        name: for display, without credentials.
        opener: opens the source. It raises SourceError if that fails, :class:`HopelessError` if it always will, and
            Interrupted if the interruption in its argument ends its wait.
        options: the times to wait.
        interruption: ends all waits.

    Raises:
        SourceError: it is not there, and ``options.wait_for_source`` is False.
    """

    live = True

    def __init__(
        self,
        name: str,
        opener: Callable[[Interruption], Source],
        options: LiveOptions,
        interruption: Interruption | None = None,
    ) -> None:
        self.name = name
        self._opener, self._options = opener, options
        self._interruption = interruption or Interruption()
        self._back_off = BackOff(options)
        self._inner: Source | None = None
        self._opened_at = self._lost_at = time.monotonic()
        self._was_there = False
        self._dropped_before = 0
        self._slept_before = slept_seconds()
        self._shape: tuple[int, ...] | None = None
        self.connected = False
        self._gate = Gate(self._close)
        stays_with_this_process(self, Owned(name, SourceError, ignores=("interrupt",), in_child=_bar))
        try:
            self._open()
            self.connected = self._was_there = True
        except HopelessError:
            raise
        except SourceError as error:
            if not options.wait_for_source:
                raise
            self._lose(error)
        except Interrupted:
            self.problem = "not opened: asked to stop"

    def read(self) -> npt.NDArray[np.uint8] | None:
        """Returns the next frame, uint8 [H, W, 3] BGR. Waits while the source is not there; None once interrupted.

        A frame of another size than the one before has the fault ``resolution-changed``.

        Raises:
            SourceError: the source has been gone for ``give_up_after_s``, or can never open.
        """
        with self._gate:
            return self._read()

    def interrupt(self) -> None:
        """Makes a waiting :meth:`read` return None soon, and every later one at once."""
        self._interruption.set()
        inner = self._inner
        if inner is not None:
            inner.interrupt()

    def close(self) -> None:
        """Releases the device, at once or when a :meth:`read` in another thread has ended."""
        if is_left_alone(self):
            return
        self.interrupt()
        self._gate.shut()

    def _close(self) -> None:
        inner, self._inner = self._inner, None
        self.connected = False
        if inner is not None:
            inner.close()

    def _read(self) -> npt.NDArray[np.uint8] | None:
        while not self._interruption.is_set():
            try:
                if self._inner is None:
                    self._seek()
                frame = self._next_frame()
            except Interrupted:
                return None
            except HopelessError:
                raise
            except SourceError as error:
                self._lose(error)
                continue
            except MemoryError:
                self._lose(SourceError(f"there was no memory for what {self.name} gives"))
                continue
            if frame is not None:
                return frame
        return None

    def _next_frame(self) -> npt.NDArray[np.uint8] | None:
        inner = self._inner
        if inner is None:
            raise Interrupted
        frame = inner.read()
        if frame is None and self._interruption.is_set():
            return None
        slept = slept_seconds() - self._slept_before
        if slept > _SLEEP_SECONDS:
            raise SourceError(f"{self.name}: the machine slept for {slept:.1f} s")
        if frame is None:
            raise SourceError(f"{self.name} ended its stream")
        # Not sooner, because a server may accept the connection and send nothing. Not after a close in
        # another thread.
        if not self.connected and self._inner is inner:
            self._come_back()
        self.frame_at, self.frame_name, self.frame_fault = inner.frame_at, inner.frame_name, inner.frame_fault
        self.frame_pose = inner.frame_pose
        self.dropped = self._dropped_before + inner.dropped
        changed = self._shape not in (None, frame.shape)
        self._shape = frame.shape
        if changed:
            self.frame_fault = self.frame_fault or RESOLUTION_CHANGED
            height, width = frame.shape[:2]
            fields = {"source": self.name, "width": width, "height": height}
            extra = {"event": "resolution-changed", "fields": fields}
            log.warning("%s now gives frames of %d x %d pixels", self.name, width, height, extra=extra)
        # A server may accept connections and drop them soon. Until one lasts, the pauses go on growing.
        if time.monotonic() - self._opened_at > self._options.most_pause_s:
            self._back_off.reset()
        return frame

    def _open(self) -> None:
        self._slept_before = slept_seconds()
        inner = self._opener(self._interruption)
        self._inner, self._opened_at = inner, time.monotonic()
        self.fps = inner.fps
        self.knows_pose, self.horizontal_fov_deg = inner.knows_pose, inner.horizontal_fov_deg

    def _come_back(self) -> None:
        """Marks a lost or awaited source as connected, because a frame has come."""
        self.connected, self.problem = True, ""
        if self._was_there:
            self.reconnects += 1
            gone = time.monotonic() - self._lost_at
            fields = {"source": self.name, "gone_seconds": round(gone, 3), "reconnects": self.reconnects}
            extra = {"event": "source-back", "fields": fields}
            log.warning("%s is back after %.1f s", self.name, gone, extra=extra)
        self._was_there = True

    def _lose(self, error: SourceError) -> None:
        """Closes the rest of a lost source, and logs the reason."""
        inner, self._inner = self._inner, None
        was_connected, news = self.connected, str(error) != self.problem
        if was_connected:
            self._lost_at = time.monotonic()
        self.connected, self.problem = False, str(error)
        why = self.problem.removeprefix(self.name).strip(" :")
        if inner is not None:
            self._dropped_before += inner.dropped
            inner.close()
        if was_connected:
            extra = {"event": "source-lost", "fields": {"source": self.name, "problem": self.problem}}
            log.warning("lost %s: %s; it is being opened again", self.name, why, extra=extra)
        elif news:
            extra = {"event": "source-absent", "fields": {"source": self.name, "problem": self.problem}}
            log.warning("%s is not there: %s", self.name, why, extra=extra)

    def _seek(self) -> None:
        """Pauses, then opens the source again."""
        pause = self._back_off.next_pause_s() if self.problem else 0.0
        give_up = self._options.give_up_after_s
        if give_up is not None:
            left = self._lost_at + give_up - time.monotonic()
            if left <= 0:
                raise HopelessError(
                    f"{self.name} has been gone for {give_up:g} s, and is given up: {self.problem}"
                )
            pause = min(pause, left)
        self._interruption.sleep(pause)
        self._open()
