"""What TensorRT says: its errors for our own, its warnings once each, the rest for nobody."""

from __future__ import annotations

import re
from typing import Any

_NOISE = (
    # About the time it takes to load, and an environment variable that is not ours to set.
    "CUDA lazy loading is not enabled",
    # There is no GPU, which TensorRT for RTX does without.
    "Unable to determine GPU memory usage",
)
_PARTICULARS = re.compile(r"'[^']*'|\"[^\"]*\"|/?\b[\w.]+(?:/[\w.]+)+|\b0x[0-9a-f]+\b|\d+")
_SOURCE = re.compile(r"^(?:\[?[\w./]+\.(?:cpp|h|hpp)[^\]:]*(?:::?\w+)*\]?:?\s*(?:\d+:)?\s*)+")


class Messages:
    """What was logged in one build or by one runtime.

    Attributes:
        errors: in the order in which they came, one line each.
    """

    def __init__(self) -> None:
        self.errors: list[str] = []
        self._warnings: dict[str, list[str]] = {}

    def add_error(self, text: str) -> None:
        """Takes an error; a repeated one is kept once."""
        line = _one_line(text)
        if line and line not in self.errors:
            self.errors.append(line)

    def add_warning(self, text: str) -> None:
        """Takes a warning, unless it is known to say nothing."""
        line = _one_line(text)
        if line and not line.startswith(_NOISE):
            self._warnings.setdefault(_PARTICULARS.sub("…", line), []).append(line)

    def warnings(self) -> list[str]:
        """Each warning once; those that differ only in names and numbers stand as the first and a count."""
        lines = []
        for alike in self._warnings.values():
            more = len(set(alike)) - 1
            lines.append(alike[0] + (f" (and {more} more like it)" if more else ""))
        return lines

    def cause(self, otherwise: str) -> str:
        """The last errors on one line, for a message; ``otherwise`` where there are none."""
        return "; ".join(self.errors[-3:]) or otherwise


def make_logger(trt: Any, messages: Messages) -> Any:
    """A TensorRT logger that collects and prints nothing."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, msg: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                messages.add_error(msg)
            elif severity == trt.ILogger.WARNING:
                messages.add_warning(msg)

    return Logger()


def _one_line(text: str) -> str:
    """A message on one line, without the place in TensorRT's own source."""
    return " ".join(_SOURCE.sub("", text).split())
