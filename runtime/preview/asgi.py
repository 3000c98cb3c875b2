"""The little of HTTP that the preview needs, over ASGI."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_BODY_SECONDS = 5.0


class SlowClientError(Exception):
    """A client takes its bytes too slowly, and must go."""


class BadRequestError(Exception):
    """A request that cannot be answered.

    Args:
        status: of the answer.
        message: for the client.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Request:
    """A request, its body not yet read.

    Attributes:
        method: in capitals; ``GET`` for a WebSocket.
        path: decoded.
        headers: by name in lower case; of several with one name, the last.
        query: the first value of each name.
        websocket: whether it asks for a WebSocket.
        repeated: the names of headers that came more than once.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    websocket: bool = False
    repeated: frozenset[str] = frozenset()

    @classmethod
    def of(cls, scope: Scope) -> Request:
        """Reads an ASGI scope."""
        pairs = [
            (name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]
        ]
        names = [name for name, _ in pairs]
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True, max_num_fields=20)
        return cls(
            method=scope.get("method", "GET"),
            path=scope["path"],
            headers=dict(pairs),
            query={name: values[0] for name, values in query.items()},
            websocket=scope["type"] == "websocket",
            repeated=frozenset(name for name in names if names.count(name) > 1),
        )

    def cookie(self, name: str) -> str:
        """The value of a cookie; empty where it is not there."""
        try:
            cookies = SimpleCookie(self.headers.get("cookie", ""))
        except CookieError:
            return ""
        return cookies[name].value if name in cookies else ""


@dataclass(frozen=True)
class Response:
    """An answer.

    Attributes:
        status: its code.
        body: the bytes.
        content_type: of the body.
        headers: further ones.
    """

    status: int = 200
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: Sequence[tuple[str, str]] = field(default_factory=tuple)

    async def send(self, send: Send, websocket: bool = False) -> None:
        """Sends it; as the refusal of a WebSocket too."""
        prefix = "websocket.http.response" if websocket else "http.response"
        headers = [
            ("content-type", self.content_type),
            ("content-length", str(len(self.body))),
            *self.headers,
        ]
        encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        await send({"type": f"{prefix}.start", "status": self.status, "headers": encoded})
        await send({"type": f"{prefix}.body", "body": self.body, "more_body": False})


async def read_body(receive: Receive, most_bytes: int) -> bytes:
    """The whole body of a request.

    Raises:
        BadRequestError: it is too long, or does not come.
    """

    async def read() -> bytes:
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise BadRequestError(400, "the request did not arrive whole")
            body += message.get("body", b"")
            if len(body) > most_bytes:
                raise BadRequestError(413, f"expected at most {most_bytes} bytes")
            if not message.get("more_body"):
                return bytes(body)

    try:
        return await asyncio.wait_for(read(), _BODY_SECONDS)
    except asyncio.TimeoutError:
        raise BadRequestError(408, "the request did not arrive in time") from None


def bounded(send: Send, seconds: float) -> Send:
    """A ``send`` that raises :class:`SlowClientError` where the client does not take the bytes in time."""

    async def send_in_time(message: MutableMapping[str, Any]) -> None:
        if message["type"].startswith("websocket.http.response"):
            await send(message)  # older servers take head and body of a refusal in one go alone; it is short
            return
        try:
            await asyncio.wait_for(send(message), seconds)
        except asyncio.TimeoutError:
            raise SlowClientError from None

    return send_in_time
