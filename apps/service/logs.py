"""The output of the log: plain lines to read, or one JSON object a line; rate-limited, without secrets.

Every module logs through :mod:`logging` and does not use this one. A separate thread writes: if the reader of
stderr has stopped, it blocks the log and never the run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone

from ...core.callbacks import OnMessage
from ...core.printable import printable, printable_lines
from ...runtime.clock import now
from .rate_limit import RateLimit
from .redaction import redact, redact_users, redact_value

log = logging.getLogger(__name__)

LEVELS = ("debug", "info", "warning", "error")
_MOST_WAITING = 1000
_MOST_CHARACTERS = 8192
_END_SECONDS = 0.5


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds ``--log-json`` and ``--log-level``."""
    parser.add_argument(
        "--log-json",
        action="store_true",
        help="log on stderr as JSON, one object a line",
    )
    parser.add_argument(
        "--log-level",
        choices=LEVELS,
        default="info",
        help="the lowest level that is logged; default: %(default)s",
    )


@contextmanager
def configure_logging(
    json: bool, on_message: OnMessage, level: str = "info", limit: RateLimit | None = None
) -> Iterator[OnMessage]:
    """Handles all log records while the block runs, with warnings and errors that end a thread.

    The handler is at the root, so that records of libraries, from warnings up, get the same form.

    Args:
        json: one JSON object a line on stderr, else plain lines through ``on_message``.
        on_message: prints a line.
        level: one of :data:`LEVELS`, for edgeseg's own records.
        limit: on records of one kind.

    Yields:
        A function that prints lines that are not log records, in the same form and in order with the records.
    """
    writer = _Writer(_write_stderr, _lost_as_json) if json else _Writer(on_message, _lost_as_text)
    handler = _Handler(json, writer, limit or RateLimit())
    root, ours = logging.getLogger(), logging.getLogger("edgeseg")
    before, before_hook = ours.level, threading.excepthook
    ours.setLevel(level.upper())
    root.addHandler(handler)
    logging.captureWarnings(True)
    threading.excepthook = _log_thread_death
    try:
        yield handler.write_line
    finally:
        threading.excepthook = before_hook
        logging.captureWarnings(False)
        for kind, count in handler.limit.remains().items():
            handler.tell_held_back(kind, count)
        root.removeHandler(handler)
        ours.setLevel(before)
        handler.close()
        writer.close()


def json_line(level: str, logger: str, event: str, message: str, fields: object = None) -> str:
    """One line of the JSON log, without its newline.

    Args:
        level: ``debug`` to ``critical``.
        logger: name of the logger.
        event: a fixed word for machines; empty if there is none.
        message: for display.
        fields: the event's data, by name.
    """
    return _as_json(time.time(), level, logger, event, message, fields)


def _as_json(at: float, level: str, logger: str, event: str, message: str, fields: object) -> str:
    moment = datetime.fromtimestamp(at, timezone.utc).isoformat(timespec="milliseconds")
    line = {
        "time": moment.replace("+00:00", "Z"),
        "monotonic": round(now(), 6),
        "level": level,
        "logger": logger,
        "event": event,
        "message": redact(message),
        "fields": redact_value(fields or {}),
    }
    return json.dumps(line)


class _Handler(logging.Handler):
    """Limits, redacts and formats a record, in the thread that logs it; another thread writes it."""

    def __init__(self, as_json: bool, writer: _Writer, limit: RateLimit) -> None:
        super().__init__()
        self.as_json = as_json
        self.writer = writer
        self.limit = limit

    def emit(self, record: logging.LogRecord) -> None:
        suppressed = self.limit.admit(record)
        if suppressed is None:
            return
        try:
            self.writer.put(self._formed(record, suppressed))
        except Exception:
            # The arguments do not fit the text: the logging module shows the line that logged it.
            self.handleError(record)

    def write_line(self, text: str) -> None:
        """Writes a line that is not a log record."""
        # People see the preview's address once, with its token; a log that is kept must not have the token.
        self.writer.put(
            json_line("info", "edgeseg", "", text) if self.as_json else printable(redact_users(text))
        )

    def tell_held_back(self, kind: str, count: int) -> None:
        """Writes the number of suppressed records of a kind."""
        message = f"held back {count} more log lines of one kind: {kind}"
        if self.as_json:
            message = json_line(
                "info", __name__, "log-suppressed", message, {"kind": kind, "suppressed": count}
            )
        self.writer.put(message if self.as_json else printable(message))

    def _formed(self, record: logging.LogRecord, suppressed: int) -> str:
        message, trace = record.getMessage(), ""
        if len(message) > _MOST_CHARACTERS:
            message = message[:_MOST_CHARACTERS] + "…"
        if record.exc_info:
            trace = logging.Formatter().formatException(record.exc_info)
        if self.as_json:
            fields = dict(getattr(record, "fields", None) or {})
            if trace:
                fields["traceback"] = trace
            if suppressed:
                fields["suppressed"] = suppressed
            event = str(getattr(record, "event", ""))
            return _as_json(record.created, record.levelname.lower(), record.name, event, message, fields)
        # Text of a camera or server must not move the reader's cursor or begin a line.
        text = printable(redact(message))
        if suppressed:
            text += f" (and {suppressed} more like it, held back)"
        return f"{text}\n{printable_lines(redact(trace))}" if trace else text


class _Writer:
    """Writes lines in a thread, and counts those that did not fit its queue."""

    def __init__(self, write: OnMessage, lost_line: Callable[[int], str]) -> None:
        self._write = write
        self._lost_line = lost_line
        self._lines: queue.Queue[str | None] = queue.Queue(_MOST_WAITING)
        self._lost = 0
        self._thread = threading.Thread(target=self._run, name="edgeseg-log", daemon=True)
        self._thread.start()

    def put(self, line: str) -> None:
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._lost += 1

    def close(self) -> None:
        """Writes the waiting lines, as long as a reader accepts them."""
        with contextlib.suppress(queue.Full):
            self._lines.put(None, timeout=_END_SECONDS)
        self._thread.join(_END_SECONDS)

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            self._try(line)
            if self._lost and self._lines.empty():
                self._tell_lost()
        if self._lost:
            self._tell_lost()

    def _tell_lost(self) -> None:
        lost, self._lost = self._lost, 0
        self._try(self._lost_line(lost))

    def _try(self, line: str) -> None:
        # There is no other place to report this, and the run must not end because of its log.
        with contextlib.suppress(OSError, ValueError):
            self._write(line)


def _lost_as_text(count: int) -> str:
    return f"{count} log lines were lost: nobody read them in time"


def _lost_as_json(count: int) -> str:
    return json_line("warning", __name__, "log-lost", _lost_as_text(count), {"lost": count})


def _write_stderr(line: str) -> None:
    try:
        descriptor = sys.stderr.fileno()
    except (OSError, ValueError, AttributeError):
        sys.stderr.write(line + "\n")
        return
    # Bypasses Python's buffer: a blocked write would hold its lock while the interpreter ends.
    data = (line + "\n").encode()
    while data:
        data = data[os.write(descriptor, data) :]


def _log_thread_death(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is SystemExit:
        return
    name = args.thread.name if args.thread is not None else "unknown"
    error = args.exc_value if args.exc_value is not None else args.exc_type()
    log.critical(
        "the thread %s ended by an error nobody expected: %r",
        name,
        error,
        exc_info=(args.exc_type, error, args.exc_traceback),
        extra={"event": "thread-died", "fields": {"thread": name}},
    )
