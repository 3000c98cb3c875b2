"""Those who watch, and what they must not do to a run."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import re
import select
import socket
import threading
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from edgeseg.runtime.clock import now
from edgeseg.runtime.reasons import SOURCE_LOST

from .bench import Bench
from .live_run import PATIENCE_SECONDS, LiveRun
from .outcome import NotHereError, Outcome, UnexpectedOutcomeError, expect, fault
from .outputs import rate_of
from .servers import mjpeg_server

_SIZE_HW, _FPS = (480, 640), 15.0
_SECONDS = 2.0
_SLOWER, _SLOWER_WHERE_BUSY = 0.9, 0.4
_WATCHING = 4
_TOKEN = "a-token-of-the-fault-suite-0123456789"
_BOMBS = {
    "a cookie of 60,000 escaped quotes": b'Cookie: a="' + b'\\"' * 60_000 + b'"\r\n',
    "20,000 header lines": b"a:\n" * 20_000,
    "a header of 300 kB": b"X: " + b"x" * 300_000 + b"\r\n",
    "4 kB of folded lines": b"a: b\r\n" + b" c\r\n" * 1000,
}
_TIMES = 5
_IDLE_SOCKETS, _ROUNDS = 80, 30
_HEALTH_SECONDS = 1.0
"""Within which a watch of one's own must hear that the process lives."""


class Watcher:
    """A viewer of the plain stream that reads, in a thread of its own, and counts the images.

    Args:
        port: of the page.

    Attributes:
        images: that have come so far.
        ended: whether the server has ended the connection.
    """

    def __init__(self, port: int) -> None:
        self.images, self.ended = 0, False
        self._socket = never_reading(port, 1 << 16)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        tail = b""
        try:
            while data := self._socket.recv(1 << 16):
                self.images += (tail + data).count(b"\xff\xd8\xff") - tail.count(b"\xff\xd8\xff")
                tail = data[-2:]
        except OSError:
            pass  # closed by close(), or by the server
        self.ended = True

    def close(self) -> None:
        """Goes."""
        self._socket.close()


def never_reading(port: int, buffer_bytes: int = 4096, path: str = "/stream.mjpg") -> socket.socket:
    """A viewer that asks, and leaves it at that."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
    raw.settimeout(PATIENCE_SECONDS)
    raw.connect(("127.0.0.1", port))
    upgrade = (
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Sec-WebSocket-Version: 13\r\n"
    )
    head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{upgrade if path == '/live' else ''}\r\n"
    raw.sendall(head.encode())
    return raw


def port_of(live_run: LiveRun) -> int:
    """The port of a run's page, from what it has printed."""
    found: list[str] = []

    def is_told() -> bool:
        found[:] = re.findall(r"preview: http://127\.0\.0\.1:(\d+)/", live_run.log)
        return bool(found)

    live_run.until(is_told, "told where the page is")
    return int(found[0])


def ask(port: int, path: str) -> tuple[int, Any]:
    """A page's status and what it says in JSON; None where it is none."""
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE_SECONDS) as answer:
            status, body = answer.status, answer.read()
    except HTTPError as error:
        status, body = error.code, error.read()
    try:
        return status, json.loads(body)
    except ValueError:
        return status, None


def _check_installed() -> None:
    for package in ("h11", "prometheus_client", "uvicorn", "websockets"):
        if importlib.util.find_spec(package) is None:
            raise NotHereError(f"{package} is not installed, which the preview page needs")


@fault(
    "8 preview clients of which 4 never read",
    "four viewers that ask and never read, two of the page and two of the plain stream, beside four that do",
    "as many results a second as without; those who read get images; the others are dropped",
    slow=True,
)
def clients(bench: Bench) -> Outcome:
    """Phones that have gone to sleep."""
    _check_installed()
    with (
        mjpeg_server(size_hw=_SIZE_HW, fps=_FPS) as server,
        bench.start(server.url, "--preview", "0") as live_run,
    ):
        port = port_of(live_run)
        before = rate_of(live_run, live_run.valid()["monotonic_s"], _SECONDS)
        began_at = now()
        stuck = [
            never_reading(port, path=path) for path in ("/live", "/live", "/stream.mjpg", "/stream.mjpg")
        ]
        watching = [Watcher(port) for _ in range(_WATCHING)]
        live_run.until(lambda: ask(port, "/status")[1]["viewers"] == 8, "eight viewers")
        during = rate_of(live_run, now(), _SECONDS)
        live_run.until(lambda: ask(port, "/status")[1]["viewers"] == _WATCHING, "the stuck ones are dropped")
        dropped_at = now()
        counts = [watcher.images for watcher in watching]
        live_run.until(
            lambda: all(w.images > count + 5 for w, count in zip(watching, counts, strict=True)), "images"
        )
        bad = [each for each in live_run.verdicts(began_at, now()) if not each[1]]
        live_run.check_ages()
        for viewer in stuck:
            viewer.close()
        for watcher in watching:
            watcher.close()
    expect(not bad, f"results were not valid: {bad[:3]}")
    share = _SLOWER_WHERE_BUSY if bench.pace.slack_s else _SLOWER
    expect(during >= share * before, f"{during:.1f} results a second with viewers, {before:.1f} without")
    return Outcome(
        f"{before:.1f} results a second without, {during:.1f} with; the four were dropped",
        dropped_at - began_at,
    )


@fault(
    "camera lost, asked through `/readyz`",
    "real HTTP server ends its connections and its port, then is back",
    "503 with `source-lost` within the age and half a second; `/healthz` stays 200; 200 again afterwards",
)
def readiness(bench: Bench) -> Outcome:
    """A load balancer or a watch of one's own."""
    _check_installed()
    with (
        mjpeg_server(size_hw=(120, 160), fps=25.0) as server,
        bench.start(server.url, "--preview", "0") as live_run,
    ):
        port = port_of(live_run)
        live_run.until(lambda: ask(port, "/readyz")[0] == 200, "ready")
        began_at = now()
        server.stop()
        live_run.until(lambda: ask(port, "/readyz")[0] == 503, "not ready")
        # The page asks the run four times a second.
        told_s, bound = now() - began_at, bench.pace.max_age_s + 0.5 + bench.pace.slack_s
        live_run.until(
            lambda: any(SOURCE_LOST in why for why in ask(port, "/readyz")[1]["why"]),
            "not ready, source-lost",
        )
        health = ask(port, "/healthz")[0]
        ended_at = now()
        server.start()
        live_run.until(lambda: ask(port, "/readyz")[0] == 200, "ready again")
        recovered_s = now() - ended_at
    expect(told_s <= bound, f"503 came after {told_s:.2f} s, not {bound:.2f}")
    expect(health == 200, f"/healthz answered {health}")
    return Outcome("503, `source-lost`; `/healthz` 200", told_s, recovered_s)


@fault(
    "header bomb",
    "requests without a token: 120 kB of escaped quotes as a cookie, 20,000 header lines, 300 kB of one header",
    "431, each of them; `/healthz` answers within a second meanwhile; results stay valid",
)
def header_bomb(bench: Bench) -> Outcome:
    """Somebody on the network who wishes it ill."""
    _check_installed()
    folder = bench.new_folder()
    token_file = folder / "token"
    token_file.write_text(_TOKEN)
    options = ("--preview", "0", "--preview-token-file", str(token_file))
    with (
        mjpeg_server(size_hw=(120, 160), fps=25.0) as server,
        bench.start(server.url, *options, folder=folder) as live_run,
    ):
        port = port_of(live_run)
        live_run.valid()
        began_at = now()
        slowest_s = 0.0
        for name, bomb in list(_BOMBS.items()) * _TIMES:
            with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as raw:
                with contextlib.suppress(ConnectionError):  # it may answer and close before it has all
                    raw.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n" + bomb + b"\r\n")
                slowest_s = max(slowest_s, _health_s(port))
                status = raw.recv(12)
            expect(status == b"HTTP/1.1 431", f"{name} was answered {status!r}")
        bad = [each for each in live_run.verdicts(began_at, now()) if not each[1]]
        live_run.check_ages()
    bound = _HEALTH_SECONDS + bench.pace.slack_s
    expect(slowest_s <= bound, f"/healthz took {slowest_s:.2f} s, not {bound:g}")
    expect(not bad, f"results were not valid: {bad[:3]}")
    return Outcome(f"431, {len(_BOMBS) * _TIMES} times; `/healthz` within {1e3 * slowest_s:.0f} ms")


@fault(
    "idle sockets",
    "80 connections that say nothing, and come again when they are dropped",
    "`/healthz` answers 200 within a second, every time; results stay valid",
)
def idle_sockets(bench: Bench) -> Outcome:
    """Somebody who wants all places for nothing."""
    _check_installed()
    with (
        mjpeg_server(size_hw=(120, 160), fps=25.0) as server,
        bench.start(server.url, "--preview", "0") as live_run,
    ):
        port = port_of(live_run)
        live_run.valid()
        began_at = now()
        idle: list[socket.socket] = []
        dropped, slowest_s = 0, 0.0
        for _ in range(_ROUNDS):
            gone = select.select(idle, [], [], 0)[0]
            for raw in gone:
                raw.close()
                idle.remove(raw)
            dropped += len(gone)
            while len(idle) < _IDLE_SOCKETS:
                idle.append(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS))
            slowest_s = max(slowest_s, _health_s(port))
        bad = [each for each in live_run.verdicts(began_at, now()) if not each[1]]
        live_run.check_ages()
        for raw in idle:
            raw.close()
    bound = _HEALTH_SECONDS + bench.pace.slack_s
    expect(slowest_s <= bound, f"/healthz took {slowest_s:.2f} s, not {bound:g}")
    expect(not bad, f"results were not valid: {bad[:3]}")
    return Outcome(f"200, {_ROUNDS} times, within {1e3 * slowest_s:.0f} ms; {dropped} connections dropped")


def _health_s(port: int) -> float:
    """Returns the seconds that ``/healthz`` took to say that it is well.

    Raises:
        UnexpectedOutcomeError: it says anything else.
    """
    began_at = now()
    try:
        status = ask(port, "/healthz")[0]
    except OSError as error:
        raise UnexpectedOutcomeError(f"/healthz does not answer: {error}") from error
    expect(status == 200, f"/healthz answered {status}")
    return now() - began_at
