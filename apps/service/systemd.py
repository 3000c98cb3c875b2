"""Reports the run's state to systemd, by the protocol of ``sd_notify(3)``: datagrams to the socket it names.

Without ``NOTIFY_SOCKET`` in the environment nothing is sent. An error here is logged once and never reaches the
run: a drone must not land because its service manager does not listen.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType

log = logging.getLogger(__name__)

_MOST_STATUS_BYTES = 1024


class Notifier:
    """Sends readiness, status and the watchdog signal. Any thread may call it; no call blocks or raises.

    Args:
        environ: holds ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` and ``WATCHDOG_PID``.
        clock: gives seconds.

    Attributes:
        watchdog_seconds: systemd's timeout for the watchdog signal; None if it does not watch this process.
    """

    def __init__(
        self, environ: Mapping[str, str] = os.environ, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._has_warned = False
        self._signalled_at: float | None = None
        self._status = ""
        self._socket = self._connect(environ.get("NOTIFY_SOCKET", ""))
        self.watchdog_seconds = None if self._socket is None else self._watchdog(environ)

    @property
    def listening(self) -> bool:
        """True if there is a socket to send to."""
        return self._socket is not None

    def ready(self, status_text: str = "") -> None:
        """Reports that the network has warmed up and the run has begun."""
        self._status = _one_line(status_text)
        self._send("READY=1", f"STATUS={self._status}")

    def status(self, text: str) -> None:
        """Sends one line for ``systemctl status``, unless it is the same as before."""
        text = _one_line(text)
        if text != self._status:
            self._status = text
            self._send(f"STATUS={text}")

    def stopping(self) -> None:
        """Reports that the run has begun to end."""
        self._send("STOPPING=1", "STATUS=stopping")

    def extend_timeout(self, seconds: float) -> None:
        """Extends the timeout: the current work, such as building an engine, may take so long from this moment."""
        self._send(f"EXTEND_TIMEOUT_USEC={max(1, round(seconds * 1e6))}")

    def progress(self) -> None:
        """Sends the watchdog signal, at most once in half of its timeout. The loop calls it on each progress."""
        if self.watchdog_seconds is None:
            return
        now = self._clock()
        with self._lock:
            if self._signalled_at is not None and now - self._signalled_at < self.watchdog_seconds / 2:
                return
            self._signalled_at = now
        self._send("WATCHDOG=1")

    def close(self) -> None:
        """Closes the socket. Closing twice is harmless, and later calls send nothing."""
        with self._lock:
            socket_, self._socket = self._socket, None
        if socket_ is not None:
            socket_.close()

    def __enter__(self) -> Notifier:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _connect(self, address: str) -> socket.socket | None:
        if not address:
            return None
        if address[0] not in "/@" or len(address) < 2:
            self._warn_once(
                f"NOTIFY_SOCKET is {address!r}; expected a path or an abstract name that starts with @"
            )
            return None
        try:
            end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        except OSError as error:
            self._warn_once(f"cannot send messages to systemd: {error.strerror or error}")
            return None
        try:
            # Connected once: it then does not matter if the path is replaced, or differs in another mount.
            end.connect("\0" + address[1:] if address[0] == "@" else address)
        except OSError as error:
            end.close()
            self._warn_once(
                f"cannot send messages to systemd: NOTIFY_SOCKET {address}: {error.strerror or error}"
            )
            return None
        return end

    def _watchdog(self, environ: Mapping[str, str]) -> float | None:
        text = environ.get("WATCHDOG_USEC", "")
        if not text:
            return None
        # The variables are inherited, and systemd does not watch a child of the process.
        if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
            return None
        if not (text.isascii() and text.isdigit() and int(text) > 0):
            self._warn_once(f"WATCHDOG_USEC is {text!r}; expected a number of microseconds: no watchdog")
            return None
        return int(text) / 1e6

    def _send(self, *lines: str) -> None:
        with self._lock:
            if self._socket is None:
                return
            try:
                self._socket.send("\n".join(lines).encode(), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
            except OSError as error:
                failure = error.strerror or str(error)
            else:
                return
        self._warn_once(f"systemd does not accept messages: {failure}")

    def _warn_once(self, message: str) -> None:
        if not self._has_warned:
            self._has_warned = True
            log.warning("%s", message, extra={"event": "notify-failed", "fields": {}})


def _one_line(text: str) -> str:
    """Joins a text to one line of bounded length: a newline would begin an assignment, and systemd drops long text."""
    line = " ".join(text.split())
    return line.encode()[:_MOST_STATUS_BYTES].decode(errors="ignore")
