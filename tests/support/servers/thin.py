"""A link between a server and its client that is too thin, or stands still for a while and gives all then."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time


class ThinLink:
    """A TCP relay on loopback. What the client sends goes through at once; what it is sent may have to wait.

    Args:
        port: of the server on loopback.
        bytes_a_second: that reach the client; None for no limit. May be changed at any time.
        chunk: bytes that go at once.
        bounded: whether it stops reading from the server while the client's bytes wait, as kernels do; else it reads
            on and keeps everything.

    Attributes:
        held: while set, nothing reaches the client.
    """

    def __init__(
        self, port: int, bytes_a_second: float | None = None, chunk: int = 1448, bounded: bool = False
    ) -> None:
        self.bytes_a_second, self.chunk, self.bounded = bytes_a_second, chunk, bounded
        self.held = threading.Event()
        self._server_port = port
        self._ending = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/stream.mjpg"

    def close(self) -> None:
        self._ending.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def __enter__(self) -> ThinLink:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            # As a link holds it: in the relay, and not in a kernel's buffer for the client.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with socket.create_connection(("127.0.0.1", self._server_port)) as server:
                self._pump(client, server)

    def _pump(self, client: socket.socket, server: socket.socket) -> None:
        waiting = bytearray()
        due = time.monotonic()
        while not self._ending.is_set():
            now = time.monotonic()
            if self.held.is_set():
                due = now
            blocked = self.held.is_set() or not waiting or now < due
            read = [client] if self.bounded and len(waiting) >= self.chunk else [client, server]
            pause = min(0.02, due - now) if waiting and not self.held.is_set() else 0.005
            ready, _, _ = select.select(read, [], [], max(0.0, pause) if blocked else 0)
            if client in ready:
                asked = client.recv(1 << 16)
                if not asked:
                    return
                server.sendall(asked)
            if server in ready:
                sent = server.recv(1 << 16)
                if not sent:
                    return
                waiting += sent
            if not blocked:
                rate, size = self.bytes_a_second, self.chunk if self.bytes_a_second else len(waiting)
                data = bytes(waiting[:size])
                del waiting[:size]
                client.sendall(data)
                due = max(due, now - 0.05) + (len(data) / rate if rate else 0.0)
