"""The reader of images in files: what is damaged, and what is something else."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from edgeseg.core.errors import DataError, ImageError, SourceError
from edgeseg.core.images import png, reader, tiff

pytestmark = pytest.mark.timeout(30)


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (64, 96, 3), np.uint8)


def encoded(image: np.ndarray, suffix: str) -> bytes:
    return cv2.imencode(suffix, image)[1].tobytes()


def tiff_of(image: np.ndarray, compression: str) -> bytes:
    pillow_image = pytest.importorskip("PIL.Image")
    written = io.BytesIO()
    pillow_image.fromarray(image[..., ::-1]).save(written, "TIFF", compression=compression)
    return written.getvalue()


def read(data: bytes, folder: Path) -> np.ndarray:
    path = folder / "image"
    path.write_bytes(data)
    return reader.read_image(path)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".webp", ".jpg"])
def test_whole_ones_are_read_and_cut_ones_are_damaged(
    image: np.ndarray, suffix: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = encoded(image, suffix)
    np.testing.assert_array_equal(read(data, tmp_path), cv2.imdecode(np.frombuffer(data, np.uint8), 1))
    for share in (0.5, 0.9, 0.99):
        with pytest.raises(
            ImageError, match=r"the image .*/image is damaged or truncated \(.*; replace it"
        ) as caught:
            read(data[: int(share * len(data))], tmp_path)
        assert isinstance(caught.value, SourceError)
        assert isinstance(caught.value, DataError)
    if suffix in (".png", ".jpg"):
        assert capfd.readouterr().err == ""


def test_a_png_that_lacks_a_part_or_has_a_wrong_one(image: np.ndarray, tmp_path: Path) -> None:
    data = encoded(image, ".png")
    for at in range(40, len(data), 1499):
        bad = bytearray(data)
        bad[at] ^= 4
        with pytest.raises(ImageError, match="is damaged"):
            read(bytes(bad), tmp_path)
    with pytest.raises(ImageError, match="is damaged"):
        read(data[: len(data) // 2] + data[-12:], tmp_path)
    # A part left out altogether, so that every checksum fits.
    chunks, at = [], 8
    while at < len(data):
        end = at + 12 + struct.unpack_from(">I", data, at)[0]
        chunks.append(data[at:end])
        at = end
    assert len(chunks) > 3
    with pytest.raises(ImageError, match="is damaged"):
        read(data[:8] + b"".join(chunks[:-2]) + chunks[-1], tmp_path)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits"])
def test_tiffs(image: np.ndarray, compression: str, tmp_path: Path) -> None:
    data = tiff_of(image, compression)
    whole = read(data, tmp_path)
    if compression != "jpeg":
        np.testing.assert_array_equal(whole, image)
    with pytest.raises(ImageError, match="is damaged or truncated"):
        read(data[: len(data) * 6 // 10], tmp_path)
    if compression in ("tiff_adobe_deflate", "jpeg"):
        tags = tiff.tags_of(data)
        at = tags[273][0] + tags[279][0] // 2
        with pytest.raises(ImageError, match="is damaged or truncated"):
            read(data[:at] + b"\xff\xd9" + data[at + 2 :], tmp_path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda image: encoded(image.astype(np.float32), ".tiff"),
            "has pixels of 32-bit floating-point numbers, which is not read; convert it to 8 bits a channel",
        ),
        (lambda image: b"", "is empty"),
        (lambda image: b"\0\0\0\x18ftypheic" + bytes(40), "is HEIF, as phones write, which is not read"),
        (lambda image: b"8BPS\0\1" + bytes(40), "is a Photoshop document, which is not read"),
        (lambda image: b"no image at all" * 9, "has a format that edgeseg does not read; convert it"),
    ],
)
def test_what_is_not_damaged_is_not_called_so(
    image: np.ndarray, make: Callable[..., bytes], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ImageError) as caught:
        read(make(image), tmp_path)
    assert message in str(caught.value)
    assert "is damaged" not in str(caught.value)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def test_one_larger_than_the_bound_is_called_that(
    image: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 20000, 20000, 1, 0, 0, 0, 0))
    with pytest.raises(ImageError, match=r"has 20000 x 20000 pixels, more than 268435456; make it smaller"):
        read(png.START + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b""), tmp_path)
    monkeypatch.setenv("OPENCV_IO_MAX_IMAGE_PIXELS", "6000")
    for suffix in (".png", ".jpg", ".bmp", ".tif"):
        with pytest.raises(ImageError, match="has 96 x 64 pixels, more than 6000"):
            read(encoded(image, suffix), tmp_path)


def test_sixteen_bits_are_made_eight(image: np.ndarray, tmp_path: Path) -> None:
    for suffix in (".png", ".tif"):
        data = encoded(image.astype(np.uint16) * 257, suffix)
        np.testing.assert_array_equal(read(data, tmp_path), image)


def test_tiffs_made_to_harm_are_refused_at_once(tmp_path: Path) -> None:
    entries = struct.pack("<HHII", 256, 4, 1, 8) + struct.pack("<HHII", 257, 4, 1, 8)
    entries += struct.pack("<HHII", 273, 4, 1 << 31, 8) + struct.pack("<HHII", 279, 4, 1 << 31, 8)
    for data in (
        b"II*\0" + struct.pack("<I", 8),
        b"II*\0" + struct.pack("<IH", 8, 65535),
        b"II*\0" + struct.pack("<IH", 8, 4) + entries,
        b"II*\0" + struct.pack("<I", 1 << 31),
        b"II+\0" + struct.pack("<HHQ", 8, 0, (1 << 64) - 1),
    ):
        with pytest.raises(ImageError, match="is damaged or truncated"):
            read(data, tmp_path)


@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
def test_what_is_no_file(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(ImageError, match=f"cannot read the image .*: it is a {kind}, expected a file"):
        reader.read_image(path)
