"""The server's protocols, with limits on all input, and all refusals in one place."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from .access import SECURITY_HEADERS
from .app import MOST_BODY_BYTES
from .asgi import BadRequestError, Response, Scope, body_bytes
from .connections import READ_COST, REQUEST_COST, Connections, cut
from .head_reader import HeadReader

if TYPE_CHECKING:
    import h11
    from uvicorn.protocols.http.h11_impl import H11Protocol

_LINGER_SECONDS = 1.0
"""Time for a refused client to read the reason, before its connection is cut."""

_MOST_FRAGMENTS = 16


def http_protocol(connections: Connections, may_watch: Callable[[Scope], bool]) -> type[H11Protocol]:
    """Returns the class of the HTTP protocol.

    A head is passed on once it is whole and within its limits, and a body up to its length and its limit. Further data
    is not read, and the connection ends with the response. The same applies to a request that is sent before the last
    one is answered.

    Args:
        connections: the table for new connections.
        may_watch: returns True if a request may become a WebSocket. Otherwise it is answered like any other request.
    """
    import h11
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class BoundedProtocol(H11Protocol):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self._head_reader = HeadReader()
            self._body_left = 0
            self._ignores_input = False

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            connections.add(transport)

        def data_received(self, data: bytes) -> None:
            if self._ignores_input:
                if not connections.spend(self.transport, READ_COST):
                    cut(self.transport)
                return
            try:
                self._take(data)
            except BadRequestError as error:
                self._refuse(error)

        def _take(self, data: bytes) -> None:
            if not connections.spend(self.transport, READ_COST):
                raise BadRequestError(503, "too many requests; wait a second")
            if self.conn.their_state is h11.IDLE:
                head, data = self._head_reader.take(data)
                if not head:
                    return
                if not connections.spend(self.transport, REQUEST_COST + len(head)):
                    raise BadRequestError(503, "too many requests; wait a second")
                super().data_received(head)
                if self._ignores_input:
                    return
                if self.transport.get_protocol() is not self:  # a WebSocket now
                    if data:  # its client must wait for the response before it sends more
                        cut(self.transport)
                    return
                length = body_bytes(self.headers)
                if not 0 <= length <= MOST_BODY_BYTES:
                    self._end_with_response()
                    return
                self._body_left = length
            body, data = data[: self._body_left], data[self._body_left :]
            self._body_left -= len(body)
            if body:
                super().data_received(body)
            if data:
                self._end_with_response()

        def _end_with_response(self) -> None:
            self._ignores_input = True
            self.cycle.keep_alive = False

        def _refuse(self, error: BadRequestError) -> None:
            self._ignores_input = True
            if self.transport.is_closing():
                return
            if self.cycle is not None and not self.cycle.response_complete:
                cut(self.transport)
                return
            self._unset_keepalive_if_required()
            self.transport.write(_as_bytes(error.response))
            self.transport.write_eof()
            self.loop.call_later(_LINGER_SECONDS, cut, self.transport)

        def send_400_response(self, msg: str) -> None:
            """Responds to a request that the parser has refused."""
            self._refuse(BadRequestError(400, "expected HTTP/1.1"))

        def _get_upgrade(self) -> bytes | None:
            scope = cast(Scope, self.scope)
            upgrade = super()._get_upgrade()
            return upgrade if upgrade == b"websocket" and _is_handshake(scope) and may_watch(scope) else None

        def handle_websocket_upgrade(self, event: h11.Request) -> None:
            super().handle_websocket_upgrade(event)
            connections.become_websocket(self.transport)
            # Data that comes before the handshake's response would reach a parser that is not ready.
            self.transport.pause_reading()

    return BoundedProtocol


def websocket_protocol(connections: Connections) -> type[asyncio.Protocol]:
    """Returns the class of the WebSocket protocol. A connection that sends too much is cut.

    Args:
        connections: the table for new connections.
    """
    from uvicorn.protocols.websockets.auto import AutoWebSocketsProtocol

    logging.getLogger("uvicorn.error").addFilter(_is_server_error)

    class BoundedWebSocket(AutoWebSocketsProtocol):  # type: ignore[misc, valid-type]
        def data_received(self, data: bytes) -> None:
            fragments = len(getattr(self, "frames", ()))  # of a message that is not complete
            if fragments > _MOST_FRAGMENTS or not connections.spend(self.transport, READ_COST + len(data)):
                cut(self.transport)
                return
            super().data_received(data)

    return BoundedWebSocket


def _is_server_error(record: logging.LogRecord) -> bool:
    """Drops the server's log record, with traceback, for a client's text that is not UTF-8."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, UnicodeDecodeError) or "ASGI" in record.getMessage()


def _is_handshake(scope: Scope) -> bool:
    """Returns True if the WebSocket library accepts a request. Its own refusal would bypass the access control."""
    from websockets.datastructures import Headers
    from websockets.http11 import Request
    from websockets.server import ServerProtocol

    if (scope["method"], scope["http_version"], body_bytes(scope["headers"])) != ("GET", "1.1", 0):
        return False
    headers = Headers([(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]])
    return (
        ServerProtocol().accept(Request(scope["path"], headers)).status_code == HTTPStatus.SWITCHING_PROTOCOLS
    )


def _as_bytes(response: Response) -> bytes:
    lines = [f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in (*response.fields, *SECURITY_HEADERS)]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + response.body
