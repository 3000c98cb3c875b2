"""The preview's ASGI application: the response for each path."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files

from ...core.errors import EdgesegError
from .access import SECURITY_HEADERS, AccessControl
from .asgi import (
    UNKNOWN_LENGTH,
    BadRequestError,
    Receive,
    Request,
    Response,
    Scope,
    Send,
    SlowClientError,
    bounded,
    flat_json,
    read_body,
)
from .connections import Connections
from .hub import Hub
from .metrics import Metrics
from .snapshot import snapshot
from .stream import stream
from .viewer import SLOW_SECONDS, Viewer

log = logging.getLogger(__name__)

MOST_BODY_BYTES = 1024
"""Limit on a request's body: only the recording's switch needs one."""

_JSON = "application/json"
_MOST_AT_WORK = 4
_WORK = ("/snapshot", "/recording")
_PAGE = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/drawing.js": ("drawing.js", "text/javascript; charset=utf-8"),
    "/panels.js": ("panels.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
_FULL = Response(503, b"all places to watch are taken\n", headers=(("retry-after", "5"),))
_NOTHING = Response(404, b"there is nothing here\n")
_NO_HANDSHAKE = Response(426, b"expected a WebSocket of version 13\n", headers=(("upgrade", "websocket"),))


class App:
    """The ASGI application.

    Args:
        hub: the images and the status.
        access: decides who may see them.
        connections: for cutting those of slow clients.
    """

    def __init__(self, hub: Hub, access: AccessControl, connections: Connections) -> None:
        self._hub = hub
        self._access = access
        self._connections = connections
        self._metrics = Metrics(lambda: hub.watch.newest, lambda: (hub.viewers, hub.slow_viewers))
        self._page = {
            path: ((files(__package__) / name).read_bytes(), content_type)
            for path, (name, content_type) in _PAGE.items()
        }
        self._answers: dict[str, Callable[[Request], Awaitable[Response]]] = {
            "/healthz": self._healthz,
            "/readyz": self._readyz,
            "/metrics": self._metrics_page,
            "/status": self._status,
            "/snapshot": self._snapshot,
        }
        self._one_snapshot = asyncio.Semaphore(1)
        self._at_work = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] not in ("http", "websocket"):
            return
        send_in_time = bounded(_with_headers(send), SLOW_SECONDS)
        try:
            if scope["type"] == "websocket":
                await self._view(scope, receive, send_in_time)
            else:
                await self._serve(scope, receive, send_in_time)
        except SlowClientError:
            self._connections.abort(scope)
            # The server notices it in its next turn; otherwise it would log an incomplete response.
            await asyncio.sleep(0)
        except OSError:
            pass  # the client has gone during the response
        finally:
            self._connections.end(scope)

    def may_watch(self, scope: Scope) -> bool:
        """Returns True if a request may become a WebSocket now. Otherwise it is answered like any other request."""
        request = Request.of(scope)
        try:
            return self._access.answer(request) is None and self._no_place(request) is None
        except BadRequestError:
            return False

    def _no_place(self, request: Request) -> Response | None:
        """Returns the response to a viewer if there is no place or no such page; else None.

        Raises:
            BadRequestError: there is no such source.
        """
        if request.problem is not None:
            raise request.problem
        if request.path != "/live":
            return _NOTHING
        self._number(request)
        return None if self._hub.has_place else _FULL

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request.of(scope)
        refusal = self._access.answer(request)
        if refusal is not None:
            await refusal.send(send)
            return
        try:
            if request.websocket:
                await (self._no_place(request) or _NO_HANDSHAKE).send(send)
                return
            body = await self._body(request, receive)
            self._connections.begin(scope)
            if request.path == "/stream.mjpg" and request.method == "GET":
                await self._stream(request, receive, send)
                return
            with self._work(request):
                await (await self._answer(request, body)).send(send)
        except BadRequestError as error:  # raised before anything was sent
            await error.response.send(send)

    async def _body(self, request: Request, receive: Receive) -> bytes:
        if request.problem is not None:
            raise request.problem
        if request.path != "/recording" or request.method != "POST":
            if request.body_bytes and request.method in ("GET", "HEAD"):
                raise BadRequestError(413, "expected no body")
            return b""
        if request.body_bytes == UNKNOWN_LENGTH:
            raise BadRequestError(411, "expected a Content-Length")
        if request.body_bytes > MOST_BODY_BYTES:
            raise BadRequestError(413, f"expected at most {MOST_BODY_BYTES} bytes")
        return await read_body(receive, MOST_BODY_BYTES)

    @contextmanager
    def _work(self, request: Request) -> Iterator[None]:
        """Limits the number of requests that take time or memory, until the response is sent."""
        if request.path not in _WORK:
            yield
            return
        if self._at_work >= _MOST_AT_WORK:
            raise BadRequestError(503, "others are being served; ask again in a second")
        self._at_work += 1
        try:
            yield
        finally:
            self._at_work -= 1

    async def _answer(self, request: Request, body: bytes) -> Response:
        if request.path == "/recording":
            return await self._recording(request, body)
        if request.method not in ("GET", "HEAD"):
            return Response(405, b"expected GET\n", headers=(("allow", "GET, HEAD"),))
        if request.path in self._page:
            content, content_type = self._page[request.path]
            return Response(200, content, content_type)
        answer = self._answers.get(request.path)
        return _NOTHING if answer is None else await answer(request)

    async def _view(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request.of(scope)
        await receive()
        if self._access.answer(request) is not None or not self._hub.enter():
            await send({"type": "websocket.close"})  # another viewer took the place just now
            return
        self._connections.begin(scope)
        with self._in_a_place():
            await send({"type": "websocket.accept"})
            self._connections.resume(scope)
            await Viewer(self._hub, receive, send, self._number(request)).serve()

    async def _stream(self, request: Request, receive: Receive, send: Send) -> None:
        feed = self._hub.feed(self._number(request))
        if not self._hub.enter():
            await _FULL.send(send)
            return
        with self._in_a_place():
            await stream(self._hub, feed, receive, send)

    @contextmanager
    def _in_a_place(self) -> Iterator[None]:
        """Gives a viewer's place back at the end of the block."""
        slow = False
        try:
            yield
        except SlowClientError:
            slow = True
            raise
        finally:
            self._hub.leave(slow)

    async def _healthz(self, request: Request) -> Response:
        return Response(200, b"ok\n")

    async def _readyz(self, request: Request) -> Response:
        status = self._hub.watch.newest
        if status is None:
            return _json({"ready": False, "why": ["the run does not answer"]}, 503)
        if status.ready:
            return _json({"ready": True, "why": []})
        why = [f"source {source.number}: {source.reason}" for source in status.sources if not source.valid]
        if status.state != "running":
            why.insert(0, f"the run is {status.state}")
        elif not why:
            why.append("not every result is valid")
        return _json({"ready": False, "why": why}, 503)

    async def _metrics_page(self, request: Request) -> Response:
        body, content_type = self._metrics.page(request.headers.get("accept", ""))
        return Response(200, body, content_type)

    async def _status(self, request: Request) -> Response:
        return _json(self._hub.facts())

    async def _snapshot(self, request: Request) -> Response:
        image = self._hub.feed(self._number(request)).newest
        if image is None:
            return Response(503, b"there is no frame yet\n")
        output, status = image.output, self._hub.watch.newest
        async with self._one_snapshot:
            data = await asyncio.get_running_loop().run_in_executor(
                self._hub.workers, snapshot, output, self._hub.labels, status
            )
        name = f"snapshot-{output.source}-{output.result.frame_id}.zip"
        disposition = ("content-disposition", f'attachment; filename="{name}"')
        return Response(200, data, "application/zip", (disposition,))

    async def _recording(self, request: Request, body: bytes) -> Response:
        switch = self._hub.recording
        if switch is None:
            return Response(404, b"this run records nothing\n")
        if request.method != "POST":
            return Response(405, b"expected POST\n", headers=(("allow", "POST"),))
        wanted = flat_json(body)
        if not isinstance(wanted, dict) or not isinstance(wanted.get("active"), bool):
            raise BadRequestError(400, 'expected {"active": true} or {"active": false}')
        turn = switch.start if wanted["active"] else switch.stop
        try:
            if switch.active == wanted["active"]:
                return _json({"active": switch.active, "where": ""})
            where = await asyncio.get_running_loop().run_in_executor(self._hub.workers, turn)
        except EdgesegError as error:
            return _json({"active": switch.active, "error": str(error)}, 500)
        log.info(
            "The preview switched the recording %s.",
            "on" if wanted["active"] else "off",
            extra={"event": "recording-switched", "fields": {"active": wanted["active"]}},
        )
        return _json({"active": switch.active, "where": where})

    def _number(self, request: Request) -> int:
        """The requested source; the first if none is named."""
        text = request.query.get("source", "")
        if not text:
            return min(self._hub.feeds, default=0)
        for number in self._hub.feeds:
            if text == str(number):
                return number
        known = ", ".join(map(str, sorted(self._hub.feeds))) or "none"
        raise BadRequestError(404, f"there is no source of this number; there is {known}")


def _json(value: object, status: int = 200) -> Response:
    return Response(status, json.dumps(value).encode() + b"\n", _JSON)


def _with_headers(send: Send) -> Send:
    """Adds the security headers to every response."""
    added = [(name.encode(), value.encode()) for name, value in SECURITY_HEADERS]

    async def send_with_headers(message: Scope) -> None:
        if message["type"] in ("http.response.start", "websocket.accept"):
            message["headers"] = [*message.get("headers", ()), *added]
        await send(message)

    return send_with_headers
