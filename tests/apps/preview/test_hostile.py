"""Requests that wish the page ill, over real connections: what they are answered, and what that costs the server.

Nothing here knows how the server is made: it sees bytes, the log, and the processor time of the server's thread.
``python -m pytest tests/apps/preview/test_hostile.py -s -k "costs"`` prints the table of docs/preview.md.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import random
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

TOKEN = "a-token-of-the-test-0123456789"
MOST_CPU_MS = 250.0
"""Of the server's thread, a request. Each takes a few here; the worst of them took a second to half a minute."""

PATIENCE_SECONDS = 60.0
HOST = b"Host: localhost\r\n"
UPGRADE = (
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\n"
)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
TLS_HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(range(1, 190))
HTTP_2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000")


def get(path: bytes = b"/", fields: bytes = b"", host: bytes = HOST) -> bytes:
    return b"GET " + path + b" HTTP/1.1\r\n" + host + fields + b"\r\n"


def post(body: bytes, fields: bytes = b"", path: bytes = b"/recording") -> bytes:
    length = b"Content-Length: %d\r\n" % len(body)
    return b"POST " + path + b" HTTP/1.1\r\n" + HOST + (fields or length) + b"\r\n" + body


def frame(payload: bytes, opcode: int = 1, fin: bool = True, reserved: int = 0, masked: bool = True) -> bytes:
    """A WebSocket frame as a client sends it, its mask of zeros."""
    head = bytes([fin << 7 | reserved | opcode])
    length = len(payload)
    if length < 126:
        head += bytes([masked << 7 | length])
    else:
        head += bytes([masked << 7 | 126]) + struct.pack("!H", length)
    return head + (b"\0\0\0\0" if masked else b"") + payload


def quoted(count: int) -> bytes:
    """A cookie whose value is escaped quotes."""
    return b'Cookie: a="' + b'\\"' * count + b'"\r\n'


FEW_FIELDS = b"&".join(b"a%d=1" % number for number in range(20))
MANY_FIELDS = FEW_FIELDS + b"&b=1"
UNKNOWN = b"Host: evil.example\r\n"

# What is sent, and what may be answered. To a server that asks for a token, and gets none.
WITHOUT_TOKEN: dict[str, tuple[bytes, set[int]]] = {
    'a cookie of `\\"`, 7 kB': (get(fields=quoted(3500)), {401}),
    'a cookie of `\\"`, 60 kB': (get(fields=quoted(30_000)), {431}),
    'a cookie of `\\"`, 120 kB': (get(fields=quoted(60_000)), {431}),
    "an open quote and 7 kB of backslashes": (get(fields=b'Cookie: a="' + b"\\" * 7000 + b"\r\n"), {401}),
    "20,000 header lines": (get(fields=b"a:\n" * 20_000), {431}),
    "4,000 header lines": (get(fields=b"a:\n" * 4000), {431}),
    "1,000 folded header lines": (get(fields=b"a: b\r\n" + b" c\r\n" * 1000), {400, 431}),
    "40 kB of one header": (get(fields=b"X: " + b"x" * 40_000 + b"\r\n"), {431}),
    "300 kB with no line end": (b"GET /" + b"x" * 300_000, {414, 431}),
    "a path of 9,000 bytes": (get(b"/" + b"x" * 9000), {414}),
    "more than 20 query fields": (get(b"/?" + MANY_FIELDS), {401}),
    "more than 20 query fields, another Host": (get(b"/?" + MANY_FIELDS, host=UNKNOWN), {421}),
    "7 kB of `&`": (get(b"/?" + b"&" * 7000), {401}),
    "7 kB of `%41` as token": (get(b"/?token=" + b"%41" * 2300), {401}),
    "two Hosts": (get(host=HOST + UNKNOWN), {400, 421}),
    "a Host of 7 kB": (get(host=b"Host: " + b"a." * 3500 + b"\r\n"), {421}),
    "a Host with a port of 7 kB": (get(host=b"Host: localhost:" + b"9" * 7000 + b"\r\n"), {421}),
    "an Authorization of 7 kB": (get(fields=b"Authorization: Bearer " + b"x" * 7000 + b"\r\n"), {401}),
    "a body announced of 10 GB": (post(b"x" * 100_000, b"Content-Length: 10000000000\r\n"), {401, 413}),
    "a WebSocket with a wrong key, another Host": (
        get(b"/live", UPGRADE.replace(b"bm9u", b"!!!!"), host=UNKNOWN),
        {421},
    ),
    "a WebSocket with a wrong key": (get(b"/live", UPGRADE.replace(b"bm9u", b"!!!!")), {401}),
    "a WebSocket of version 99": (get(b"/live", UPGRADE.replace(b": 13", b": 99")), {401}),
    "a WebSocket by POST": (get(b"/live", UPGRADE).replace(b"GET", b"POST"), {401}),
}

# To a server on loopback, which asks for none.
ALLOWED: dict[str, tuple[bytes, set[int]]] = {
    "20 query fields": (get(b"/?" + FEW_FIELDS), {200}),
    "21 query fields": (get(b"/?" + MANY_FIELDS), {400}),
    "a TLS hello": (TLS_HELLO, {400}),
    "the preface of HTTP/2": (HTTP_2, {400, 421, 505}),
    "HTTP/0.9": (b"GET /\r\n\r\n", {400}),
    "HTTP/1.0 without Host": (b"GET / HTTP/1.0\r\n\r\n", {400, 421}),
    "HTTP/1.0": (b"GET / HTTP/1.0\r\n" + HOST + b"\r\n", {200}),
    "HTTP/3.0": (b"GET / HTTP/3.0\r\n" + HOST + b"\r\n", {400, 505}),
    "empty lines alone": (b"\r\n" * 50_000, {400}),
    "zero bytes": (b"\0" * 100_000, {400}),
    "a zero byte in a header": (get(fields=b"X: a\0b\r\n"), {400}),
    "a control character in a header": (get(fields=b"X: a\x01b\r\n"), {400}),
    "a header without a name": (get(fields=b": x\r\n"), {400}),
    "a blank before the colon": (get(fields=b"X : x\r\n"), {400}),
    "a length that is no number": (post(b"", b"Content-Length: x\r\n"), {400}),
    "a length below zero": (post(b"", b"Content-Length: -1\r\n"), {400}),
    "a length of 5,000 digits": (post(b"", b"Content-Length: " + b"9" * 5000 + b"\r\n"), {400, 413}),
    "two lengths": (post(b"x", b"Content-Length: 1\r\nContent-Length: 2\r\n"), {400}),
    "a length, and chunks": (post(b"0\r\n\r\n", b"Content-Length: 1\r\n" + CHUNKED), {400, 411, 413}),
    "another transfer coding": (post(b"", b"Transfer-Encoding: gzip\r\n"), {400, 411, 501}),
    "40,000 chunks of one byte": (post(b"1\r\nx\r\n" * 40_000, CHUNKED), {400, 411, 413}),
    "a chunk that never ends": (post(b"FFFFFFF\r\n" + b"x" * 200_000, CHUNKED), {400, 411, 413}),
    "a chunk's size that never ends": (post(b"1;" + b"x" * 200_000, CHUNKED), {400, 411, 413}),
    "a chunk's size that is none": (post(b"zz\r\n", CHUNKED), {400, 411, 413}),
    "a GET with chunks that are none": (get(fields=CHUNKED) + b"zz\r\n", {400, 411, 413}),
    "a stream with chunks that are none": (get(b"/stream.mjpg", CHUNKED) + b"zz\r\n", {400, 411, 413}),
    "a GET with a body of 10 GB": (get(fields=b"Content-Length: 10000000000\r\n") + b"x" * 500_000, {413}),
    "a body of 2 kB": (post(b" " * 2000), {413}),
    "a body of 10 GB": (post(b"x" * 500_000, b"Content-Length: 10000000000\r\n"), {413}),
    "a body of 1000 `[`": (post(b"[" * 1000), {400}),
    'a body of 200 `{"a":`': (post(b'{"a":' * 200), {400}),
    "a body of 1000 digits": (post(b"9" * 1000), {400}),
    "a body that is not UTF-8": (post(b"\xff" * 1000), {400}),
    "a body of half a surrogate": (post(b'{"active": "\\ud800"}'), {400}),
    "1,000 ranges": (get(fields=b"Range: bytes=" + b"0-1," * 1000 + b"\r\n"), {200}),
    "7 kB of Accept-Encoding": (get(fields=b"Accept-Encoding: " + b"gzip," * 1400 + b"\r\n"), {200}),
    "60 headers": (get(fields=b"".join(b"x%d: y\r\n" % number for number in range(60))), {200}),
    "7 kB of Accept for the metrics": (
        get(b"/metrics", b"Accept: " + b"text/plain;," * 580 + b"\r\n"),
        {200},
    ),
    "Accept of a version that is none": (get(b"/metrics", b"Accept: text/plain;version=x\r\n"), {200}),
    "OpenMetrics of a version that is none": (
        get(b"/metrics", b"Accept: application/openmetrics-text;version=x;escaping=\r\n"),
        {200},
    ),
    "a path that is not UTF-8": (get(b"/%ff%fe%00"), {404}),
    "a path upwards": (get(b"/..%2f..%2f%2e%2e/etc/passwd"), {404}),
    "7 kB of `%`": (get(b"/" + b"%" * 7000), {404}),
    "7 kB of `%41`": (get(b"/" + b"%41" * 2300), {404}),
    "a source of 7 kB of digits": (get(b"/snapshot?source=" + b"9" * 7000), {404}),
    "another's address": (get(b"http://evil.example/"), {404}),
    "OPTIONS *": (get(b"*").replace(b"GET", b"OPTIONS"), {404, 405}),
    "CONNECT": (get(b"evil.example:443").replace(b"GET", b"CONNECT"), {400, 404, 405}),
    "TRACE": (get().replace(b"GET", b"TRACE"), {405}),
    "a method of 7 kB": (get().replace(b"GET", b"X" * 7000), {405}),
    "Upgrade: h2c": (get(fields=b"Upgrade: h2c\r\nConnection: Upgrade\r\n"), {200}),
    "a WebSocket elsewhere": (get(b"/", UPGRADE), {404}),
    "a WebSocket with a body": (
        get(b"/live", UPGRADE + b"Content-Length: 5\r\n") + b"xxxxx",
        {400, 413, 426},
    ),
    "a WebSocket over HTTP/1.0": (get(b"/live", UPGRADE).replace(b"/1.1", b"/1.0"), {400, 426, 505}),
    "a WebSocket without a key": (get(b"/live", UPGRADE.replace(b"-Key", b"-Kez")), {400, 426}),
    "a WebSocket of odd options": (
        get(b"/live", UPGRADE.replace(b": Upgrade", b": Upgrade, ;=")),
        {400, 426},
    ),
    "a WebSocket with 7 kB of extensions": (
        get(b"/live", UPGRADE + b"Sec-WebSocket-Extensions: " + b"permessage-deflate;" * 360 + b"\r\n"),
        {101},
    ),
    "5,000 requests at once": (get(b"/healthz") * 5000, {200}),
}


class Server:
    """A server as its clients and its machine see it."""

    def __init__(self, run: Any) -> None:
        self.run = run
        address = urlsplit(run.server.url)
        self.address = (address.hostname, address.port)
        self._clocks = [
            time.pthread_getcpuclockid(thread.ident)
            for thread in threading.enumerate()
            if thread.name == "edgeseg preview" and thread.ident is not None
        ]

    @property
    def cpu_ms(self) -> float:
        """The processor time of the thread that serves so far; those of other tests' servers stand still meanwhile."""
        return 1e3 * sum(time.clock_gettime(clock) for clock in self._clocks)

    def connect(self, data: bytes = b"", source: str = "") -> socket.socket:
        """A connection, and what is sent on it."""
        raw = socket.create_connection(
            self.address, timeout=PATIENCE_SECONDS, source_address=(source, 0) if source else None
        )
        send(raw, data)
        return raw

    def ask(self, request: bytes, source: str = "") -> tuple[int, bytes]:
        """The status of the first answer, 0 where the connection just ended, and all that came until its end."""
        with self.connect(request, source) as raw:
            answer = head = first(raw)
        status = int(head.split(maxsplit=2)[1]) if head.startswith(b"HTTP/1.1 ") else 0
        return status, answer

    def healthy(self, source: str = "") -> bool:
        return self.ask(get(b"/healthz", b"Connection: close\r\n"), source)[0] == 200

    def live(self) -> socket.socket:
        """A WebSocket that is open, its handshake's answer read."""
        raw = self.connect(get(b"/live", UPGRADE))
        assert raw.recv(12) == b"HTTP/1.1 101"
        return raw


def send(raw: socket.socket, data: bytes) -> None:
    """Sends; a server may answer and close before it has all."""
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        raw.sendall(data)


def first(raw: socket.socket) -> bytes:
    """The first that comes; empty where nothing does."""
    try:
        return raw.recv(1 << 16)
    except ConnectionResetError:
        return b""


def rest(raw: socket.socket) -> bytes:
    """All that comes until the connection ends."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := raw.recv(1 << 16):
            data += piece
    return data


@pytest.fixture(scope="module")
def guarded(make_lasting_run: Callable[..., Any]) -> Server:
    """A page that asks for a token."""
    return Server(make_lasting_run(token=TOKEN).begin(playing=False))


@pytest.fixture(scope="module")
def server(make_lasting_run: Callable[..., Any]) -> Server:
    """A page on loopback."""
    return Server(make_lasting_run().begin(playing=False))


class Told(logging.Handler):
    """Keeps what is logged as an error, or with a traceback."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info or record.levelno > logging.WARNING:
            self.records.append(f"{record.name}: {record.getMessage()} {record.exc_info}")


@pytest.fixture(scope="module")
def told() -> Iterator[Told]:
    handler = Told()
    logging.getLogger().addHandler(handler)
    yield handler
    gc.collect()  # asyncio tells of a task that failed when nobody holds it any more
    logging.getLogger().removeHandler(handler)
    assert not handler.records


@pytest.fixture(autouse=True)
def no_traceback(told: Told) -> Iterator[None]:
    """Nothing that a client sends is an error of ours, or fills the log."""
    yield
    records, told.records = told.records, []
    assert not records


def costs(server: Server, name: str, request: bytes, statuses: set[int]) -> None:
    assert server.healthy()
    before = server.cpu_ms
    status, _ = server.ask(request)
    healthy = server.healthy()
    spent = server.cpu_ms - before
    print(f"| {name} | {len(request)} | {status} | {spent:.1f} |")
    assert status in statuses
    assert healthy
    assert spent < MOST_CPU_MS


@pytest.mark.parametrize("name", WITHOUT_TOKEN)
def test_what_a_request_without_a_token_costs(guarded: Server, name: str) -> None:
    costs(guarded, name, *WITHOUT_TOKEN[name])


@pytest.mark.parametrize("name", ALLOWED)
def test_what_a_hostile_request_costs(server: Server, name: str) -> None:
    costs(server, name, *ALLOWED[name])


def test_one_who_sends_many_requests_at_once_gets_one_answer(server: Server) -> None:
    with server.connect(get(b"/healthz") * 5000) as raw:
        assert rest(raw).count(b"HTTP/1.1 ") == 1


def test_a_refusal_is_read_whole_and_ends_the_connection(server: Server) -> None:
    with server.connect(get(fields=quoted(30_000))) as raw:
        answer = rest(raw)
    assert answer.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
    assert b"\r\nconnection: close\r\n" in answer
    assert b"nosniff" in answer
    assert answer.endswith(b"\r\n\r\nexpected at most 64 headers\n") or answer.endswith(b" each\n")


SAID: dict[str, tuple[bytes, int | None]] = {
    "text that is not UTF-8": (frame(b"\xff\xfe"), 1007),
    "text that is not UTF-8, a hundred times": (frame(b"\xff\xfe") * 100, 1007),
    "half a letter in each of two fragments": (frame(b"\xc3", fin=False) + frame(b"\x28", 0), 1007),
    "4 kB of `[`": (frame(b"[" * 4000), None),
    "odd watches": (frame(b'{"watch": true}') + frame(b'{"watch": [[]]}') + frame(b'{"drawn": 1e999}'), None),
    "bytes": (frame(b"\0" * 4000, 2), None),
    "5 kB": (frame(b"x" * 5000), 1009),
    "a message announced of 8 EiB": (bytes([0x81, 0xFF]) + b"\x7f" + b"\xff" * 7 + b"\0" * 4, 1009),
    "a compressed bomb": (frame(b"\xaa" * 1000, reserved=0x40), 1002),
    "reserved bits": (frame(b"x", reserved=0x10), 1002),
    "an unknown opcode": (frame(b"x", 11), 1002),
    "no mask": (frame(b"x", masked=False), 1002),
    "a fragment of nothing": (frame(b"x", 0), 1002),
    "text within fragments": (frame(b"x", fin=False) + frame(b"y"), 1002),
    "a ping of 200 bytes": (frame(b"x" * 200, 9), 1002),
    "half a ping": (frame(b"x", 9, fin=False), 1002),
    "a close of one byte": (frame(b"x", 8), 1002),
    "a close of no code": (frame(b"\0\0", 8), 1002),
    "a close that is not UTF-8": (frame(b"\x03\xe8\xff", 8), 1007),
    "a close, and more": (frame(b"\x03\xe8", 8) + frame(b"\xff") * 10, 1000),
    "40,000 pings": (frame(b"", 9) * 40_000, None),
    "40,000 messages": (frame(b"{}") * 40_000, None),
    "40,000 fragments of nothing": (frame(b"", fin=False) + frame(b"", 0, fin=False) * 40_000, None),
    "bytes at random": (bytes(range(256)) * 40, 1002),
    "a request": (get(b"/status"), 1002),
}
"""Messages on a WebSocket, and the code that it is closed with; None where it may be cut, or go on."""


@pytest.mark.parametrize("name", SAID)
def test_what_a_websocket_says_costs(server: Server, name: str) -> None:
    said, code = SAID[name]
    with server.live() as raw:
        before = server.cpu_ms
        send(raw, said)
        answered = close_code(raw) if code is not None else None
        healthy = server.healthy()
        spent = server.cpu_ms - before
    print(f"| {name} | {len(said)} | {code or ''} | {spent:.1f} |")
    assert answered == code
    assert healthy
    assert spent < MOST_CPU_MS


def close_code(raw: socket.socket) -> int:
    """The code that the server closes a WebSocket with; what it said before is skipped."""
    data = rest(raw)
    _, _, data = data.partition(b"\r\n\r\n")
    while data:
        opcode, length, start = data[0] & 15, data[1], 2
        if length == 126:
            (length,), start = struct.unpack_from("!H", data, 2), 4
        elif length == 127:
            (length,), start = struct.unpack_from("!Q", data, 2), 10
        payload, data = data[start : start + length], data[start + length :]
        if opcode == 8:
            return int.from_bytes(payload[:2], "big")
    return 0


def was_cut(raw: socket.socket) -> bool:
    """Returns whether a connection was reset, whatever is still to be read on it."""
    watched = select.poll()
    watched.register(raw, 0)
    return bool(watched.poll(0))


def test_fragments_of_nothing_are_not_kept_for_ever(server: Server, until: Callable[..., None]) -> None:
    with server.live() as raw:
        send(raw, frame(b"", fin=False) + frame(b"", 0, fin=False) * 40)
        until(lambda: send(raw, frame(b"", 9)) or was_cut(raw), "it is cut")


def test_what_comes_before_a_handshake_is_answered_harms_nothing(server: Server) -> None:
    for _ in range(20):
        with server.connect(get(b"/live", UPGRADE)) as raw:
            send(raw, frame(b"here", 9))
            send(raw, frame(b"\x03\xe8", 8))
            data = rest(raw)
        assert not data or data.startswith(b"HTTP/1.1 101")
        assert data.count(b"\x8a\x04here") == data.count(b"HTTP")


def ended(raw: socket.socket) -> bool:
    """Returns whether the server has ended a connection on which it said nothing."""
    return bool(select.select([raw], [], [], 0)[0]) and first(raw) == b""


@pytest.mark.parametrize("source", ["127.0.0.1", "127.0.0.2"])
def test_idle_sockets_that_come_again_shut_nobody_out(server: Server, source: str) -> None:
    idle = [server.connect(source=source) for _ in range(80)]
    dropped = 0
    for _ in range(5):
        assert server.healthy()
        gone = [number for number, raw in enumerate(idle) if ended(raw)]
        dropped += len(gone)
        for number in gone:
            idle[number].close()
            idle[number] = server.connect(source=source)
    assert dropped >= 20
    for raw in idle:
        raw.close()


def test_whoever_connects_and_goes_costs_little(server: Server) -> None:
    before = server.cpu_ms
    for _ in range(200):
        raw = server.connect()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raw.close()  # with a reset
    assert server.healthy()
    assert server.cpu_ms - before < 200 * MOST_CPU_MS / 20


def test_one_connection_that_asks_without_end_is_told_to_wait(server: Server) -> None:
    statuses = set()
    with server.connect() as raw:
        for _ in range(400):
            send(raw, get(b"/healthz"))
            answer = b""
            while not answer.endswith(b"ok\n") and (piece := first(raw)):
                answer += piece
            if not answer:
                break
            statuses.add(answer.split()[1])
    assert {b"200"} <= statuses <= {b"200", b"503"}
    assert server.healthy()


def test_a_body_that_does_not_come_is_waited_for_a_while(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeseg.apps.preview.asgi.BODY_SECONDS", 0.2)
    assert server.ask(post(b"{", b"Content-Length: 9\r\n"))[0] == 408


def noise(make_output: Callable[..., Any]) -> Any:
    """An output whose snapshot is larger than all that the machine keeps for a connection."""
    output = make_output(1, (900, 1200))
    output.frame_bgr[:] = np.random.default_rng(7).integers(0, 256, output.frame_bgr.shape, np.uint8)
    return output


def asleep(server: Server, path: bytes) -> socket.socket:
    """A client that has read the first bytes of an answer, and reads no more."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.settimeout(PATIENCE_SECONDS)
    raw.connect(server.address)
    raw.sendall(get(path))
    assert raw.recv(12) == b"HTTP/1.1 200"
    return raw


def test_a_snapshot_that_nobody_reads_is_not_kept(
    make_run: Callable[..., Any],
    make_output: Callable[..., Any],
    until: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edgeseg.apps.preview.app.SLOW_SECONDS", 0.3)
    server = Server(make_run().begin(playing=False))
    server.run.write(noise(make_output))
    with asleep(server, b"/snapshot") as raw:
        until(lambda: was_cut(raw), "it is cut, though it has bytes to read")


def test_those_who_ask_for_much_and_do_not_read_are_few(
    make_run: Callable[..., Any], make_output: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeseg.apps.preview.app.SLOW_SECONDS", PATIENCE_SECONDS)
    server = Server(make_run().begin(playing=False))
    server.run.write(noise(make_output))
    sleepers = [asleep(server, b"/snapshot") for _ in range(4)]
    assert server.ask(get(b"/snapshot"))[0] == 503
    assert server.healthy()
    for raw in sleepers:
        raw.close()


WORDS = (
    b"GET", b"POST", b" ", b"/", b"/live", b"?", b"&", b"=", b"%", b"HTTP/1.1", b"HTTP/1.0", b"\r\n", b"\n", b":",
    b"Host: localhost\r\n", b"Content-Length: 4\r\n", CHUNKED, UPGRADE, b"Connection: close\r\n", b"\0", b"\xff",
    b"Expect: 100-continue\r\n", b"Cookie: a=b\r\n", b"Origin: null\r\n", b"4\r\nabcd\r\n", b"0\r\n\r\n", b"\r\n\r\n",
)  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_what_is_put_together_at_random_is_answered_and_fails_nowhere(server: Server, seed: int) -> None:
    chance = random.Random(seed)
    whole = [request for request, _ in (*WITHOUT_TOKEN.values(), *ALLOWED.values()) if len(request) < 300]
    for _ in range(60):
        request = bytearray(chance.choice(whole))
        for _ in range(chance.randrange(4)):
            start = chance.randrange(len(request))
            request[start : start + chance.randrange(8)] = chance.choice(WORDS)
        with server.connect(bytes(request)) as raw:
            raw.shutdown(socket.SHUT_WR)
            answer = first(raw)
        assert not answer or answer.startswith(b"HTTP/1.1 ")
        assert not answer.startswith(b"HTTP/1.1 500"), bytes(request)
    assert server.healthy()
