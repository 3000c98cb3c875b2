"""The transports of a link: bytes to and from an autopilot, by UDP. :mod:`.serial_port` has the serial one."""

from __future__ import annotations

import errno
import socket
from abc import ABC, abstractmethod
from typing import Any

from ...core.errors import OutputError
from .address import SERIAL, UDP_IN, LinkAddress

_MOST_BYTES = 4096
"""Of a datagram. Autopilots keep to one Ethernet frame."""
_MOST_DISCARDED = 10_000
"""More than a socket queues by itself; in a flood new ones arrive meanwhile."""


class Transport(ABC):
    """Carries bytes. One thread uses it.

    Attributes:
        name: for display.
    """

    name: str

    @abstractmethod
    def fileno(self) -> int | None:
        """Returns the descriptor to wait for; None while the device is not there."""

    @abstractmethod
    def receive(self) -> tuple[bytes, Any] | None:
        """Returns bytes that have arrived, and their sender for :meth:`answer_to`; None if nothing has arrived.

        Raises:
            OSError: the device or the network fails. The transport may still be used.
        """

    @abstractmethod
    def send(self, packet: bytes) -> bool:
        """Sends a packet, or loses it: it never waits.

        Returns:
            Whether it went out.

        Raises:
            OSError: as for :meth:`receive`.
        """

    @abstractmethod
    def discard(self) -> None:
        """Drops what has arrived and was not received yet.

        Raises:
            OSError: as for :meth:`receive`.
        """

    def answer_to(self, sender: Any) -> None:
        """Sends to this sender from now on, where the transport has several."""
        return

    def maintain(self) -> None:
        """Sends what is left of packets, and opens a device that is there again. It is called often.

        Raises:
            OSError: as for :meth:`receive`.
        """
        return

    @abstractmethod
    def close(self) -> None:
        """Releases it."""


class UdpTransport(Transport):
    """UDP: to an address (``udpout``), or at one where the autopilot sends to first (``udpin``).

    Raises:
        OutputError: the host has no address, or the port is in use.
    """

    def __init__(self, address: LinkAddress) -> None:
        self.name = address.name
        self._waits = address.kind == UDP_IN
        self._peer: Any = None
        try:
            family, kind, protocol, _, where = socket.getaddrinfo(
                address.host, address.port, type=socket.SOCK_DGRAM
            )[0]
            self._socket = socket.socket(family, kind, protocol)
        except OSError as error:
            raise OutputError(f"--mavlink {self.name}: {error.strerror}") from error
        try:
            self._socket.setblocking(False)
            # A connected socket takes no datagrams of others.
            (self._socket.bind if self._waits else self._socket.connect)(where)
        except OSError as error:
            self._socket.close()
            raise OutputError(f"--mavlink {self.name}: {_why(error, address)}") from error

    def fileno(self) -> int:
        """Returns the socket's descriptor."""
        return self._socket.fileno()

    def receive(self) -> tuple[bytes, Any] | None:
        """Returns one datagram, which may be empty."""
        try:
            return self._socket.recvfrom(_MOST_BYTES)
        except BlockingIOError:
            return None

    def discard(self) -> None:
        """Drops the datagrams that have queued up."""
        for _ in range(_MOST_DISCARDED):
            if self.receive() is None:
                return

    def send(self, packet: bytes) -> bool:
        """Sends one datagram; none before it is known where to."""
        try:
            if not self._waits:
                self._socket.send(packet)
            elif self._peer is not None:
                self._socket.sendto(packet, self._peer)
            else:
                return False
        except BlockingIOError:
            return False
        return True

    def answer_to(self, sender: Any) -> None:
        """Sends to this address from now on."""
        self._peer = sender

    def close(self) -> None:
        """Closes the socket."""
        self._socket.close()


def _why(error: OSError, address: LinkAddress) -> str:
    if address.kind == UDP_IN and isinstance(error, PermissionError):
        return f"port {address.port} needs the rights of an administrator; take one above 1023"
    in_use = "another program waits at this port; end it, or take another port"
    return in_use if error.errno == errno.EADDRINUSE else str(error.strerror)


def open_transport(address: LinkAddress) -> Transport:
    """Opens the transport of an address.

    Raises:
        OutputError: it cannot be opened.
    """
    if address.kind != SERIAL:
        return UdpTransport(address)
    from .serial_port import SerialTransport

    return SerialTransport(address)
