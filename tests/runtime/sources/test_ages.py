"""No image of an HTTP stream is called young that is old, whatever the link does; and young ones are called so.

Whole streams are played on a clock that is set, so that the machine's speed does not matter; two over real sockets.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import cv2
import numpy as np
import pytest
from edgeseg.runtime import clock
from edgeseg.runtime.sources import open_source
from edgeseg.runtime.sources.arrivals import Arrivals, Load
from edgeseg.runtime.sources.live import LiveOptions

MAX_AGE = 1.0
TOLERANCE = 0.15
"""Seconds: what an image takes to arrive, and half an interval between images."""


def is_believed(seen: Any) -> bool:
    return seen.claimed is not None and seen.claimed <= MAX_AGE


def check_none_is_old(frames: list[Any]) -> None:
    assert frames
    assert [seen for seen in frames if is_believed(seen) and seen.age > MAX_AGE + TOLERANCE] == []


def doubted(frames: list[Any]) -> list[Any]:
    """Those that are young and not believed."""
    return [seen for seen in frames if seen.age <= MAX_AGE / 2 and not is_believed(seen)]


def hiccup(streams: Any, parts: Any, since: float, until: float, keeps: bool) -> Any:
    """Arrivals after a gap: all at once, or as fast as the link carries them."""
    if keeps:
        return streams.held(streams.over(parts), since, until)
    return streams.over(parts, room=lambda at: not since <= at < until)


@pytest.mark.parametrize("decode_s", [0.004, 0.08])
@pytest.mark.parametrize(
    ("seconds", "fps", "size", "vary", "rate"),
    [
        (15, 1, 20_000, 0.1, 5e6),
        (10, 5, 20_000, 0.0, 5e6),
        (8, 15, 100_000, 0.3, 5e6),
        (8, 30, 20_000, 0.1, 5e6),
        (8, 30, 20_000, 0.1, 1e6),
        (15, lambda at: 30 if int(at / 5) % 2 else 15, 40_000, 0.3, 5e6),
        (20, lambda at: 30 if int(at / 5) % 2 else 5, 20_000, 0.3, 5e6),
    ],
    ids=["1 fps", "5 fps", "15 fps", "30 fps", "30 fps, two thirds of the link", "exposure", "more exposure"],
)
def test_ordinary_cameras_are_believed(
    streams: Any,
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
    fps: Any,
    size: int,
    vary: float,
    rate: float,
    decode_s: float,
) -> None:
    parts = streams.camera(seconds, fps, size, vary)
    frames = list(streams.watch(monkeypatch, parts, streams.over(parts, rate), decode_s))
    check_none_is_old(frames)
    assert len(frames) >= min(len(parts) - 3, 0.6 * seconds / decode_s)
    assert doubted(frames) == []
    # What is claimed is not made worse than it is by more than a look at the next image.
    assert max(seen.claimed - seen.age for seen in frames if seen.claimed is not None) < 0.45


@pytest.mark.parametrize("fps", [5, 30])
@pytest.mark.parametrize("keeps", [True, False], ids=["held, then all at once", "a link that stands still"])
def test_a_hiccup_of_the_network_is_forgiven(
    streams: Any, monkeypatch: pytest.MonkeyPatch, fps: float, keeps: bool
) -> None:
    parts = streams.camera(8, fps)
    arrives = hiccup(streams, parts, 4.0, 4.3, keeps)
    frames = list(streams.watch(monkeypatch, parts, arrives))
    check_none_is_old(frames)
    assert doubted(frames) == []


THIN: dict[str, Callable[[Any, Any], Any]] = {
    "packets": lambda streams, parts: streams.over(parts, 2e5),
    "packets, 5 % too slow": lambda streams, parts: streams.over(parts, 3.8e5),
    "blocks of 1 kB": lambda streams, parts: streams.in_blocks(parts, 2e5, 1000),
    "blocks of 4 kB": lambda streams, parts: streams.in_blocks(parts, 2e5, 4096),
    "blocks of a part": lambda streams, parts: streams.in_blocks(parts, 2e5, 20_063),
    "blocks of three parts": lambda streams, parts: streams.in_blocks(parts, 2e5, 65_536),
    "blocks of ten parts": lambda streams, parts: streams.in_blocks(parts, 2e5, 200_000),
    "4 kB of a part": lambda streams, parts: streams.over(parts, 2e5, packet=4096),
    "10 kB of a part": lambda streams, parts: streams.over(parts, 2e5, packet=10_240),
    "whole parts": lambda streams, parts: streams.over(parts, 2e5, packet=1 << 20),
}


@pytest.mark.parametrize(
    ("link", "decode_s"),
    # A reader that misses most beginnings sees too late that sizes make the pace.
    [
        (link, decode_s)
        for link in THIN
        for decode_s in (0.004, 0.15)
        if (link, decode_s) != ("whole parts", 0.15)
    ],
)
def test_behind_a_thin_link_nothing_old_is_believed(
    streams: Any,
    monkeypatch: pytest.MonkeyPatch,
    link: str,
    decode_s: float,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """400 kB/s of images, 200 kB/s of link: in the end they are ten seconds old."""
    parts = streams.camera(20)
    frames = list(streams.watch(monkeypatch, parts, THIN[link](streams, parts), decode_s))
    check_none_is_old(frames)
    assert frames[-1].age > (5 if link != "packets, 5 % too slow" else 0.5)
    assert not any(is_believed(seen) for seen in frames[len(frames) // 2 :])
    assert sum("images come as fast as the link carries them" in line for line in caplog.messages) == 1


@pytest.mark.parametrize("fps", [5, 30])
@pytest.mark.parametrize("keeps", [True, False], ids=["held, then all at once", "a link that stands still"])
def test_what_a_gap_held_back_is_old_and_what_follows_is_not(
    streams: Any, monkeypatch: pytest.MonkeyPatch, fps: float, keeps: bool
) -> None:
    parts = streams.camera(16, fps)
    arrives = hiccup(streams, parts, 6.0, 10.0, keeps)
    frames = list(streams.watch(monkeypatch, parts, arrives))
    check_none_is_old(frames)
    assert len(doubted(frames)) <= 2
    assert all(is_believed(seen) for seen in frames if seen.at < 6 or seen.at > 11)


def test_what_catches_up_image_by_image_after_a_gap_is_old(
    streams: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relay that plays what it kept at twice the speed: there are pauses, and all of it is old."""
    parts = streams.camera(16, 20, jitter=0)
    arrives = [(at if at < 6 else max(at, 10 + (at - 6) / 2), data) for at, data in parts]
    frames = list(streams.watch(monkeypatch, parts, arrives))
    check_none_is_old(frames)
    assert is_believed(frames[-1])


@pytest.mark.parametrize("rate", [5e6, 8e5])
def test_what_was_gathered_before_the_start_is_not_believed(
    streams: Any, monkeypatch: pytest.MonkeyPatch, rate: float
) -> None:
    parts = streams.camera(12)
    frames = list(
        streams.watch(monkeypatch, parts, streams.over([(max(3.0, at), data) for at, data in parts], rate))
    )
    check_none_is_old(frames)
    assert is_believed(frames[-1])


@pytest.mark.parametrize(
    "stamp",
    [
        lambda at: f"X-Timestamp: {at + 17:.6f}",
        lambda at: f"X-TimeStamp: {1.7e12 + 1000 * at:.0f}",
        lambda at: f"Timestamp: {1.7e15 + 1e6 * at:.0f}",
    ],
)
def test_the_senders_stamps_tell_the_age_where_the_link_is_full(
    streams: Any, monkeypatch: pytest.MonkeyPatch, stamp: Callable[[float], str]
) -> None:
    parts = streams.camera(20, stamp=stamp)
    frames = list(streams.watch(monkeypatch, parts, streams.over(parts, 3.6e5)))
    check_none_is_old(frames)
    assert doubted(frames) == []
    assert frames[-1].age > MAX_AGE
    # However long it lasts: half a minute behind is no new beginning.
    frames = list(streams.watch(monkeypatch, parts, streams.over(parts, 8e4)))
    assert frames[-1].age > 60
    assert not any(is_believed(seen) for seen in frames[len(frames) // 4 :])


def test_dates_in_seconds_tell_the_age_roughly(streams: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole parts of one size, after the pauses of a camera: a full link that nothing else gives away."""
    parts = streams.camera(20, vary=0.0, stamp=lambda at: f"Date: {formatdate(1.7e9 + at, usegmt=True)}")
    frames = list(streams.watch(monkeypatch, parts, streams.over(parts, 2e5, packet=1 << 20)))
    assert max(seen.age for seen in frames if is_believed(seen)) < MAX_AGE + 1.2
    assert not is_believed(frames[-1])
    frames = list(streams.watch(monkeypatch, parts, streams.over(parts)))
    assert doubted(frames) == []


def test_a_date_that_stands_still_is_none(streams: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = streams.camera(10, stamp=lambda at: "Last-Modified: Sat, 28 Nov 2026 13:45:49 GMT")
    frames = list(streams.watch(monkeypatch, parts, streams.over(parts)))
    assert doubted(frames) == []


def test_a_reader_that_was_stopped_does_not_take_what_waited_for_new(
    streams: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by SIGSTOP, or a board without time: what came meanwhile lies in the system's buffers."""
    parts = streams.camera(12)
    frames: list[Any] = []
    stream = streams.watch(monkeypatch, parts, streams.over(parts))
    for seen in stream:
        frames.append(seen)
        if len(frames) == 60:
            from edgeseg.runtime.sources.http import mjpeg

            mjpeg.time.at += 4.0  # type: ignore[attr-defined]
    check_none_is_old(frames)
    assert is_believed(frames[-1])


def test_a_link_is_full_where_sizes_make_the_pace() -> None:
    chance = np.random.default_rng(3)
    for jitter, full in ((0.001, True), (0.0, True)):
        load, at = Load(), 0.0
        for size in chance.integers(18_000, 22_000, 30):
            load.add(at, int(size))
            at += size / 2e5 + chance.uniform(0, jitter)
        assert (load.full, load.slack) == (full, False)
    load, at = Load(), 0.0
    for size in chance.integers(18_000, 22_000, 30):
        load.add(at, int(size))
        at += 0.1 + chance.uniform(0, 0.002)
    assert (load.full, load.slack) == (False, True)
    load = Load()
    for number in range(30):
        load.add(number / 10, 20_000)
    assert (load.full, load.slack) == (False, False)


def test_nothing_is_known_of_the_first_image_until_nothing_follows_it() -> None:
    arrivals = Arrivals(10.0)
    arrivals.part(arrivals.data(10.1, True), 1000)
    assert (arrivals.proven, arrivals.captured_at) == (False, None)
    arrivals.dry(10.2, True)
    arrivals.accept_first()
    assert (arrivals.proven, arrivals.captured_at) == (True, 10.1)


@pytest.fixture
def numbered(mjpeg_server: Any) -> Any:
    """A server of images that bear their numbers, and when each was taken."""
    mjpeg_server.fps = 20.0
    taken: list[float] = []

    def part(number: int) -> bytes:
        assert number == len(taken)
        taken.append(clock.now())
        bits = np.array([number >> bit & 1 for bit in range(16)], np.uint8).reshape(4, 4)
        data = cv2.imencode(".jpg", np.kron(bits * 255, np.ones((16, 16), np.uint8)))[1].tobytes()
        rest = int(20_000 * (0.9 + 0.2 * (number % 7) / 6)) - len(data)
        return data[:2] + b"\xff\xfe" + (rest + 2).to_bytes(2, "big") + bytes(rest) + data[2:]

    mjpeg_server.part = part
    mjpeg_server.taken = taken
    return mjpeg_server


def ages_of(source: Any, taken: list[float], frame: np.ndarray) -> tuple[float, bool]:
    """The age of a frame, and the verdict on it."""
    now = clock.now()
    number = sum(int(bit) << place for place, bit in enumerate(frame[8::16, 8::16, 0].ravel() > 127))
    return now - taken[number], not source.frame_fault and now - source.frame_at <= MAX_AGE


@pytest.mark.parametrize("bounded", [False, True], ids=["the link keeps all", "the server has to wait"])
def test_a_real_thin_link(numbered: Any, thin_link: Any, bounded: bool) -> None:
    with (
        thin_link(numbered.port, 1e5, bounded=bounded) as link,
        open_source(link.url, LiveOptions(read_timeout_s=30)) as source,
    ):
        seen: list[tuple[float, bool]] = []
        while not seen or seen[-1][0] < 1.5 * MAX_AGE:
            seen.append(ages_of(source, numbered.taken, source.read()))
    assert [age for age, believed in seen if believed and age > MAX_AGE + TOLERANCE] == []


def test_a_real_gap(numbered: Any, thin_link: Any) -> None:
    with (
        thin_link(numbered.port) as link,
        open_source(link.url, LiveOptions(read_timeout_s=30)) as source,
    ):
        while not ages_of(source, numbered.taken, source.read())[1]:
            pass
        link.held.set()
        threading.Timer(1.6, link.held.clear).start()
        gone_at, seen = clock.now(), [(0.0, False)]
        # Until an image of after the gap is believed.
        while not (seen[-1][1] and clock.now() - seen[-1][0] > gone_at + 1.6):
            seen.append(ages_of(source, numbered.taken, source.read()))
    assert [age for age, believed in seen if believed and age > MAX_AGE + TOLERANCE] == []
