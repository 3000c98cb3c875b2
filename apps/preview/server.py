"""The preview's server: a thread with its own event loop. The run never waits for it."""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from ...core.callbacks import OnMessage
from ...core.errors import EdgesegError, MissingDependencyError, OutputError
from ...core.labels import LabelMap
from ...core.standard_streams import tell
from ...runtime.forks import Owned, is_left_alone, stays_with_this_process
from ...runtime.sinks.base import Sink
from ...runtime.status import Status
from .accepting import accept
from .access import AccessControl
from .app import App
from .connections import Connections
from .head_reader import MOST_HEAD_BYTES
from .hub import Hub
from .options import PreviewOptions
from .protocol import http_protocol, websocket_protocol
from .recording_switch import RecordingSwitch
from .sink import PreviewSink

if TYPE_CHECKING:
    import uvicorn

log = logging.getLogger(__name__)

_NEEDS = ("uvicorn", "h11", "websockets", "prometheus_client")
_ALL_ADDRESSES = ("0.0.0.0", "::")
_MOST_MESSAGE_BYTES = 4 << 10
_SEND_BUFFER_BYTES = 256 << 10
"""The kernel's buffer for a client: a larger one would only hold older images."""

_RECEIVE_BUFFER_BYTES = 64 << 10
_BACKLOG = 256

_KEEP_ALIVE_SECONDS = 5
_START_SECONDS = 20.0
_CLOSE_SECONDS = 0.5
_NOTICE_SECONDS = 0.1
_CHECK_SECONDS = 0.5


def _free_the_port(server: PreviewServer, error: EdgesegError) -> None:
    """Closes a forked child's copy of the listener. While it is open, the port stays taken after the parent's end."""
    if server._listener is not None:
        server._listener.close()


_IN_A_CHILD = Owned("the preview page", OutputError, refuses=("start",), ignores=(), in_child=_free_the_port)


class PreviewServer:
    """Serves the preview page.

    Example:
        >>> server = PreviewServer(options, segmenter.labels)  # doctest: +SKIP
        >>> pipeline = Pipeline(source, segmenter, [server.sink(0)])  # doctest: +SKIP
        >>> server.start(pipeline.status)  # doctest: +SKIP

    Attributes:
        url: of the page, without the token; known once it has started.

    Args:
        options: the page's address, token and viewers.
        labels: the classes.
        recording: the switch for the page's button; None if there is nothing to record.
        on_message: prints the page's address, with the token if it was generated for this run.

    Threads: one thread starts and closes it; its sinks are for a pipeline's threads. A forked child cannot use it.

    Raises:
        MissingDependencyError: a package of the extra ``preview`` is not installed.
    """

    def __init__(
        self,
        options: PreviewOptions,
        labels: LabelMap,
        recording: RecordingSwitch | None = None,
        on_message: OnMessage = tell,
    ) -> None:
        for package in _NEEDS:
            try:
                importlib.import_module(package)
            except ImportError as error:
                raise MissingDependencyError(package, "preview", "the preview page") from error
        self.url = ""
        self._options = options
        self._hub = Hub(labels, recording, options.clients)
        self._connections = Connections(options.clients)
        self._on_message = on_message
        self._listener: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: uvicorn.Server | None = None
        self._accepting: asyncio.Future[None] | None = None
        self._started = threading.Event()
        self._failure: Exception | None = None

    def sink(self, number: int) -> Sink:
        """A sink that sends a source's outputs to the page.

        Args:
            number: of the source, from 1; 0 if there is only one.
        """
        return PreviewSink(self._hub.add_feed(number))

    def start(self, status: Callable[[], Status]) -> None:
        """Opens the port, and starts to serve.

        Args:
            status: asks the run for its status; called in a thread of the server.

        Raises:
            OutputError: the port is taken, or the address does not belong to this machine.
        """
        self._listener = listener = _listen(self._options)
        stays_with_this_process(self, _IN_A_CHILD)
        port = int(listener.getsockname()[1])
        host = self._options.host
        self.url = f"http://{_in_url(_own_address(host) if host in _ALL_ADDRESSES else host)}:{port}/"
        self._thread = threading.Thread(
            target=self._run, args=(listener, port, status), name="edgeseg preview", daemon=True
        )
        self._thread.start()
        if not self._started.wait(_START_SECONDS) or self._failure is not None:
            listener.close()
            raise OutputError(f"the preview page did not start: {self._failure or 'it does not answer'}")
        token = f"?token={self._options.token}" if self._options.generated else ""
        self._on_message(f"preview: {self.url}{token}")
        log.debug(
            "The preview page is being served.",
            extra={"event": "preview-started", "fields": {"port": port, "token": bool(self._options.token)}},
        )

    def close(self) -> None:
        """Notifies the viewers and ends, within half a second in all cases. Closing twice is harmless."""
        if is_left_alone(self):
            return
        thread, loop = self._thread, self._loop
        if thread is None:
            self._hub.detach()
            return
        self._thread = None
        if loop is not None and not loop.is_closed():
            try:
                loop.call_soon_threadsafe(self._begin_to_end)
            except RuntimeError:  # it ended by itself just now
                self._hub.detach()
        thread.join(_CLOSE_SECONDS)

    def _run(self, listener: socket.socket, port: int, status: Callable[[], Status]) -> None:
        try:
            asyncio.run(self._serve(listener, port, status))
        except Exception as error:
            # start() raises it. After the start, the run goes on without its page, and logs it.
            self._failure = error
            log.exception("The preview page has failed.", extra={"event": "preview-failed", "fields": {}})
        finally:
            self._hub.detach()
            self._started.set()
            listener.close()

    async def _serve(self, listener: socket.socket, port: int, status: Callable[[], Status]) -> None:
        import uvicorn

        # Its INFO records contain the token, and the run's log should not have a line for each request.
        for name in ("uvicorn.error", "uvicorn.access"):
            logging.getLogger(name).setLevel(logging.ERROR)
        app = App(self._hub, AccessControl(self._options, port), self._connections)
        config = uvicorn.Config(
            app,
            loop="asyncio",
            http=http_protocol(self._connections, app.may_watch),
            ws=websocket_protocol(self._connections),
            ws_max_size=_MOST_MESSAGE_BYTES,
            ws_per_message_deflate=False,
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=1,
            h11_max_incomplete_event_size=MOST_HEAD_BYTES,
        )
        self._server = uvicorn.Server(config)
        self._loop = asyncio.get_running_loop()
        self._hub.attach(self._loop, status)
        tasks = [asyncio.ensure_future(each) for each in (self._accept(listener), self._sweep_regularly())]
        self._accepting = tasks[0]
        try:
            await self._server.serve(sockets=[])  # with a socket, it would accept connections without limit
        finally:
            for task in tasks:
                task.cancel()
            self._connections.abort_all()

    async def _accept(self, listener: socket.socket) -> None:
        server = self._server
        assert server is not None
        while not server.started:
            await asyncio.sleep(0.01)
        self._started.set()
        config, state = server.config, server.server_state
        await accept(
            listener,
            self._connections,
            lambda: config.http_protocol_class(config=config, server_state=state, app_state={}),  # type: ignore[call-arg]
        )

    async def _sweep_regularly(self) -> None:
        while True:
            await asyncio.sleep(_CHECK_SECONDS)
            self._connections.sweep()
            if self._hub.watch.newest is None:
                self._hub.tick()

    def _begin_to_end(self) -> None:
        self._hub.ending = True
        for wake in self._hub.wakes:
            wake.set()
        asyncio.get_running_loop().call_later(_NOTICE_SECONDS if self._hub.wakes else 0, self._end)

    def _end(self) -> None:
        if self._accepting is not None:
            self._accepting.cancel()
        self._connections.abort_all()
        if self._server is not None:
            self._server.should_exit = self._server.force_exit = True


def _listen(options: PreviewOptions) -> socket.socket:
    """Opens a socket that listens. Raises OutputError, in one line, if that fails."""
    where = f"{_in_url(options.host)}:{options.port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            options.host, options.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, ValueError) as error:  # ValueError is for a malformed name
        raise OutputError(
            f"--preview {where}: {options.host} is no address of this machine ({error})"
        ) from error
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        # str(error) would repeat the number, and errors of asyncio have only words.
        why = os.strerror(error.errno) if error.errno else str(error)
        raise OutputError(
            f"--preview {where}: {why.lower()}; give another port, or an address of this machine"
        ) from error
    listener.setblocking(False)
    return listener


def _in_url(host: str) -> str:
    """A host in the form for a URL."""
    return f"[{host}]" if ":" in host else host


def _own_address(wildcard: str) -> str:
    """Returns the address at which others can probably reach this machine. Sends nothing.

    It is the address of the default route.
    """
    family, beyond = (socket.AF_INET, "192.0.2.1") if "." in wildcard else (socket.AF_INET6, "2001:db8::1")
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((beyond, 9))
            return str(probe.getsockname()[0])
        except OSError:
            return "localhost"
