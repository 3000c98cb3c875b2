"""Films for tests: damaged, of a rate that varies, of codecs that OpenCV lacks. Made by OpenCV and PyAV alone."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

_PACKET = 188


def image(number: int, size_hw: tuple[int, int] = (64, 96)) -> np.ndarray:
    """An image that tells its number by its brightness, on a ground that no codec can leave out."""
    ground = np.random.default_rng(number).integers(0, 60, (*size_hw, 3), np.uint8)
    ground[: size_hw[0] // 2] = 4 * number % 256
    return ground


def write_film(path: Path, fourcc: str, frames: int, fps: float = 25.0) -> Path:
    """A film of one rate, by OpenCV."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*fourcc), fps, (96, 64))
    assert writer.isOpened()
    for number in range(frames):
        writer.write(image(number))
    writer.release()
    return path


def damage_stream(path: Path, begin: float = 0.4, end: float = 0.6) -> Path:
    """Overwrites a share of a transport stream's packets, as bad reception does."""
    data = bytearray(path.read_bytes())
    first, last = (int(len(data) * share) // _PACKET * _PACKET for share in (begin, end))
    data[first:last] = np.random.default_rng(0).integers(0, 256, last - first, np.uint8).tobytes()
    path.write_bytes(data)
    return path


def write_timed(
    path: Path,
    codec: str,
    times_s: Sequence[float],
    options: dict[str, str] | None = None,
    sound_s: float = 0.0,
) -> Path:
    """A film whose frames have times of their own, in milliseconds, by PyAV; with silence where asked for."""
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options or {})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        sound = container.add_stream("aac", rate=8000) if sound_s else None
        for number, time_s in enumerate(times_s):
            frame = av.VideoFrame.from_ndarray(image(number), format="bgr24")
            frame.pts, frame.time_base = round(1000 * time_s), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            for begin in range(0, int(8000 * sound_s), 1024):
                silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
                silence.sample_rate, silence.pts, silence.time_base = 8000, begin, Fraction(1, 8000)
                container.mux(sound.encode(silence))
            container.mux(sound.encode(None))
    return path


def times_of(path: Path) -> list[float]:
    """When each frame of a film is to be shown, in seconds, as OpenCV sees it."""
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    times = []
    while capture.read()[0]:
        times.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
    capture.release()
    return times


def seconds_of(path: Path) -> float:
    """The duration of a film by its header."""
    av = pytest.importorskip("av")
    with av.open(str(path)) as container:
        return float(container.duration / av.time_base)


def index_first(data: bytes) -> bytes:
    """An MP4 file with its index before its images, as recorders and the web write it."""
    if data.index(b"moov") < data.index(b"mdat"):
        return data
    mdat, moov = data.index(b"mdat") - 4, data.index(b"moov") - 4
    index = bytearray(data[moov:])
    table = index.index(b"stco") + 8
    for entry in range(int.from_bytes(index[table : table + 4], "big")):
        at = table + 4 + 4 * entry
        index[at : at + 4] = (int.from_bytes(index[at : at + 4], "big") + len(index)).to_bytes(4, "big")
    return bytes(data[:mdat] + index + data[mdat:moov])
