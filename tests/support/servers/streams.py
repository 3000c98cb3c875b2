"""Streams of images over links of all kinds, on a clock that is set: how old is what is believed."""

from __future__ import annotations

import bisect
import itertools
import random
from collections.abc import Callable, Iterator
from email.message import Message
from typing import NamedTuple

import numpy as np
import pytest
from edgeseg.runtime.sources.http import mjpeg
from edgeseg.runtime.sources.http.multipart import Part
from edgeseg.runtime.sources.live import Interruption, LiveOptions
from edgeseg.runtime.sources.uri import parse

PACKET = 1448
Sent = tuple[float, bytes]


def camera(
    seconds: float,
    fps: float | Callable[[float], float] = 20.0,
    size: int = 20_000,
    vary: float = 0.1,
    stamp: Callable[[float], str] | None = None,
    jitter: float = 0.002,
) -> list[Sent]:
    """The parts that a camera sends, each with the moment of its capture; its image is its number."""
    chance, at, parts = random.Random(7), 0.0, []
    for number in itertools.count():
        if at > seconds:
            return parts
        body = number.to_bytes(4, "big") + bytes(int(size * (1 + vary * chance.uniform(-1, 1))))
        head = f"--b\r\nContent-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n"
        head += f"{stamp(at)}\r\n" if stamp is not None else ""
        parts.append((at, head.encode() + b"\r\n" + body + b"\r\n"))
        rate = fps(at) if callable(fps) else fps
        at += 1 / rate + chance.uniform(0, jitter)
    raise AssertionError


def over(
    parts: list[Sent],
    rate: float = 5e6,
    packet: int = PACKET,
    room: Callable[[float], bool] = lambda at: True,
) -> list[Sent]:
    """Arrivals over a link of so many bytes a second that keeps all that waits, and stands still without room."""
    arrives, free_at = [], 0.0
    for at, data in parts:
        for start in range(0, len(data), packet):
            piece = data[start : start + packet]
            free_at = max(free_at, at) + len(piece) / rate
            while not room(free_at):
                free_at += 0.01
            arrives.append((free_at + 0.002, piece))
    return arrives


def in_blocks(parts: list[Sent], rate: float, size: int) -> list[Sent]:
    """As :func:`over`, but bytes leave in blocks of one size, each after a pause for its length."""
    arrives, free_at, waiting = [], 0.0, bytearray()
    for at, data in parts:
        waiting += data
        while len(waiting) >= size:
            free_at = max(free_at, at) + size / rate
            arrives.append((free_at, bytes(waiting[:size])))
            del waiting[:size]
    return sorted(arrives, key=lambda piece: piece[0])


def held(arrives: list[Sent], since: float, until: float) -> list[Sent]:
    """Arrivals over a network that holds everything back for a while, then delivers it at once."""
    return [(until if since <= at < until else at, data) for at, data in arrives]


class Now:
    """A clock that is set."""

    def __init__(self) -> None:
        self.at = 1000.0

    def monotonic(self) -> float:
        return self.at

    now = monotonic


class Body:
    """Plays the body of an HTTP answer on a clock that is set."""

    def __init__(self, arrives: list[Sent], now: Now) -> None:
        self.headers = Message()
        self.headers["Content-Type"] = "multipart/x-mixed-replace; boundary=b"
        self._now, self._start = now, now.at
        self._times = [self._start + at for at, _ in arrives]
        self._data = [data for _, data in arrives]
        self._next = 0

    def read(self, until: float) -> bytes | None:
        self._now.at += 1e-5
        if self._next == len(self._times):
            return b""
        due = self._times[self._next]
        if due > self._now.at:
            if due > until:
                self._now.at = max(self._now.at, until)
                return None
            self._now.at = due
        stop = bisect.bisect_right(
            self._times, self._now.at, self._next, min(self._next + 45, len(self._times))
        )
        data = b"".join(self._data[self._next : stop])
        self._next = stop
        return data

    def close(self) -> None:
        pass


class Seen(NamedTuple):
    """A frame that was read.

    Attributes:
        at: when, in seconds since the stream began.
        age: the true one.
        claimed: the one that is claimed; None where it is said to be unknown.
    """

    at: float
    age: float
    claimed: float | None


def watch(
    monkeypatch: pytest.MonkeyPatch, parts: list[Sent], arrives: list[Sent], decode_s: float = 0.004
) -> Iterator[Seen]:
    """Reads a stream to its end with the source itself."""
    now = Now()
    start = now.at
    monkeypatch.setattr(mjpeg, "time", now)
    monkeypatch.setattr(mjpeg, "clock", now)
    monkeypatch.setattr(mjpeg, "HttpBody", lambda *args: Body(arrives, now))

    def decode(source: mjpeg.MjpegSource, part: Part) -> np.ndarray:
        now.at += decode_s
        source.frame_fault = ""
        return np.full((1, 1, 3), int.from_bytes(part.data[:4], "big"), np.uint32)

    monkeypatch.setattr(mjpeg.MjpegSource, "_decode", decode)
    options = LiveOptions(read_timeout_s=60.0)
    source = mjpeg.MjpegSource(parse("http://camera/"), options, Interruption())
    while True:
        try:
            frame = source.read()
        except mjpeg.SourceError:
            return
        captured = start + parts[int(frame[0, 0, 0])][0]
        claimed = None if source.frame_fault else now.at - source.frame_at
        yield Seen(now.at - start, now.at - captured, claimed)
