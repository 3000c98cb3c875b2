"""A small RTSP server: Motion JPEG in RTP (RFC 2435) interleaved in the connection (RFC 2326, 10.12), or over UDP."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
import socket
import struct
import threading
import time
from urllib.request import parse_http_list, parse_keqv_list

import cv2
import numpy as np

_CLOCK = 90000
_JPEG, _H264 = 26, 96
_REALM, _NONCE = "test", "abc"


def image_of(number: int, size_hw: tuple[int, int], kind: str) -> np.ndarray:
    """A frame: "moving" grey stripes that wander, "still", "black" or "white"."""
    height, width = size_hw
    if kind in ("black", "white"):
        return np.full((height, width, 3), 255 if kind == "white" else 0, np.uint8)
    stripes = ((np.arange(width) + (4 * number if kind == "moving" else 0)) // max(4, width // 6)) % 3
    levels = np.array([40, 128, 215], np.uint8)[stripes]
    return np.repeat(np.repeat(levels[None, :, None], height, 0), 3, 2).copy()


class RtspServer:
    """Serves ``/stream`` on loopback to any number of clients.

    What is below may be set at any time; it holds from the next frame or connection on.

    Attributes:
        size_hw: of the frames; multiples of 8.
        fps: frames a second.
        image: "moving", "still", "black" or "white".
        stall: keep connections open and send nothing.
        mute: take each new connection and answer nothing.
        refuse: close each new connection at once.
        lose: every how many packets one is lost; 0 for none.
        most_payload: the most bytes of an image that a packet has.
        user_password: "user:password" that are demanded; None for none.
        digest: whether they are to come by digest instead of in the open.
        status: answer this to DESCRIBE instead of 200.
        location: where a redirect leads.
        h264: images in H.264 (see :meth:`images_of`), which are sent over and over; None for JPEG. To be
            set before a client comes.
        connections: how many have come.
        requests: their heads.
    """

    def __init__(self, size_hw: tuple[int, int] = (48, 64), fps: float = 25.0) -> None:
        self.size_hw, self.fps, self.image = size_hw, fps, "moving"
        self.stall = self.mute = self.refuse = False
        self.lose, self.most_payload = 0, 1300
        self.user_password: str | None = None
        self.digest, self.status, self.location = True, 200, ""
        self.h264: list[list[bytes]] | None = None
        self.connections = 0
        self.requests: list[str] = []
        self._clients: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._port = 0
        self._listener: socket.socket | None = None
        self.start()

    @staticmethod
    def images_of(stream: bytes) -> list[list[bytes]]:
        """The images of an H.264 stream with start codes, one slice an image: the NAL units of each."""
        images: list[list[bytes]] = [[]]
        for nal in re.split(rb"\x00*\x00\x00\x01", stream)[1:]:
            images[-1].append(nal)
            if nal[0] & 0x1F in (1, 5):  # a slice, which ends its image
                images.append([])
        return images[:-1]

    @property
    def port(self) -> int:
        return self._port

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        return f"rtsp://{self.address}/stream"

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
        """Ends all connections; new ones are served."""
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

    def __enter__(self) -> RtspServer:
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
        session = _Session(self, client)
        try:
            with client:
                session.serve()
        except OSError:
            pass  # the client has gone, or the server ends
        finally:
            session.ended.set()
            with self._lock:
                self._clients.discard(client)

    @property
    def ending(self) -> bool:
        return self._ending.is_set()

    def lets_in(self, method: str, head: str) -> bool:
        if self.user_password is None:
            return True
        user, password = self.user_password.split(":")
        if not self.digest:
            return (
                f"Authorization: Basic {base64.b64encode(self.user_password.encode()).decode()}\r\n" in head
            )
        line = re.search(r"(?m)^Authorization: Digest (.*)\r$", head)
        if line is None:
            return False
        got = parse_keqv_list(parse_http_list(line[1]))

        def md5(text: str) -> str:
            return hashlib.md5(text.encode()).hexdigest()

        first, second = md5(f"{user}:{_REALM}:{password}"), md5(f"{method}:{got['uri']}")
        return got["username"] == user and got["response"] == md5(f"{first}:{_NONCE}:{second}")


class _Session:
    """One client."""

    def __init__(self, server: RtspServer, client: socket.socket) -> None:
        self._server, self._client = server, client
        self._sending = threading.Lock()
        self._udp: tuple[socket.socket, tuple[str, int]] | None = None
        self.ended = threading.Event()

    def serve(self) -> None:
        buffer = b""
        while not self._server.ending:
            while b"\r\n\r\n" not in buffer or buffer[:1] == b"$":
                if buffer[:1] == b"$" and len(buffer) >= 4:
                    length = 4 + int.from_bytes(buffer[2:4], "big")
                    if len(buffer) >= length:  # the client's own reports
                        buffer = buffer[length:]
                        continue
                more = self._client.recv(4096)
                if not more:
                    return
                buffer += more
            head, _, buffer = buffer.partition(b"\r\n\r\n")
            while self._server.mute and not self._server.ending:
                time.sleep(0.01)
            if not self._answer(head.decode("latin-1") + "\r\n"):
                return

    def _answer(self, head: str) -> bool:
        server = self._server
        server.requests.append(head)
        method = head.split(" ", 1)[0]
        number = re.search(r"(?mi)^CSeq: *(\d+)", head)
        lines, body = [f"CSeq: {number[1] if number else 0}"], ""
        status = "200 OK"
        if method != "OPTIONS" and not server.lets_in(method, head):
            status = "401 Unauthorized"
            kind = (
                f'Digest realm="{_REALM}", nonce="{_NONCE}"' if server.digest else f'Basic realm="{_REALM}"'
            )
            lines.append(f"WWW-Authenticate: {kind}")
        elif method == "OPTIONS":
            lines.append("Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER")
        elif method == "DESCRIBE" and server.status != 200:
            status = f"{server.status} Told"
            lines += [f"Location: {server.location}"] if server.location else []
        elif method == "DESCRIBE":
            body = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=test\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n"
            kind = "JPEG" if server.h264 is None else "H264"
            number_of_kind = _JPEG if server.h264 is None else _H264
            body += f"a=control:*\r\nm=video 0 RTP/AVP {number_of_kind}\r\n"
            body += f"a=rtpmap:{number_of_kind} {kind}/{_CLOCK}\r\na=control:track0\r\n"
            lines += ["Content-Type: application/sdp", f"Content-Base: {server.url}/"]
        elif method == "SETUP":
            lines += [f"Transport: {self._transport(head)}", "Session: 1"]
        elif method in ("PLAY", "TEARDOWN", "GET_PARAMETER"):
            lines.append("Session: 1")
        else:
            status = "501 Not Implemented"
        if body:
            lines.append(f"Content-Length: {len(body)}")
        text = f"RTSP/1.0 {status}\r\n" + "\r\n".join(lines) + "\r\n\r\n" + body
        with self._sending:
            self._client.sendall(text.encode())
        if method == "PLAY" and status == "200 OK":
            threading.Thread(target=self._play, daemon=True).start()
        return method != "TEARDOWN"

    def _transport(self, head: str) -> str:
        ports = re.search(r"client_port=(\d+)-(\d+)", head)
        if ports is None:
            return "RTP/AVP/TCP;unicast;interleaved=0-1"
        own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        own.bind(("127.0.0.1", 0))
        self._udp = own, ("127.0.0.1", int(ports[1]))
        port = own.getsockname()[1]
        return f"RTP/AVP;unicast;client_port={ports[1]}-{ports[2]};server_port={port}-{port + 1}"

    def _play(self) -> None:
        sequence = number = 0
        start = time.monotonic()
        with contextlib.suppress(OSError):  # the client has gone, or the server ends
            while not self.ended.is_set() and not self._server.ending:
                if not self._server.stall:
                    stamp = int((time.monotonic() - start) * _CLOCK) & 0xFFFFFFFF
                    h264 = self._server.h264
                    payloads = (
                        _nal_payloads(h264[number % len(h264)], self._server.most_payload)
                        if h264
                        else self._payloads(number)
                    )
                    for marker, payload in payloads:
                        kind = _H264 if h264 else _JPEG
                        head = struct.pack(">BBHII", 0x80, kind | marker << 7, sequence & 0xFFFF, stamp, 7)
                        sequence += 1
                        if not self._server.lose or sequence % self._server.lose:
                            self._send(head + payload)
                    number += 1
                time.sleep(1 / self._server.fps)

    def _send(self, packet: bytes) -> None:
        if self._udp is not None:
            self._udp[0].sendto(packet, self._udp[1])
            return
        with self._sending:
            self._client.sendall(b"$\x00" + struct.pack(">H", len(packet)) + packet)

    def _payloads(self, number: int) -> list[tuple[int, bytes]]:
        """A frame in RTP payloads, each with its marker bit: the last of a frame has it."""
        height, width = self._server.size_hw
        data = cv2.imencode(".jpg", image_of(number, (height, width), self._server.image))[1].tobytes()
        tables, scan = _tables_and_scan(data)
        payloads, most = [], self._server.most_payload
        for offset in range(0, len(scan), most):
            piece = scan[offset : offset + most]
            # Type 1 is 4:2:0, which is how OpenCV writes; 255 says that the tables come along.
            head = struct.pack(">B3sBBBB", 0, offset.to_bytes(3, "big"), 1, 255, width // 8, height // 8)
            if offset == 0:
                head += struct.pack(">BBH", 0, 0, len(tables)) + tables
            payloads.append((int(offset + len(piece) >= len(scan)), head + piece))
        return payloads


def _tables_and_scan(data: bytes) -> tuple[bytes, bytes]:
    """The quantization tables and the entropy-coded scan of a baseline JPEG."""
    at, tables = 2, b""
    while True:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xDB:
            segment = data[at + 4 : at + 2 + length]
            tables += b"".join(segment[i + 1 : i + 65] for i in range(0, len(segment), 65))
        at += 2 + length
        if marker == 0xDA:
            return tables, data[at:-2]


def _nal_payloads(nals: list[bytes], most: int) -> list[tuple[int, bytes]]:
    """An image in RTP payloads (RFC 6184): a NAL unit each, or its fragments."""
    payloads = []
    for nal in nals:
        if len(nal) <= most:
            payloads.append(nal)
            continue
        for at in range(1, len(nal), most):
            first, last = at == 1, at + most >= len(nal)
            head = bytes([nal[0] & 0xE0 | 28, first << 7 | last << 6 | nal[0] & 0x1F])
            payloads.append(head + nal[at : at + most])
    return [(int(number == len(payloads) - 1), payload) for number, payload in enumerate(payloads)]
