"""A run as a trace in Chrome's format, for https://ui.perfetto.dev and chrome://tracing.

One track a thread, one slice for what a thread did with a frame, arrows that follow a frame from track to track,
and counters of what waits and what was dropped. Events go to a file as they come, so that memory stays bounded.

The format: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ...core.errors import OutputError
from ...core.outputs import discard, prepare_output
from ..clock import now
from ..forks import Owned, is_left_alone, stays_with_this_process

MOST_BYTES = 256 << 20
"""Viewers load no more than a few hundred megabytes; later events of a long run are left out, and that is told."""


class FrameKey(NamedTuple):
    """Which frame: of which source, from 1, or 0 where there is but one; and its number there, from 0."""

    source: int
    frame: int


class Trace:
    """Writes a trace, which appears under its name once it is whole. Any thread may add to it.

    All times are ``edgeseg.now()`` in seconds.

    Args:
        path: of the JSON file.
        force: whether it may replace a file.

    Attributes:
        path: as given.
        cut: whether events were left out because the file had grown too large.

    Raises:
        OutputError: the file exists, or cannot be written.
    """

    def __init__(self, path: Path, force: bool = False) -> None:
        self.path = path
        self.cut = False
        self._partial = prepare_output(path, force)
        self._lock = threading.Lock()
        self._tracks = 0
        self._bytes = 0
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
        """Adds a track, below those of a smaller ``order``."""
        with self._lock:
            self._tracks += 1
            number = self._tracks
        for kind, args in (("thread_name", {"name": name}), ("thread_sort_index", {"sort_index": order})):
            self._add(f'"ph":"M","tid":{number},"name":"{kind}","args":{json.dumps(args)}')
        return Track(self, number)

    def counter(self, name: str, values: Mapping[str, int]) -> None:
        """Adds the present values of a counter."""
        self._add(f'"ph":"C","ts":{self._us(now())},"name":{json.dumps(name)},"args":{json.dumps(values)}')

    def close(self) -> None:
        """Ends the file and gives it its name. Closing twice is harmless.

        Raises:
            OutputError: not all of it could be written. Nothing of it stays.
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
            self.cut = self._bytes + len(event) > MOST_BYTES
            if self.cut:
                return
            self._bytes += len(event)
            try:
                self._file.write(event)
            except OSError as error:  # raised by close(): a full disk ends the trace and not the run
                self._failure = error


class Track:
    """One thread's row of a trace; made by :meth:`Trace.track`."""

    def __init__(self, trace: Trace, number: int) -> None:
        self.trace = trace
        self._number = number

    def slice(self, name: str, start: float, end: float, frames: Sequence[FrameKey]) -> None:
        """Adds what was done with some frames from ``start`` to ``end``."""
        args: dict[str, Any] = {"source": frames[0].source, "frame": frames[0].frame} if frames else {}
        if len(frames) > 1:
            args = {"frames": [f"{key.source}:{key.frame}" for key in frames]}
        self.trace._add(
            f'"ph":"X","tid":{self._number},"name":{json.dumps(name)},"ts":{self.trace._us(start)},'
            f'"dur":{(end - start) * 1e6:.1f},"args":{json.dumps(args)}'
        )

    def arrow(self, step: str, at: float, key: FrameKey) -> None:
        """Adds a frame's arrow to the slice that there is ``at`` a time.

        Args:
            step: ``s`` where it starts, ``t`` where it goes on, ``f`` where it ends.
            at: inside the slice.
            key: which frame.
        """
        self.trace._add(
            f'"ph":"{step}","bp":"e","tid":{self._number},"cat":"frame","name":"frame",'
            f'"id":"{key.source}:{key.frame}","ts":{self.trace._us(at)}'
        )
