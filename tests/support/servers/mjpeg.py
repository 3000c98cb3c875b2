"""An HTTP server of moving images, as a network camera is one, that can be made to misbehave while it runs."""

from __future__ import annotations

import base64
import contextlib
import socket
import threading
import time
from collections.abc import Callable

import cv2
import numpy as np

BOUNDARY = "frame"


def moving_frame(number: int, size_hw: tuple[int, int]) -> np.ndarray:
    """A frame that differs from its neighbours: three grey levels in stripes that wander."""
    height, width = size_hw
    stripes = ((np.arange(width) + 4 * number) // max(4, width // 6)) % 3
    levels = np.array([40, 128, 215], np.uint8)[stripes]
    return np.repeat(np.repeat(levels[None, :, None], height, 0), 3, 2).copy()


class MjpegServer:
    """Serves ``/stream.mjpg`` on loopback to any number of clients.

    What is below may be set at any time; it holds from the next frame or connection on.

    Attributes:
        size_hw: of the frames.
        fps: frames a second.
        image: "moving", "black", "white", or "still" for the same frame over and over.
        truncate: every how many frames one lacks its second half; 0 for none.
        with_length: whether parts say their ``Content-Length``.
        chunked: whether the body comes in HTTP/1.1 chunks.
        stall: keep connections open and send nothing.
        refuse: close each new connection at once.
        mute: take each new connection and answer nothing.
        status: answer this instead of 200.
        location: where a redirect leads.
        user_password: "user:password" that are demanded; None for none.
        digest: whether they are to come by digest instead of in the open.
        part: makes the bytes of a frame's image; None for a JPEG.
        content_type: of the answer.
        connections: how many have come.
        requests: their heads.
    """

    def __init__(self, size_hw: tuple[int, int] = (48, 64), fps: float = 50.0) -> None:
        self.size_hw, self.fps, self.image, self.truncate = size_hw, fps, "moving", 0
        self.with_length, self.chunked = True, False
        self.stall = self.refuse = self.mute = False
        self.status, self.location = 200, ""
        self.user_password: str | None = None
        self.digest = False
        self.part: Callable[[int], bytes] | None = None
        self.content_type = f"multipart/x-mixed-replace; boundary={BOUNDARY}"
        self.connections = 0
        self.requests: list[str] = []
        self._clients: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._port = 0
        self._listener: socket.socket | None = None
        self.start()

    @property
    def port(self) -> int:
        return self._port

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}/stream.mjpg"

    def start(self) -> None:
        """Listens, again on the same port where it did before."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self._port))
        listener.listen()
        self._port = listener.getsockname()[1]
        self._ending.clear()
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def drop(self) -> None:
        """Ends all connections, as a power cut of a moment would; new ones are served."""
        with self._lock:
            clients = list(self._clients)
        for client in clients:
            with contextlib.suppress(OSError):  # it may have gone by itself
                client.shutdown(socket.SHUT_RDWR)

    def stop(self) -> None:
        """Ends all connections and listens no more, until :meth:`start`."""
        self._ending.set()
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        self.drop()

    close = stop

    def __enter__(self) -> MjpegServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            if self.refuse:
                client.close()
                continue
            with self._lock:
                self._clients.add(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            with client:
                head = b""
                while b"\r\n\r\n" not in head:
                    more = client.recv(4096)
                    if not more:
                        return
                    head += more
                self.requests.append(head.decode("latin-1"))
                while self.mute and not self._ending.is_set():
                    time.sleep(0.01)
                self._answer(client, self.requests[-1])
        except OSError:
            pass  # the client has gone, or the server ends
        finally:
            with self._lock:
                self._clients.discard(client)

    def _answer(self, client: socket.socket, head: str) -> None:
        if not self._is_let_in(head):
            kind = (
                'Digest realm="test", nonce="abc", qop="auth", algorithm=MD5'
                if self.digest
                else 'Basic realm="t"'
            )
            client.sendall(f"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: {kind}\r\n\r\n".encode())
            return
        if self.status != 200:
            location = f"Location: {self.location}\r\n" if self.location else ""
            client.sendall(f"HTTP/1.1 {self.status} Told\r\n{location}\r\n".encode())
            return
        chunked = "Transfer-Encoding: chunked\r\n" if self.chunked else ""
        client.sendall(f"HTTP/1.1 200 OK\r\nContent-Type: {self.content_type}\r\n{chunked}\r\n".encode())
        number = 0
        while not self._ending.is_set():
            if not self.stall:
                data = self.part_of(number)
                client.sendall(f"{len(data):x}\r\n".encode() + data + b"\r\n" if self.chunked else data)
                number += 1
            time.sleep(1 / self.fps)

    def _is_let_in(self, head: str) -> bool:
        if self.user_password is None:
            return True
        if self.digest:
            return self._digest_fits(head)
        wanted = base64.b64encode(self.user_password.encode()).decode()
        return f"Authorization: Basic {wanted}\r\n" in head

    def _digest_fits(self, head: str) -> bool:
        import hashlib
        from urllib.request import parse_http_list, parse_keqv_list

        line = next((x for x in head.split("\r\n") if x.startswith("Authorization: Digest ")), "")
        if not line:
            return False
        got = parse_keqv_list(parse_http_list(line.removeprefix("Authorization: Digest ")))
        user, password = str(self.user_password).split(":")

        def md5(text: str) -> str:
            return hashlib.md5(text.encode()).hexdigest()

        first, second = md5(f"{user}:test:{password}"), md5(f"GET:{got['uri']}")
        wanted = md5(f"{first}:abc:{got['nc']}:{got['cnonce']}:auth:{second}")
        return got["response"] == wanted and got["username"] == user

    def part_of(self, number: int) -> bytes:
        """The bytes of a frame's part, its head included."""
        data = self.part(number) if self.part is not None else self._jpeg(number)
        length = f"Content-Length: {len(data)}\r\n" if self.with_length else ""
        return f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\n{length}\r\n".encode() + data + b"\r\n"

    def _jpeg(self, number: int) -> bytes:
        if self.image == "moving":
            frame = moving_frame(number, self.size_hw)
        elif self.image == "still":
            frame = moving_frame(0, self.size_hw)
        else:
            frame = np.full((*self.size_hw, 3), 255 if self.image == "white" else 0, np.uint8)
        data = cv2.imencode(".jpg", frame)[1].tobytes()
        if self.truncate and number % self.truncate == self.truncate - 1:
            return data[: int(len(data) * 0.8)]
        return data
