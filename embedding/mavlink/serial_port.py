"""The serial transport: a port that may be unplugged and come back."""

from __future__ import annotations

import errno
import fcntl
import os
import termios
import time
from typing import Any

from ...core.errors import OutputError
from .address import LinkAddress, speed_of
from .transport import Transport

_MOST_BYTES = 4096
_MOST_WAITING_BYTES = 2048
"""Bytes that wait for the port; a packet that does not fit is lost whole. At 57600 baud these are 0.4 s."""
_AGAIN_SECONDS = 1.0


class SerialTransport(Transport):
    """A serial port of 8 data bits without parity or handshake. It is opened again once a second where it is lost.

    Raises:
        OutputError: there is no such device, it is no serial port, or another program has it.
    """

    def __init__(self, address: LinkAddress) -> None:
        self.name = address.name
        self._address = address
        self._waiting = bytearray()
        self._again_at = 0.0
        try:
            self._number: int | None = _open(address)
        except OSError as error:
            raise OutputError(f"--mavlink {self.name}: {_why(error, address)}") from error

    def fileno(self) -> int | None:
        """Returns the port's descriptor; None while it is unplugged."""
        return self._number

    def receive(self) -> tuple[bytes, Any] | None:
        """Returns the bytes that have arrived."""
        if self._number is None:
            return None
        try:
            data = os.read(self._number, _MOST_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            self._drop()
            raise
        if not data:
            self._drop()
            raise OSError(errno.ENODEV, "the device has gone")
        return data, None

    def discard(self) -> None:
        """Drops the bytes that have queued up."""
        if self._number is None:
            return
        try:
            termios.tcflush(self._number, termios.TCIFLUSH)
        except termios.error as error:
            self._drop()
            raise OSError(*error.args) from error

    def send(self, packet: bytes) -> bool:
        """Sends a packet, or keeps what the port does not take at once."""
        self.maintain()
        if self._number is None or len(self._waiting) + len(packet) > _MOST_WAITING_BYTES:
            return False
        self._waiting += packet
        self._flush()
        return True

    def maintain(self) -> None:
        """Writes what waits, and opens the port again if it is time."""
        if self._number is None:
            if time.monotonic() < self._again_at:
                return
            self._again_at = time.monotonic() + _AGAIN_SECONDS
            self._number = _open(self._address)
        self._flush()

    def _flush(self) -> None:
        if self._number is None or not self._waiting:
            return
        try:
            del self._waiting[: os.write(self._number, self._waiting)]
        except BlockingIOError:
            return
        except OSError:
            self._drop()
            raise

    def _drop(self) -> None:
        """Closes a port that fails, to open it again later."""
        self.close()
        self._again_at = time.monotonic() + _AGAIN_SECONDS

    def close(self) -> None:
        """Closes the port."""
        self._waiting.clear()
        if self._number is not None:
            os.close(self._number)
            self._number = None


def _open(address: LinkAddress) -> int:
    """Opens and sets up a port. Raises OSError."""
    number = os.open(address.device, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        speed = speed_of(address.baud)
        characters = termios.tcgetattr(number)[6]
        characters[termios.VMIN], characters[termios.VTIME] = 1, 0
        raw = termios.CS8 | termios.CREAD | termios.CLOCAL
        termios.tcsetattr(number, termios.TCSANOW, [0, 0, raw, 0, speed, speed, characters])
        termios.tcflush(number, termios.TCIOFLUSH)
    except BaseException as error:
        os.close(number)
        if isinstance(error, termios.error):
            raise OSError(*error.args) from error
        raise
    return number


def _why(error: OSError, address: LinkAddress) -> str:
    if isinstance(error, BlockingIOError) or error.errno == errno.EBUSY:
        return "another program has this port; end it first"
    if error.errno in (errno.ENOTTY, errno.EINVAL, errno.EISDIR):
        return f"{address.device} is not a serial port"
    if isinstance(error, PermissionError):
        return "no right to open it; add the user to the group dialout"
    return str(error.strerror)
