"""The sink that records frames and results, so that a run can be repeated."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ...core.errors import OutputError
from ...core.labels import LabelMap
from ...runtime.clock import now
from ...runtime.sinks.base import Output, Sink
from ...runtime.sinks.disk import check_room, sync
from ...runtime.status import Status
from .folder import make_room, new_take, segment_path, segments_of
from .pixels import pack
from .records import FRAME, NEWS, RecordWriter

log = logging.getLogger(__name__)

FORMAT = "edgeseg.recording/1"

_RESERVE_BYTES = 64 << 20
_SYNC_SECONDS = 1.0
_SEGMENTS_PER_BOUND = 8
"""Whole segments are removed to make room, so each must be a small part of the limit."""


class RecordingSink(Sink):
    """Records each frame without loss, its class map, validity and timings, and the variant that ran.

    A recording is a folder of takes, each a folder of segments. Each record is complete in itself, and records are
    synced once a second: a kill loses the frame that was being written, a power cut about a second, and neither loses
    an earlier segment. Takes of earlier runs stay. Any thread can switch recording on and off during the run. If the
    disk is nearly full, recording stops. It can be started again; if it was not, :meth:`close` raises an error.

    Args:
        folder: of the takes.
        labels: the classes.
        head: of the recording, ready for JSON: see :func:`edgeseg.apps.recording.head.head_of_run`.
        segment_seconds: length of a segment.
        most_bytes: of all takes in the folder together; the oldest segments are removed first. None for no limit.
        active: begin at once; otherwise when :meth:`start` is called.

    Attributes:
        active: True while it records.

    Raises:
        OutputError: the folder cannot be written.
    """

    beats = True
    most_failures = 3

    def __init__(
        self,
        folder: Path,
        labels: LabelMap,
        head: Mapping[str, Any],
        segment_seconds: float = 60.0,
        most_bytes: int | None = None,
        active: bool = True,
    ) -> None:
        self.name = f"recording {folder}"
        self.active = False
        self._folder = folder
        self._labels = [{"name": label.name, "rgb": list(label.rgb)} for label in labels.labels]
        self._head = dict(head)
        self._seconds = segment_seconds
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._take = folder
        self._segment = 0
        self._file: RecordWriter | None = None
        self._begun_at = self._synced_at = 0.0
        self._reason: str | None = None
        self._stopped_by: OutputError | None = None
        self._variant: str | None = self._head.get("variant")
        if active:
            self.start()

    @property
    def idle(self) -> bool:
        """True while it does not record."""
        return not self.active

    def start(self) -> str:
        """Begins a take, unless one is being recorded. Any thread may call it.

        Returns:
            The take's folder.

        Raises:
            OutputError: it cannot be begun.
        """
        with self._lock:
            if not self.active:
                self._take = new_take(self._folder)
                self._segment, self._reason, self._stopped_by = 0, None, None
                self.active = True
                self._log("recording-started", "Recording to %s")
            return str(self._take)

    def stop(self) -> str:
        """Ends the take, if one is being recorded. Any thread may call it.

        Returns:
            The take's folder; empty if no frame came.

        Raises:
            OutputError: its end cannot be written. Earlier records stay.
        """
        with self._lock:
            if not self.active:
                return ""
            try:
                return self._stop()
            except OSError as error:
                raise self._failure(error) from error

    def write(self, output: Output) -> None:
        """Records an output; for a beat, the reason that the last result is no longer valid.

        Raises:
            OutputError: the disk is full or fails, and recording has stopped.
        """
        with self._lock:
            if not self.active:
                return
            result = output.result
            facts: dict[str, Any] = {
                "frame_id": result.frame_id,
                "captured_at": result.captured_at,
                "finished_at": output.finished_at,
                "valid": result.valid,
                "reason": result.reason,
            }
            try:
                if not output.beat:
                    facts |= {
                        "name": output.name,
                        "source": output.source,
                        "size_hw": list(result.classes.shape),
                        "timings_ms": dict(result.timings_ms),
                        "variant": self._variant,
                    }
                    self._append(FRAME, facts, pack(output.frame_bgr), pack(result.own_classes))
                elif result.reason != self._reason:
                    self._append(NEWS, facts)
                self._reason = result.reason
            except (OSError, OutputError) as error:
                self._stopped_by = self._failure(error)
                self._give_up()
                raise self._stopped_by from error

    def announce(self, status: Status) -> None:
        """Keeps the name of the variant that runs, which may change."""
        self._variant = status.variant

    def close(self, commit: bool) -> None:
        """Ends the take. It is kept even if the run failed: it shows how the run failed.

        Raises:
            OutputError: its end cannot be written, or recording had stopped after an error. Earlier records stay.
        """
        self.stop()
        if self._stopped_by is not None:
            raise self._stopped_by

    def _append(self, kind: int, facts: Mapping[str, Any], frame: bytes = b"", classes: bytes = b"") -> None:
        at = now()
        if self._file is not None and (at - self._begun_at >= self._seconds or self._is_large(self._file)):
            self._end_segment()
        if self._file is None:
            self._begin_segment(at)
        assert self._file is not None
        self._file.append(kind, facts, frame, classes)
        if at - self._synced_at >= _SYNC_SECONDS:
            self._synced_at = at
            self._file.sync()
            check_room(self._folder, self._folder, "recording stopped", _RESERVE_BYTES)
            if self._most_bytes is not None:
                make_room(self._folder, self._most_bytes, self._file.path)

    def _is_large(self, file: RecordWriter) -> bool:
        return self._most_bytes is not None and file.bytes >= self._most_bytes // _SEGMENTS_PER_BOUND

    def _begin_segment(self, at: float) -> None:
        check_room(self._folder, self._folder, "recording stopped", _RESERVE_BYTES)
        self._segment += 1
        self._begun_at = self._synced_at = at
        head = {
            "format": FORMAT,
            "take": self._take.name,
            "segment": self._segment,
            "begun": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
            "begun_monotonic_s": at,
            "labels": self._labels,
            "run": self._head,
        }
        self._file = RecordWriter(segment_path(self._take, self._segment), head)
        sync(self._take)

    def _end_segment(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.end()
            if self._most_bytes is not None:
                make_room(self._folder, self._most_bytes, file.path)

    def _stop(self) -> str:
        self.active = False
        self._end_segment()
        if not segments_of(self._take):
            self._take.rmdir()
            return ""
        self._log("recording-stopped", "The recording %s is whole")
        return str(self._take)

    def _give_up(self) -> None:
        self.active = False
        file, self._file = self._file, None
        if file is not None:
            try:
                file.end()
            except OSError:
                return  # the disk is full; the file can be read without its end
        if self._take.is_dir() and not segments_of(self._take):
            shutil.rmtree(self._take, ignore_errors=True)

    def _failure(self, error: OSError | OutputError) -> OutputError:
        if isinstance(error, OutputError):
            return error
        return OutputError(
            f"cannot record to {self._folder}: {error.strerror}; what was recorded until now is kept"
        )

    def _log(self, event: str, message: str) -> None:
        log.info(message, self._take, extra={"event": event, "fields": {"take": str(self._take)}})
