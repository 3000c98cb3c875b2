"""The targets of events: standard output, a file, a named pipe, or datagrams."""

from __future__ import annotations

import errno
import logging
import os
import re
import select
import socket
import stat
import time
from abc import ABC, abstractmethod
from pathlib import Path
from urllib.parse import urlsplit

from ...core.errors import OutputError, OutputGoneError, UsageError
from ...core.outputs import check_output
from ...core.standard_streams import standard_output_is_closed

log = logging.getLogger(__name__)

STANDARD_OUTPUT = "-"
MOST_DATAGRAM_BYTES = 1400
"""Fits one Ethernet frame with room for tunnels, so that no event depends on two packets."""

_PIECE_BYTES = 512
"""POSIX's least PIPE_BUF: a pipe that is ready accepts so many bytes at once."""
_PATIENCE_SECONDS = 0.5
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NEARLY_A_URL = re.compile(r"[Uu][Dd][Pp]:/?(?!/)(\[[0-9A-Fa-f:.]+\]|[^\s:/@\[\]]+):(\d{1,5})")


class EventTarget(ABC):
    """A target that accepts lines.

    Attributes:
        name: for display; without credentials.
        most_bytes: of a line; None for no limit.
    """

    name: str
    most_bytes: int | None = None

    @abstractmethod
    def send(self, line: bytes) -> None:
        """Writes one line, which includes its newline.

        Raises:
            OutputError: it cannot be written.
        """

    def refresh(self) -> None:
        """Checks the target. It is called from time to time."""
        return

    @abstractmethod
    def close(self) -> None:
        """Releases the target."""


def check_target(text: str) -> None:
    """Checks the form of the value of ``--events``; opens nothing.

    Raises:
        UsageError: it is none of the forms of :func:`open_target`.
    """
    if "://" in text:
        _address(text)
        return
    nearly = _NEARLY_A_URL.fullmatch(text)
    if nearly is not None:
        raise UsageError(f"--events {text}: did you mean udp://{nearly[1]}:{nearly[2]}")
    if not text:
        raise UsageError("--events is empty: expected -, a file, or udp://HOST:PORT")


def open_target(text: str) -> EventTarget:
    """Opens the target that ``--events`` names: ``-``, a file's name, or ``udp://HOST:PORT``.

    Raises:
        UsageError: it is none of these.
        OutputError: it cannot be written to.
    """
    check_target(text)
    if "://" in text:
        return Datagrams(*_address(text))
    try:
        if text == STANDARD_OUTPUT:
            if standard_output_is_closed():
                raise OutputError("events cannot go to standard output, which is closed; give them a file")
            return Pipe(os.dup(1), "standard output")
        check_output(Path(text), stream=True)
        if Path(text).is_fifo():
            # For reading too, so that opening does not wait for a reader.
            return Pipe(os.open(text, os.O_RDWR | os.O_CLOEXEC), text)
    except OSError as error:
        raise OutputError(f"cannot write events to {text}: {error.strerror}") from error
    return AppendedFile(Path(text))


class Pipe(EventTarget):
    """Standard output, or a named pipe. Its reader may have stopped reading.

    Args:
        number: of the open file, which is closed with the target.
        name: for display.
    """

    def __init__(self, number: int, name: str) -> None:
        self.name = name
        self._number = number
        self._within_line = False

    def send(self, line: bytes) -> None:
        """Writes a line in pieces that a pipe accepts at once, so that the wait is bounded."""
        rest = memoryview(line)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        poll = select.poll()
        poll.register(self._number, select.POLLOUT)
        while rest:
            ready = poll.poll(max(0, round((deadline - time.monotonic()) * 1e3)))
            if not ready:
                self._within_line |= len(rest) < len(line)
                raise OutputError(f"nobody has read events from {self.name} for {_PATIENCE_SECONDS:g} s")
            try:
                if self._within_line:
                    os.write(self._number, b"\n")  # the line before was cut
                    self._within_line = False
                rest = rest[os.write(self._number, rest[:_PIECE_BYTES]) :]
            except BrokenPipeError as error:
                raise OutputGoneError(f"the reader of the events from {self.name} has gone") from error
            except OSError as error:
                raise _failure(self.name, error) from error

    def close(self) -> None:
        """Closes the target's descriptor. Standard output itself stays open."""
        os.close(self._number)


class AppendedFile(EventTarget):
    """A file that lines are appended to, so that neither a restart nor several sources truncate it.

    Each line is written at once. If another program has moved the file away, as log rotation does, a new file is
    begun. An incomplete line of a killed run is ended first.
    """

    def __init__(self, path: Path) -> None:
        check_output(path, stream=True)
        self.name = str(path)
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._number = self._open()
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror}") from error

    def send(self, line: bytes) -> None:
        """Appends a line."""
        try:
            written = os.write(self._number, line)
            if written < len(line):
                os.write(self._number, line[written:])  # raises the reason why the rest does not fit
                raise OSError(errno.EIO, "the line was cut")
        except OSError as error:
            raise _failure(self.name, error) from error

    def refresh(self) -> None:
        """Begins a new file if the old one was moved away or removed."""
        try:
            mine, there = os.fstat(self._number), self._path.stat() if self._path.exists() else None
            if there is None or (mine.st_dev, mine.st_ino) != (there.st_dev, there.st_ino):
                number = self._open()
                os.close(self._number)
                self._number = number
        except OSError as error:
            raise _failure(self.name, error) from error

    def close(self) -> None:
        """Closes the file."""
        os.close(self._number)

    def _open(self) -> int:
        number = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY, 0o644)
        size = os.fstat(number).st_size
        if size and stat.S_ISREG(os.fstat(number).st_mode) and os.pread(number, 1, size - 1) != b"\n":
            os.write(number, b"\n")
        return number


class Datagrams(EventTarget):
    """UDP, one event a datagram. It never waits: a datagram that the network does not accept is lost and counted.

    Attributes:
        lost: number of datagrams that the network did not accept.
    """

    most_bytes = MOST_DATAGRAM_BYTES

    def __init__(self, host: str, port: int) -> None:
        self.name = f"udp://{f'[{host}]' if ':' in host else host}:{port}"
        self.lost = 0
        self._failing = False
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
            self._socket = socket.socket(family, kind, protocol)
            self._socket.setblocking(False)
        except OSError as error:
            raise OutputError(f"events cannot go to {self.name}: {error.strerror}") from error
        self._address = address

    def send(self, line: bytes) -> None:
        """Sends a line, or loses it. When a vehicle's network fails for a time, events continue once it is back."""
        try:
            self._socket.sendto(line, self._address)
        except OSError as error:
            self.lost += 1
            if not self._failing:
                self._failing = True
                log.warning(
                    "Events to %s are lost: %s",
                    self.name,
                    error.strerror,
                    extra={"event": "events-lost", "fields": {"target": self.name}},
                )
            return
        if self._failing:
            self._failing = False
            log.info(
                "Events go to %s again; %d were lost",
                self.name,
                self.lost,
                extra={"event": "events-back", "fields": {"target": self.name, "lost": self.lost}},
            )

    def close(self) -> None:
        """Closes the socket."""
        self._socket.close()


def _failure(name: str, error: OSError) -> OutputError:
    kind = OutputGoneError if error.errno in _FULL else OutputError
    return kind(f"cannot write events to {name}: {error.strerror}")


def _address(text: str) -> tuple[str, int]:
    """The host and port of ``udp://HOST:PORT``. An error's message never contains a user or password."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = None, None, None
    plain = parts is not None and not (
        parts.username or parts.password or parts.path or parts.query or parts.fragment
    )
    if parts is None or parts.scheme != "udp" or not host or not port or not plain:
        scheme = text.split("://", 1)[0]
        raise UsageError(
            f"--events {scheme}://…: expected -, a file, or udp://HOST:PORT and no more, such as udp://127.0.0.1:5005"
        )
    return host, port
