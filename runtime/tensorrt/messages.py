"""TensorRT's log: its errors become part of edgeseg's, its warnings are shown once each, the rest is dropped."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

_NOISE = (
    # It is about load time, and an environment variable that edgeseg must not set.
    "CUDA lazy loading is not enabled",
    # There is no GPU, and TensorRT for RTX needs none.
    "Unable to determine GPU memory usage",
)
_MAX_KEPT = 100
"""A runtime that works for days may warn at every frame."""

_PARTICULARS = re.compile(r"'[^']*'|\"[^\"]*\"|/?\b[\w.]+(?:/[\w.]+)+|\b0x[0-9a-f]+\b|\d+")
_SOURCE = re.compile(r"^(?:\[?[\w./]+\.(?:cpp|h|hpp)[^\]:]*(?:::?\w+)*\]?:?\s*(?:\d+:)?\s*)+")


_NO_KERNEL = re.compile(r"Could not find any implementation for node (.+?)\.(?:\)|$| In \w+ at )")
"""The node is a name, or the names of all that were fused, with `` + `` between."""


class Messages:
    """The messages of one build or one runtime.

    Attributes:
        errors: in the order in which they came, one line each.
    """

    def __init__(self) -> None:
        self.errors: list[str] = []
        self._warnings: dict[str, list[str]] = {}  # by their common text, each different line once

    def add_error(self, text: str) -> None:
        """Adds an error; a repeated one is kept once."""
        line = _one_line(text)
        if line and line not in self.errors:
            self.errors.append(line)
            del self.errors[:-_MAX_KEPT]

    def add_warning(self, text: str) -> None:
        """Adds a warning, unless it is known to be useless."""
        line = _one_line(text)
        if not line or line.startswith(_NOISE):
            return
        pattern = _PARTICULARS.sub("…", line)
        if pattern in self._warnings or len(self._warnings) < _MAX_KEPT:
            alike = self._warnings.setdefault(pattern, [])
            if line not in alike and len(alike) <= _MAX_KEPT:
                alike.append(line)

    def warnings(self) -> list[str]:
        """Each warning once; of those that differ only in names and numbers, the first and a count."""
        lines = []
        for alike in self._warnings.values():
            more = f"{_MAX_KEPT} or more" if len(alike) > _MAX_KEPT else str(len(alike) - 1)
            lines.append(alike[0] + (f" (and {more} like it)" if len(alike) > 1 else ""))
        return lines

    def cause(self, otherwise: str) -> str:
        """The last errors on one line, for a message; ``otherwise`` if there are none."""
        return "; ".join(self.errors[-3:]) or otherwise

    def node_without_kernel(self) -> str:
        """TensorRT's name of the node for which a build found no kernel; empty if TensorRT gave none."""
        found = [match[1] for line in self.errors if (match := _NO_KERNEL.search(line))]
        return found[-1] if found else ""


def make_logger(trt: Any, messages: Messages) -> Any:
    """Returns TensorRT's logger, which prints nothing, and adds to these messages from now on.

    A process has only one: while any object of TensorRT lives, it ignores each further logger. So all living messages
    get all that is logged, also that of another build or runtime at the same time.
    """
    with _lock:
        if id(trt) not in _shared:
            listeners: WeakSet[Messages] = WeakSet()
            _shared[id(trt)] = _Shared(trt, _new_logger(trt, listeners), listeners)
        shared = _shared[id(trt)]
        shared.listeners.add(messages)
    return shared.logger


@dataclass(frozen=True)
class _Shared:
    module: Any  # kept, so that no other module gets its id
    logger: Any
    listeners: WeakSet[Messages]


_lock = threading.Lock()
_shared: dict[int, _Shared] = {}


def _new_logger(trt: Any, listeners: WeakSet[Messages]) -> Any:
    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, msg: str) -> None:
            is_error = severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR)
            if is_error or severity == trt.ILogger.WARNING:
                with _lock:
                    for messages in listeners:
                        messages.add_error(msg) if is_error else messages.add_warning(msg)

    return Logger()


def _one_line(text: str) -> str:
    """A message on one line, without the place in TensorRT's own source."""
    return " ".join(_SOURCE.sub("", text).split())
