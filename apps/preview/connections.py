"""Every connection that is open: none is held for nothing, and no client's shut out another's.

The server itself waits for ever for a request that does not come, and for a client that does not read. The table is
larger than what can be under way at once, so there is always a connection that may go for a new one: the one that has
waited longest of whoever has most of them. Connections from this machine go last, since its own health checks must
always get in.
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
"""The price of a read, however little it brings, as if it were so many bytes more."""

REQUEST_COST = 1 << 10
"""Likewise a request."""

_CONNECTION_COST = 2 << 10
_IDLE_SECONDS = 8.0
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
    """Knows the connections by the address of their client. For the event loop's thread alone.

    Args:
        viewers: that may watch at once; some more connections are needed for pages and pictures.
    """

    def __init__(self, viewers: int) -> None:
        self._most = viewers + _BESIDE_VIEWERS
        self._address_rate = _PER_ADDRESS + viewers * _PER_ADDRESS_AND_VIEWER
        self._open: dict[Any, _Connection] = {}
        self._allowances: dict[str, Allowance] = {}

    def admits(self, peer: object) -> bool:
        """Returns whether an address may have another connection. Ask it before anything is made for one."""
        return self._address_spends(_address_of(peer), _CONNECTION_COST)

    def add(self, transport: asyncio.Transport) -> None:
        """Takes a new connection in. Where there are too many another goes for it."""
        self._forget_closed()
        if len(self._open) >= self._most and not self._drop_one():
            cut(transport)
            return
        address = _address_of(transport.get_extra_info("peername"))
        allowance = Allowance(*_PER_CONNECTION)
        self._open[_key(transport)] = _Connection(transport, address, allowance, time.monotonic())

    def spend(self, transport: asyncio.Transport, cost: int) -> bool:
        """Takes a cost, in bytes, from what a client may ask now; False where it asks too much, and must go."""
        connection = self._open.get(_key(transport))
        if connection is None:  # it was cut just now
            return False
        return connection.allowance.spend(cost) and self._address_spends(connection.address, cost)

    def become_websocket(self, transport: asyncio.Transport) -> None:
        """Tells that a connection is a WebSocket from now on, which says little."""
        connection = self._open.get(_key(transport))
        if connection is not None:
            connection.allowance = Allowance(*_PER_WEBSOCKET)

    def begin(self, scope: Scope) -> None:
        """Tells that a whole request has come."""
        connection = self._of(scope)
        if connection is not None:
            connection.answering = True

    def end(self, scope: Scope) -> None:
        """Tells that it was answered."""
        connection = self._of(scope)
        if connection is not None:
            connection.answering = False
            connection.idle_since = time.monotonic()

    def resume(self, scope: Scope) -> None:
        """Reads a connection again whose reading was paused."""
        connection = self._of(scope)
        if connection is not None:
            connection.transport.resume_reading()

    def abort(self, scope: Scope) -> None:
        """Cuts a client's connection, whatever is still to be sent."""
        connection = self._of(scope)
        if connection is not None:
            cut(connection.transport)

    def sweep(self) -> None:
        """Cuts the connections on which no whole request has come for too long, or whose end is not read."""
        self._forget_closed()
        now = time.monotonic()
        for connection in self._open.values():
            if not connection.answering and now - connection.idle_since > _IDLE_SECONDS:
                cut(connection.transport)
        for address in [address for address, allowance in self._allowances.items() if allowance.full]:
            del self._allowances[address]

    def abort_all(self) -> None:
        """Ends all; what was sent to them still arrives."""
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
            return True  # it could do this machine worse harm, and a proxy's clients all come from here
        allowance = self._allowances.get(address)
        if allowance is None:
            allowance = self._allowances[address] = Allowance(self._address_rate, 4 * self._address_rate)
        return allowance.spend(cost)

    def _of(self, scope: Scope) -> _Connection | None:
        client = scope.get("client")
        return self._open.get(tuple(client)) if client else None

    def _forget_closed(self) -> None:
        """Forgets those whose socket is closed; one that is only closing may still hold what nobody reads."""
        for key, each in list(self._open.items()):
            if each.transport.get_extra_info("socket").fileno() < 0:
                del self._open[key]


def cut(transport: asyncio.Transport) -> None:
    """Ends a connection with a reset: the kernel too forgets what its client has not taken."""
    sock = transport.get_extra_info("socket")
    if sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _key(transport: asyncio.Transport) -> tuple[str, int]:
    peer = transport.get_extra_info("peername")
    return (str(peer[0]), int(peer[1])) if peer else ("", id(transport))


def _address_of(peer: object) -> str:
    """Whose a connection is: an address, or the 64 bits of IPv6 that a host may have to itself."""
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
