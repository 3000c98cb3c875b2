"""What the preview answers, path by path."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from importlib.resources import files

from ..errors import EdgesegError
from .asgi import (
    BadRequestError,
    Receive,
    Request,
    Response,
    Scope,
    Send,
    SlowClientError,
    bounded,
    read_body,
)
from .connections import Connections
from .gate import SECURITY_HEADERS, Gate
from .hub import Hub
from .metrics import Metrics
from .snapshot import snapshot
from .stream import stream
from .viewer import SLOW_SECONDS, Viewer

log = logging.getLogger(__name__)

_JSON = "application/json"
_MOST_BODY_BYTES = 1024
_PAGE = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/drawing.js": ("drawing.js", "text/javascript; charset=utf-8"),
    "/panels.js": ("panels.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
_FULL = Response(503, b"all places to watch are taken\n", headers=(("retry-after", "5"),))
_PREFIX = "websocket.http.response"


class App:
    """The ASGI application.

    Args:
        hub: what there is to see.
        gate: who may see it.
        connections: to cut those of slow clients.
    """

    def __init__(self, hub: Hub, gate: Gate, connections: Connections) -> None:
        self._hub = hub
        self._gate = gate
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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] not in ("http", "websocket"):
            return
        self._connections.begin(scope)
        try:
            await self._serve(Request.of(scope), receive, bounded(_with_headers(send), SLOW_SECONDS))
        except SlowClientError:
            self._connections.abort(scope)
        except OSError:
            pass  # the client has gone in the middle of the answer
        finally:
            self._connections.end(scope)

    async def _serve(self, request: Request, receive: Receive, send: Send) -> None:
        refusal = self._gate.answer(request)
        if refusal is not None:
            await refusal.send(send, request.websocket)
            return
        try:
            await self._serve_allowed(request, receive, send)
        except BadRequestError as error:  # raised before anything was sent
            await Response(error.status, f"{error}\n".encode()).send(send, request.websocket)

    async def _serve_allowed(self, request: Request, receive: Receive, send: Send) -> None:
        if request.websocket:
            await self._view(request, receive, send)
        elif request.path == "/stream.mjpg" and request.method == "GET":
            await self._stream(request, receive, send)
        else:
            await (await self._answer(request, receive)).send(send)

    async def _answer(self, request: Request, receive: Receive) -> Response:
        if request.path == "/recording":
            return await self._recording(request, receive)
        if request.method not in ("GET", "HEAD"):
            return Response(405, b"expected GET\n", headers=(("allow", "GET, HEAD"),))
        if request.path in self._page:
            body, content_type = self._page[request.path]
            return Response(200, body, content_type)
        answer = self._answers.get(request.path)
        return Response(404, b"there is nothing here\n") if answer is None else await answer(request)

    async def _view(self, request: Request, receive: Receive, send: Send) -> None:
        if request.path != "/live":
            await Response(404, b"there is nothing here\n").send(send, websocket=True)
            return
        number = self._number(request)
        await self._in_a_place(request, send, lambda: self._open_viewer(receive, send, number))

    async def _open_viewer(self, receive: Receive, send: Send, number: int) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await Viewer(self._hub, receive, send, number).serve()

    async def _stream(self, request: Request, receive: Receive, send: Send) -> None:
        feed = self._hub.feed(self._number(request))
        await self._in_a_place(request, send, lambda: stream(self._hub, feed, receive, send))

    async def _in_a_place(self, request: Request, send: Send, watch: Callable[[], Awaitable[None]]) -> None:
        """Serves a viewer, if there is a place."""
        if not self._hub.enter():
            await _FULL.send(send, request.websocket)
            return
        slow = False
        try:
            await watch()
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
        if status.state != "running" or not why:
            why.insert(
                0, f"the run is {status.state}" if status.state != "running" else "not every result is valid"
            )
        return _json({"ready": False, "why": why}, 503)

    async def _metrics_page(self, request: Request) -> Response:
        body, content_type = self._metrics.page(request.headers.get("accept", ""))
        return Response(200, body, content_type)

    async def _status(self, request: Request) -> Response:
        return _json(self._hub.facts())

    async def _snapshot(self, request: Request) -> Response:
        picture = self._hub.feed(self._number(request)).newest
        if picture is None:
            return Response(503, b"there is no frame yet\n")
        output, status = picture.output, self._hub.watch.newest
        async with self._one_snapshot:
            data = await asyncio.get_running_loop().run_in_executor(
                self._hub.workers, snapshot, output, self._hub.labels, status
            )
        name = f"snapshot-{output.source}-{output.result.frame_id}.zip"
        disposition = ("content-disposition", f'attachment; filename="{name}"')
        return Response(200, data, "application/zip", (disposition,))

    async def _recording(self, request: Request, receive: Receive) -> Response:
        switch = self._hub.recording
        if switch is None:
            return Response(404, b"this run records nothing\n")
        if request.method != "POST":
            return Response(405, b"expected POST\n", headers=(("allow", "POST"),))
        try:
            wanted = json.loads(await read_body(receive, _MOST_BODY_BYTES))
        except ValueError:
            wanted = None
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
        """The source that is asked for; the first where none is."""
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
    """Adds the security headers to every answer."""
    added = [(name.encode(), value.encode()) for name, value in SECURITY_HEADERS]

    async def send_with_headers(message: Scope) -> None:
        if message["type"] in ("http.response.start", f"{_PREFIX}.start", "websocket.accept"):
            message["headers"] = [*message.get("headers", ()), *added]
        await send(message)

    return send_with_headers
