"""The parts of HTTP over ASGI that the preview needs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

UNKNOWN_LENGTH = -1

BODY_SECONDS = 5.0
"""Time for a body to come."""

_MOST_QUERY_FIELDS = 20
_MOST_BRACKETS = 8
_PIECE_BYTES = 64 << 10


class SlowClientError(Exception):
    """A client reads its bytes too slowly, and is disconnected."""


class BadRequestError(Exception):
    """A request that is refused.

    Args:
        status: of the response.
        message: for the client.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status

    @property
    def response(self) -> Response:
        """The response. The connection ends with it: the rest of the request is not read."""
        return Response(self.status, f"{self}\n".encode(), headers=(("connection", "close"),))


@dataclass(frozen=True)
class Request:
    """A request, its body not yet read.

    Attributes:
        method: in capitals; ``GET`` for a WebSocket.
        path: decoded.
        headers: by name in lower case; of several with one name, the last.
        query: the first value of each name; empty if there are too many.
        websocket: whether it asks for a WebSocket.
        repeated: the names of headers that came more than once.
        body_bytes: the length of its body; ``UNKNOWN_LENGTH`` if not given.
        problem: the error for an authorised sender; None if the request is valid.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    websocket: bool = False
    repeated: frozenset[str] = frozenset()
    body_bytes: int = 0
    problem: BadRequestError | None = None

    @classmethod
    def of(cls, scope: Scope) -> Request:
        """Reads an ASGI scope, in time linear in its length. Raises nothing."""
        headers: dict[str, str] = {}
        repeated = set()
        for raw_name, value in scope["headers"]:
            name = raw_name.decode("latin-1").lower()
            if name in headers:
                repeated.add(name)
            headers[name] = value.decode("latin-1")
        query, problem = {}, None
        if scope["query_string"].count(b"&") < _MOST_QUERY_FIELDS:
            fields = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
            query = {name: values[0] for name, values in fields.items()}
        else:
            problem = BadRequestError(400, f"expected at most {_MOST_QUERY_FIELDS} fields in the query")
        return cls(
            method=scope.get("method", "GET"),
            path=scope["path"],
            headers=headers,
            query=query,
            websocket=scope["type"] == "websocket" or headers.get("upgrade", "").lower() == "websocket",
            repeated=frozenset(repeated),
            body_bytes=body_bytes(scope["headers"]),
            problem=problem,
        )

    def cookie(self, name: str) -> str:
        """The value of a cookie; empty if it is missing."""
        for cookie in self.headers.get("cookie", "").split(";"):
            key, _, value = cookie.strip().partition("=")
            if key == name:
                return value
        return ""


@dataclass(frozen=True)
class Response:
    """A response.

    Attributes:
        status: its code.
        body: the bytes.
        content_type: of the body.
        headers: further headers.
    """

    status: int = 200
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: Sequence[tuple[str, str]] = field(default_factory=tuple)

    @property
    def fields(self) -> list[tuple[str, str]]:
        """All headers."""
        length = ("content-length", str(len(self.body)))
        return [("content-type", self.content_type), length, *self.headers]

    async def send(self, send: Send) -> None:
        """Sends it in pieces. Each piece waits until the client has read most of the pieces before it."""
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in self.fields]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        for start in range(0, max(1, len(self.body)), _PIECE_BYTES):
            end = start + _PIECE_BYTES
            piece = self.body[start:end]
            await send({"type": "http.response.body", "body": piece, "more_body": end < len(self.body)})


def body_bytes(headers: Sequence[tuple[bytes, bytes]]) -> int:
    """The length of a request's body by its headers; ``UNKNOWN_LENGTH`` if they do not give it."""
    length = 0
    for name, value in headers:
        if name == b"transfer-encoding":
            return UNKNOWN_LENGTH
        if name == b"content-length":
            # The server has already refused a value that is no number.
            length = int(value[:20]) if value.isdigit() else UNKNOWN_LENGTH
    return length


async def read_body(receive: Receive, most_bytes: int) -> bytes:
    """Reads the whole body of a request.

    Raises:
        BadRequestError: it is too long, or does not arrive.
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
        return await asyncio.wait_for(read(), BODY_SECONDS)
    except asyncio.TimeoutError:
        raise BadRequestError(408, "the request did not arrive in time") from None


def flat_json(text: str | bytes) -> Any:
    """Parses a client's JSON.

    Raises:
        BadRequestError: it is not JSON, or is nested more deeply than the page's own: the parser would recurse.
    """
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if data.count(b"[") + data.count(b"{") > _MOST_BRACKETS:
        raise BadRequestError(400, "expected JSON that is not nested")
    try:
        return json.loads(data)
    except ValueError:
        raise BadRequestError(400, "expected JSON") from None


def bounded(send: Send, seconds: float) -> Send:
    """A ``send`` that raises :class:`SlowClientError` if the client does not read the bytes in time."""

    async def send_in_time(message: MutableMapping[str, Any]) -> None:
        try:
            await asyncio.wait_for(send(message), seconds)
        except asyncio.TimeoutError:
            raise SlowClientError from None

    return send_in_time
