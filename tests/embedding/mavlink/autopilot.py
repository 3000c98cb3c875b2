"""An autopilot at the other end of a UDP link: it tells a pose, answers, and keeps what it is told."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

PATIENCE_SECONDS = 20.0


def dialect() -> Any:
    """The messages, or a skip where pymavlink is not installed."""
    return pytest.importorskip("pymavlink.dialects.v20.common")


def wait_for(condition: Callable[[], Any], what: str = "") -> Any:
    """Waits until something is so, and returns it."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not (found := condition()):
        assert time.monotonic() < until, f"it has not come: {what}"
        time.sleep(0.01)
    return found


@dataclass
class Told:
    """The state that an autopilot tells.

    Attributes:
        attitude: roll, pitch, yaw in radians.
        position: north, east, down in metres.
        range_cm: of the range finder; None for none.
        relative_mm: above home; None for none.
        refuses: the messages that it refuses to send, by number.
        syncs: whether it answers to TIMESYNC.
        asks: whether it asks by TIMESYNC.
        silent: whether it sends nothing at all.
    """

    attitude: tuple[float, float, float] = (0.0, 0.0, 0.0)
    position: tuple[float, float, float] = (10.0, 20.0, -8.0)
    range_cm: int | None = 850
    relative_mm: int | None = None
    refuses: set[int] = field(default_factory=set)
    syncs: bool = True
    asks: bool = False
    silent: bool = False


class Autopilot:
    """Runs in a thread until it is closed.

    Args:
        port: to send to; None to wait at a port for the other end to begin.
        told: what it tells, which may be changed at any time.
        system: its system id.
        ahead_s: how far its clock is ahead of ours.
        key: to sign with, and to check by.
    """

    def __init__(
        self,
        port: int | None = None,
        told: Told | None = None,
        system: int = 1,
        ahead_s: float = 1000.0,
        key: bytes | None = None,
    ) -> None:
        self.told = told or Told()
        self.system, self.ahead_s = system, ahead_s
        self.received: list[Any] = []
        self.datagrams: list[bytes] = []
        self.asked: list[int] = []
        self.offsets_s: list[float] = []
        self.bad = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._peer: Any = None if port is None else ("127.0.0.1", port)
        self._mav = dialect().MAVLink(None, srcSystem=system, srcComponent=1)
        self._mav.robust_parsing = True
        if key is not None:
            self._mav.signing.secret_key, self._mav.signing.sign_outgoing = key, True
            self._mav.signing.timestamp = int((time.time() - 1_420_070_400) * 100_000)
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self) -> Autopilot:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends it."""
        if not self._closing.is_set():
            self._closing.set()
            self._thread.join()
            self._socket.close()

    def now_s(self) -> float:
        """Its clock: seconds since it began."""
        return time.clock_gettime(time.CLOCK_BOOTTIME) + self.ahead_s

    def of(self, kind: str) -> list[Any]:
        """Returns what it has received of one kind."""
        return [message for message in list(self.received) if message.get_type() == kind]

    def send(self, kind: str, *fields: Any, **named: Any) -> None:
        """Sends a message."""
        message = getattr(dialect(), f"MAVLink_{kind.lower()}_message")(*fields, **named)
        with self._lock:
            packet = bytes(message.pack(self._mav))
            self._mav.seq = (self._mav.seq + 1) % 256
        self.send_bytes(packet)

    def send_bytes(self, data: bytes) -> None:
        """Sends any bytes as one datagram."""
        if self._peer is not None:
            with suppress(ConnectionRefusedError):
                self._socket.sendto(data, self._peer)

    def _run(self) -> None:
        turn = 0
        while not self._closing.is_set():
            if select.select([self._socket], [], [], 0.02)[0]:
                self._receive()
                continue
            if not self.told.silent:
                self._tell(turn)
            turn += 1

    def _receive(self) -> None:
        try:
            data, sender = self._socket.recvfrom(4096)
        except ConnectionRefusedError:
            return
        self._peer = self._peer or sender
        self.datagrams.append(data)
        for message in self._mav.parse_buffer(data) or ():
            if message.get_type() == "BAD_DATA":
                self.bad += 1
                continue
            self.received.append(message)
            if not self.told.silent:
                self._answer(message)

    def _answer(self, message: Any) -> None:
        kind = message.get_type()
        if kind == "TIMESYNC" and message.tc1 == 0 and self.told.syncs:
            self.send("TIMESYNC", round(self.now_s() * 1e9), message.ts1)
        elif kind == "TIMESYNC" and message.tc1 > 0:
            now_s = self.now_s()
            self.offsets_s.append(message.tc1 * 1e-9 - (message.ts1 * 1e-9 + now_s) / 2)
        elif kind == "COMMAND_LONG" and message.command == 511:
            self.asked.append(int(message.param1))
            result = 2 if int(message.param1) in self.told.refuses else 0
            self.send("COMMAND_ACK", 511, result, target_system=1, target_component=191)

    def _tell(self, turn: int) -> None:
        told, ms = self.told, round(self.now_s() * 1e3) % 2**32
        if turn % 10 == 0:
            self.send("HEARTBEAT", 2, 3, 0, 0, 4, 3)
            if told.asks:
                self.send("TIMESYNC", 0, round(self.now_s() * 1e9))
        self.send("ATTITUDE", ms, *told.attitude, 0, 0, 0)
        self.send("LOCAL_POSITION_NED", ms, *told.position, 0, 0, 0)
        if told.range_cm is not None:
            self.send("DISTANCE_SENSOR", ms, 20, 4000, told.range_cm, 0, 1, 25, 0)
        if told.relative_mm is not None:
            self.send("GLOBAL_POSITION_INT", ms, 0, 0, 0, told.relative_mm, 0, 0, 0, 0)


def free_port() -> int:
    """A UDP port that nothing waits at."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
