"""Frames in a stream of bytes, and what is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from edgeseg.embedding.mavlink.codec import Codec
from edgeseg.embedding.mavlink.frames import MavlinkReader

from .autopilot import dialect

KEY = bytes(range(32))


@pytest.fixture
def reader() -> MavlinkReader:
    dialect()
    return Codec().reader()


def packet(seq: int = 0, key: bytes | None = None, **options: Any) -> bytes:
    mav = dialect().MAVLink(None, srcSystem=3, srcComponent=4)
    mav.seq = seq
    if key is not None:
        mav.signing.secret_key, mav.signing.sign_outgoing = key, True
    return bytes(dialect().MAVLink_attitude_message(seq, 1, 2, 3, 4, 5, 6).pack(mav, **options))


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize(
    "stream",
    [
        packet(0) + packet(1),
        packet(0, force_mavlink1=True) + packet(1, force_mavlink1=True),
        packet(0, key=KEY) + packet(1),
        b"noise" + packet(0) + b"\xfd" + packet(1),
        packet(0)[:-1] + b"?" + packet(0) + packet(1),
        packet(9)[:20] + packet(0) + packet(1),
    ],
    ids=["version 2", "version 1", "signed", "noise between", "wrong checksum", "cut"],
)
def test_frames_are_found_however_they_arrive(reader: MavlinkReader, stream: bytes, size: int) -> None:
    frames = [f for i in range(0, len(stream), size) for f in reader.feed(stream[i : i + size])]
    frames += reader.feed(bytes(300))
    assert [(f.message, f.system, f.component) for f in frames] == [(30, 3, 4)] * 2
    assert [Codec().decode(frame).time_boot_ms for frame in frames] == [0, 1]


def test_a_message_that_is_not_known_is_passed_by(reader: MavlinkReader) -> None:
    unknown = bytearray(packet(0))
    unknown[7:10] = (60_000).to_bytes(3, "little")
    frames = reader.feed(bytes(unknown) + packet(1))
    assert [frame.message for frame in frames] == [60_000, 30]
    assert reader.errors == 0


def test_one_wrong_bit_anywhere_is_seen(reader: MavlinkReader) -> None:
    good = packet(0)
    for bit in range(8 * len(good)):
        broken = bytearray(good)
        broken[bit // 8] ^= 1 << bit % 8
        frames = reader.feed(bytes(broken))
        reader.clear()
        # A bit of the message's number may make it one that is not known, which nobody takes.
        assert all(frame.message not in (30, 0, 111) for frame in frames), bit


def test_random_bytes_keep_no_more_than_one_frame(reader: MavlinkReader) -> None:
    rng = np.random.default_rng(2)
    for _ in range(100):
        reader.feed(rng.bytes(5000))
        assert len(reader._rest) <= 280
