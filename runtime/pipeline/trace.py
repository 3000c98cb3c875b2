"""The measurement of a run's threads: the busy time of each stage, and a trace in Chrome's format.

https://ui.perfetto.dev and chrome://tracing show the trace. Each thread has one track, and each step of a frame is one
slice. Arrows follow a frame from track to track. Counters show the waiting and the dropped frames. Events go to a file
as they occur, so that memory stays bounded.

The format: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Any, NamedTuple

from ...core.errors import OutputError
from ...core.outputs import discard, prepare_output
from ..clock import now
from ..forks import Owned, is_left_alone, stays_with_this_process

MOST_BYTES = 256 << 20
"""Viewers load no more than a few hundred megabytes. Later events of a long run are left out; ``cut`` shows it."""


class FrameKey(NamedTuple):
    """A frame's key: the source's number, from 1, or 0 if there is only one; and the frame's number in it, from 0."""

    source: int
    frame: int


class Trace:
    """Writes a trace. The file gets its name once it is whole. Any thread may add to it.

    All times are ``edgeseg.now()`` in seconds.

    Args:
        path: the path of the JSON file.
        force: True to replace an existing file.
        most_bytes: size of the file after which events are left out.

    Attributes:
        path: as given.
        cut: True if events were left out because the file became too large.

    Raises:
        OutputError: the file exists and ``force`` is False, or it cannot be written.
    """

    def __init__(self, path: Path, force: bool = False, most_bytes: int = MOST_BYTES) -> None:
        self.path = path
        self.cut = False
        self._partial = prepare_output(path, force)
        self._lock = threading.Lock()
        self._tracks = 0
        self._bytes, self._most_bytes = 0, most_bytes
        self._failure: OSError | None = None
        self._start = now()
        try:
            self._file = self._partial.open("w", encoding="ascii")
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror}") from error
        stays_with_this_process(self, Owned(f"the trace {path}", OutputError, ignores=()))
        self._file.write('{"displayTimeUnit":"ms","traceEvents":[\n')
        self._file.write('{"ph":"M","pid":1,"name":"process_name","args":{"name":"edgeseg"}}')

    def track(self, name: str, order: int) -> Track:
        """Adds a track, below the tracks with a smaller ``order``."""
        with self._lock:
            self._tracks += 1
            number = self._tracks
        for kind, args in (("thread_name", {"name": name}), ("thread_sort_index", {"sort_index": order})):
            self._add(f'"ph":"M","tid":{number},"name":"{kind}","args":{json.dumps(args)}')
        return Track(self, number)

    def counter(self, name: str, values: Mapping[str, int]) -> None:
        """Adds the current values of a counter."""
        self._add(f'"ph":"C","ts":{self._us(now())},"name":{json.dumps(name)},"args":{json.dumps(values)}')

    def close(self) -> None:
        """Ends the file and gives it its name. It may be called more than once.

        Raises:
            OutputError: the file could not be written in full. Nothing of it is kept.
        """
        if is_left_alone(self):
            return
        with self._lock:
            if self._file.closed:
                return
            try:
                self._file.write(f'\n],"otherData":{json.dumps({"cut": self.cut})}}}\n')
                self._file.close()
                if self._failure is None:
                    os.replace(self._partial, self.path)
            except OSError as error:
                self._failure = self._failure or error
            finally:
                discard(self._partial)
        if self._failure is not None:
            raise OutputError(
                f"cannot write {self.path}: {self._failure.strerror}; nothing was kept"
            ) from self._failure

    def _us(self, at: float) -> str:
        return f"{(at - self._start) * 1e6:.1f}"

    def _add(self, fields: str) -> None:
        event = f',\n{{"pid":1,{fields}}}'
        with self._lock:
            if self._file.closed or self._failure is not None or self.cut:
                return
            self.cut = self._bytes + len(event) > self._most_bytes
            if self.cut:
                return
            self._bytes += len(event)
            try:
                self._file.write(event)
            except OSError as error:  # close() raises it: a full disk ends the trace but not the run
                self._failure = error


class Track:
    """One thread's row of a trace. :meth:`Trace.track` makes it."""

    def __init__(self, trace: Trace, number: int) -> None:
        self.trace = trace
        self._number = number

    def slice(self, name: str, start: float, end: float, frames: Sequence[FrameKey]) -> None:
        """Adds a slice: work on some frames from ``start`` to ``end``."""
        args: dict[str, Any] = {"source": frames[0].source, "frame": frames[0].frame} if frames else {}
        if len(frames) > 1:
            args = {"frames": [f"{key.source}:{key.frame}" for key in frames]}
        self.trace._add(
            f'"ph":"X","tid":{self._number},"name":{json.dumps(name)},"ts":{self.trace._us(start)},'
            f'"dur":{(end - start) * 1e6:.1f},"args":{json.dumps(args)}'
        )

    def arrow(self, step: str, at: float, key: FrameKey) -> None:
        """Adds a step of a frame's arrow to the slice at a time.

        Args:
            step: ``s`` to start the arrow, ``t`` to continue it, ``f`` to end it.
            at: a time inside the slice.
            key: the frame.
        """
        self.trace._add(
            f'"ph":"{step}","bp":"e","tid":{self._number},"cat":"frame","name":"frame",'
            f'"id":"{key.source}:{key.frame}","ts":{self.trace._us(at)}'
        )


class Order(IntEnum):
    """The kinds of stages, in the order that a frame passes them."""

    CAPTURE = 1
    PREPROCESS = 2
    INFERENCE = 3
    DECODE = 4
    SINK = 5


class Stage:
    """Measures one thread's work on frames. Only that thread calls it; any thread may read the results.

    Args:
        name: the name to show: ``inference``, or a sink's name.
        order: the stage's kind, and its place on a frame's way.
        trace: the trace to add to, if there is one.
    """

    def __init__(self, name: str, order: Order, trace: Trace | None = None) -> None:
        self.name = name
        self._busy_seconds = self._before_mark = 0.0
        self._track = trace.track(name, order) if trace is not None else None

    @property
    def busy_seconds(self) -> float:
        """Seconds of work since :meth:`mark`, without waiting."""
        return self._busy_seconds - self._before_mark

    def mark(self) -> None:
        """Starts the count again from now. Any thread may call it."""
        self._before_mark = self._busy_seconds

    def done(self, start: float, frames: Sequence[FrameKey], step: str = "") -> float:
        """Records work on frames from ``start`` until now.

        Args:
            start: ``edgeseg.now()`` in seconds.
            frames: the keys of the frames.
            step: the step of their arrows, as in :meth:`Track.arrow`; no arrows if empty.

        Returns:
            The time now, ``edgeseg.now()`` in seconds.
        """
        end = now()
        self._busy_seconds += end - start
        if self._track is not None:
            self._track.slice(self.name, start, end, frames)
            if step:
                for key in frames:
                    self._track.arrow(step, (start + end) / 2, key)
        return end

    def start_arrow(self, start: float, end: float, key: FrameKey) -> None:
        """Starts a frame's arrow in a slice that exists already. Any thread may call it."""
        if self._track is not None:
            self._track.arrow("s", (start + end) / 2, key)
