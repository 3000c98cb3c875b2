"""Every connection that is open, so that none can be held for nothing, and all can be cut at once.

The server itself waits for ever for a request that does not come, and for a client that does not read.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .asgi import Scope

if TYPE_CHECKING:
    from uvicorn.protocols.http.h11_impl import H11Protocol

_IDLE_SECONDS = 8.0
_BESIDE_VIEWERS = 48


@dataclass
class _Connection:
    transport: asyncio.Transport
    requests: int = 0
    idle_since: float = field(default_factory=time.monotonic)


class Connections:
    """Knows the connections by the address of their client. For the event loop's thread alone.

    Args:
        viewers: that may watch at once; some more connections are needed for pages and pictures.
    """

    def __init__(self, viewers: int) -> None:
        self._most = viewers + _BESIDE_VIEWERS
        self._open: dict[Any, _Connection] = {}

    def add(self, transport: asyncio.Transport) -> None:
        """Takes a new connection in, or cuts it where there are too many."""
        self._forget_closed()
        if len(self._open) >= self._most:
            transport.abort()
            return
        self._open[_client(transport)] = _Connection(transport)

    def begin(self, scope: Scope) -> None:
        """Tells that a whole request has come."""
        connection = self._of(scope)
        if connection is not None:
            connection.requests += 1

    def end(self, scope: Scope) -> None:
        """Tells that it was answered."""
        connection = self._of(scope)
        if connection is not None:
            connection.requests -= 1
            connection.idle_since = time.monotonic()

    def abort(self, scope: Scope) -> None:
        """Cuts a client's connection, whatever is still to be sent."""
        connection = self._of(scope)
        if connection is not None:
            connection.transport.abort()

    def sweep(self) -> None:
        """Cuts the connections on which no whole request has come for too long."""
        self._forget_closed()
        now = time.monotonic()
        for connection in self._open.values():
            if connection.requests <= 0 and now - connection.idle_since > _IDLE_SECONDS:
                connection.transport.abort()

    def abort_all(self) -> None:
        """Cuts all."""
        for connection in self._open.values():
            connection.transport.abort()
        self._open.clear()

    def _of(self, scope: Scope) -> _Connection | None:
        client = scope.get("client")
        return self._open.get(tuple(client)) if client else None

    def _forget_closed(self) -> None:
        for client in [key for key, each in self._open.items() if each.transport.is_closing()]:
            del self._open[client]


def protocol_class(connections: Connections) -> type[H11Protocol]:
    """The server's protocol, made to register its connections."""
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class RegisteredProtocol(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            connections.add(transport)

    return RegisteredProtocol


def _client(transport: asyncio.Transport) -> tuple[str, int]:
    peer = transport.get_extra_info("peername")
    return (str(peer[0]), int(peer[1])) if peer else ("", id(transport))
