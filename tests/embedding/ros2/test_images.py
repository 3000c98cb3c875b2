"""Frames from messages, whole and broken."""

from __future__ import annotations

from array import array
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
from edgeseg.core.errors import SourceError
from edgeseg.embedding.ros2.images import COMPRESSED, IMAGE, FrameReader


@pytest.fixture
def scene() -> np.ndarray:
    generator = np.random.Generator(np.random.PCG64(3))
    return np.repeat(
        generator.integers(0, 256, (6, 4, 3), np.uint8), 2, axis=1
    )  # pairs of equal pixels, for YUV


@pytest.fixture
def reader() -> FrameReader:
    return FrameReader("ros2:///camera")


def message_of(fakes: ModuleType, pixels: np.ndarray, encoding: str, padding: int = 0) -> Any:
    rows = np.pad(pixels.reshape(len(pixels), -1), ((0, 0), (0, padding)), constant_values=77)
    message = fakes.Image()
    message.height, message.width = pixels.shape[:2]
    message.encoding, message.step, message.data = encoding, rows.shape[1], array("B", rows.tobytes())
    return message


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize(
    ("encoding", "conversion"),
    [
        ("bgr8", None),
        ("8UC3", None),
        ("rgb8", cv2.COLOR_BGR2RGB),
        ("bgra8", cv2.COLOR_BGR2BGRA),
        ("rgba8", cv2.COLOR_BGR2RGBA),
    ],
)
def test_colours_come_exactly_and_padding_is_no_image(
    fakes: ModuleType, reader: FrameReader, scene: np.ndarray, encoding: str, conversion: int, padding: int
) -> None:
    pixels = scene if conversion is None else cv2.cvtColor(scene, conversion)
    frame, fault, trouble = reader.image(message_of(fakes, pixels, encoding, padding))
    assert (fault, trouble) == ("", "")
    np.testing.assert_array_equal(frame, scene)
    assert frame.flags.c_contiguous


def test_grey_is_grey_in_all_channels(fakes: ModuleType, reader: FrameReader, scene: np.ndarray) -> None:
    grey = scene[:, :, 0].copy()
    frame = reader.image(message_of(fakes, grey[:, :, None], "mono8", 3)).frame_bgr
    np.testing.assert_array_equal(frame, np.repeat(grey[:, :, None], 3, axis=2))


@pytest.mark.parametrize(
    ("encoding", "conversion"),
    [("yuv422", cv2.COLOR_BGR2YUV_UYVY), ("yuv422_yuy2", cv2.COLOR_BGR2YUV_YUYV)],
)
def test_yuv_comes_nearly(
    fakes: ModuleType, reader: FrameReader, scene: np.ndarray, encoding: str, conversion: int
) -> None:
    frame = reader.image(message_of(fakes, cv2.cvtColor(scene, conversion), encoding)).frame_bgr
    assert np.abs(frame.astype(int) - scene).max() <= 8  # two roundings, the range of video, and clipping


def test_an_image_that_is_not_whole_is_corrupt(
    fakes: ModuleType, reader: FrameReader, scene: np.ndarray
) -> None:
    message = message_of(fakes, scene, "bgr8")
    message.data = message.data[:-1]
    frame, fault, trouble = reader.image(message)
    assert (frame, fault) == (None, "corrupt")
    assert trouble == (
        "ros2:///camera sends images that are not whole: 143 bytes with a step of 24 for 8 x 6 pixels"
    )
    message = message_of(fakes, scene, "bgr8")
    message.step = 23
    assert reader.image(message).fault == "corrupt"
    message = fakes.Image()
    message.encoding = "bgr8"
    assert reader.image(message).fault == "corrupt"


def test_an_encoding_that_is_not_read_is_named(
    fakes: ModuleType, reader: FrameReader, scene: np.ndarray
) -> None:
    with pytest.raises(SourceError, match=r"encoding '16UC1'; expected one of bgr8, .*mono8"):
        reader.image(message_of(fakes, scene, "16UC1"))
    with pytest.raises(SourceError, match=r"encoding '\\x1b\[2Jx+'; expected"):
        reader.image(message_of(fakes, scene, "\x1b[2J" + "x" * 500))


def test_more_pixels_than_a_frame_may_have_are_refused_by_their_head(
    fakes: ModuleType, reader: FrameReader, scene: np.ndarray
) -> None:
    message = message_of(fakes, scene, "mono8")
    message.height = message.width = 10_000
    with pytest.raises(SourceError, match="an image of 10000 x 10000 pixels, more than 67108864"):
        reader.image(message)


@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_compressed_images_are_decoded_whole_or_not_at_all(
    fakes: ModuleType, reader: FrameReader, scene: np.ndarray, kind: str
) -> None:
    data = cv2.imencode(f".{kind}", scene)[1].tobytes()
    message = fakes.CompressedImage()
    message.data = array("B", data)
    frame, fault, _ = reader.compressed(message)
    assert fault == ""
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(frame, expected)
    message.data = array("B", data[: len(data) * 2 // 3])
    frame, fault, trouble = reader.compressed(message)
    assert (frame, fault) == (None, "corrupt")
    assert trouble.startswith("what ros2:///camera sends is damaged or truncated")
    message.data = array("B", b"")
    assert reader.compressed(message).trouble == "what ros2:///camera sends is empty"


def test_the_reader_follows_the_type_of_the_topic(reader: FrameReader) -> None:
    assert reader.reader_of(IMAGE) == reader.image
    assert reader.reader_of(COMPRESSED) == reader.compressed
