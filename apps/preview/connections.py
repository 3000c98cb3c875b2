"""The table of open connections. It removes idle ones, and keeps one client from excluding others.

The server itself waits for ever for a missing request, and for a client that does not read. The table is larger than
the number of requests in progress, so an idle connection can always be dropped for a new one: the longest idle one of
the address with the most connections. Connections from this machine are dropped last, because its own health checks
must always work.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import struct
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

from .allowance import Allowance
from .asgi import Scope

READ_COST = 128
"""The extra cost of a read, in bytes, however little it brings."""

REQUEST_COST = 1 << 10
"""The extra cost of a request, in bytes."""

IDLE_SECONDS = 8.0
"""Time for a whole request to come, and for its last data to be read."""

_CONNECTION_COST = 2 << 10
_BESIDE_VIEWERS = 48
# In bytes a second. A page's WebSocket sends thirty messages of twenty bytes; a browser opens six connections.
_PER_CONNECTION = (64 << 10, 128 << 10)
_PER_WEBSOCKET = (8 << 10, 16 << 10)
_PER_ADDRESS = 64 << 10
_PER_ADDRESS_AND_VIEWER = 8 << 10
_PREFIX_BITS = 64


@dataclass
class _Connection:
    transport: asyncio.Transport
    address: str
    allowance: Allowance
    idle_since: float
    answering: bool = False


class Connections:
    """The connections, by the address of their client. Only the event loop's thread may use it.

    Args:
        viewers: the most at once; some more connections are needed for pages and images.
    """

    def __init__(self, viewers: int) -> None:
        self._most = viewers + _BESIDE_VIEWERS
        self._address_rate = _PER_ADDRESS + viewers * _PER_ADDRESS_AND_VIEWER
        self._open: dict[Any, _Connection] = {}
        self._allowances: dict[str, Allowance] = {}

    @property
    def addresses(self) -> int:
        """The number of addresses whose recent use is remembered."""
        return len(self._allowances)

    def admits(self, peer: object) -> bool:
        """Returns True if an address may have another connection. It is called before the connection is set up."""
        return self._address_spends(_address_of(peer), _CONNECTION_COST)

    def add(self, transport: asyncio.Transport) -> None:
        """Adds a new connection. If there are too many, another one is dropped."""
        self._forget_closed()
        if len(self._open) >= self._most and not self._drop_one():
            cut(transport)
            return
        address = _address_of(transport.get_extra_info("peername"))
        allowance = Allowance(*_PER_CONNECTION)
        self._open[_key(transport)] = _Connection(transport, address, allowance, time.monotonic())

    def spend(self, transport: asyncio.Transport, cost: int) -> bool:
        """Takes a cost, in bytes, from a client's allowance. Returns False if it is used up: the client must go."""
        connection = self._open.get(_key(transport))
        if connection is None:  # it was cut just now
            return False
        return connection.allowance.spend(cost) and self._address_spends(connection.address, cost)

    def become_websocket(self, transport: asyncio.Transport) -> None:
        """Marks a connection as a WebSocket, whose allowance is smaller."""
        connection = self._open.get(_key(transport))
        if connection is not None:
            connection.allowance = Allowance(*_PER_WEBSOCKET)

    def begin(self, scope: Scope) -> None:
        """Notes that a whole request has come."""
        connection = self._of(scope)
        if connection is not None:
            connection.answering = True

    def end(self, scope: Scope) -> None:
        """Notes that the request was answered."""
        connection = self._of(scope)
        if connection is not None:
            connection.answering = False
            connection.idle_since = time.monotonic()

    def resume(self, scope: Scope) -> None:
        """Resumes reading of a paused connection."""
        connection = self._of(scope)
        if connection is not None:
            connection.transport.resume_reading()

    def abort(self, scope: Scope) -> None:
        """Cuts a client's connection, even if data is still to be sent."""
        connection = self._of(scope)
        if connection is not None:
            cut(connection.transport)

    def sweep(self) -> None:
        """Cuts the connections without a whole request for too long, and those whose last data is not read."""
        self._forget_closed()
        now = time.monotonic()
        for connection in self._open.values():
            if not connection.answering and now - connection.idle_since > IDLE_SECONDS:
                cut(connection.transport)
        for address in [address for address, allowance in self._allowances.items() if allowance.full]:
            del self._allowances[address]

    def abort_all(self) -> None:
        """Ends all connections; data that was already sent still arrives."""
        for connection in self._open.values():
            connection.transport.abort()
        self._open.clear()

    def _drop_one(self) -> bool:
        held = Counter(each.address for each in self._open.values())
        idle = [(key, each) for key, each in self._open.items() if not each.answering]
        if not idle:
            return False
        key, dropped = min(
            idle,
            key=lambda each: (_is_local(each[1].address), -held[each[1].address], each[1].idle_since),
        )
        cut(dropped.transport)
        del self._open[key]
        return True

    def _address_spends(self, address: str, cost: int) -> bool:
        if _is_local(address):
            return True  # a local client could do worse harm, and all clients of a local proxy come from here
        allowance = self._allowances.get(address)
        if allowance is None:
            allowance = self._allowances[address] = Allowance(self._address_rate, 4 * self._address_rate)
        return allowance.spend(cost)

    def _of(self, scope: Scope) -> _Connection | None:
        client = scope.get("client")
        return self._open.get(tuple(client)) if client else None

    def _forget_closed(self) -> None:
        """Removes connections with a closed socket. One that is still closing may hold data that nobody reads."""
        for key, each in list(self._open.items()):
            if each.transport.get_extra_info("socket").fileno() < 0:
                del self._open[key]


def cut(transport: asyncio.Transport) -> None:
    """Ends a connection with a reset: the kernel too discards unread data."""
    sock = transport.get_extra_info("socket")
    if sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _key(transport: asyncio.Transport) -> tuple[str, int]:
    peer = transport.get_extra_info("peername")
    return (str(peer[0]), int(peer[1])) if peer else ("", id(transport))


def _address_of(peer: object) -> str:
    """The owner of a connection: an address, or the 64-bit prefix of IPv6 that one host may have."""
    try:
        address = ipaddress.ip_address(str(peer[0]).partition("%")[0])  # type: ignore[index]
    except (IndexError, TypeError, ValueError):
        return ""
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    if address.is_loopback or address.is_link_local:
        return str(address)
    return str(ipaddress.ip_network((address, _PREFIX_BITS), strict=False))


def _is_local(address: str) -> bool:
    return address == "::1" or address.startswith("127.")
