"""JPEGs as they really come: whole, cut, with too much in them, and of forms that nobody expects."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from edgeseg.core.images import jpeg
from edgeseg.core.images.jpeg_decode import decode, impossible, work_px

HEIGHT, WIDTH = 75, 122
END = jpeg.END


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    """An image with detail everywhere, its sides no multiples of a block's."""
    ramp = np.add.outer(np.arange(HEIGHT), np.arange(WIDTH)).astype(np.uint8)
    noise = np.random.default_rng(1).integers(0, 60, (HEIGHT, WIDTH, 3), np.uint8)
    return ramp[..., None] + noise


def encode(image: np.ndarray, restarts: int = 0, sampling: int = 0x221111) -> bytes:
    options = [cv2.IMWRITE_JPEG_QUALITY, 80, cv2.IMWRITE_JPEG_RST_INTERVAL, restarts]
    return cv2.imencode(".jpg", image, [*options, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling])[1].tobytes()


def by_opencv(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def pillow(image: np.ndarray, mode: str = "RGB", **options: object) -> bytes:
    pillow_image = pytest.importorskip("PIL.Image")
    written = io.BytesIO()
    pillow_image.fromarray(image[..., ::-1]).convert(mode).save(written, "JPEG", quality=80, **options)
    return written.getvalue()


def assert_whole(data: bytes, expected: np.ndarray) -> None:
    decoded = decode(data)
    assert (decoded.damage, decoded.form) == ("", "")
    assert decoded.frame is not None
    np.testing.assert_array_equal(decoded.frame, expected)


@pytest.mark.parametrize("restarts", [0, 1, 5, 9, 4000])
@pytest.mark.parametrize("sampling", [0x111111, 0x211111, 0x221111, 0x411111])
def test_pixels_are_those_of_opencv(image: np.ndarray, restarts: int, sampling: int) -> None:
    data = encode(image, restarts, sampling)
    assert_whole(data, by_opencv(data))


@pytest.mark.parametrize(
    "make",
    [
        lambda image: pillow(image, "L"),
        lambda image: pillow(image, "CMYK"),
        lambda image: pillow(image, keep_rgb=True),
        lambda image: pillow(image, progressive=True),
        lambda image: pillow(image, optimize=True),
        lambda image: encode(image) + b"\0\0 what a camera left behind \xff\xd9",
    ],
    ids=["grey", "CMYK", "RGB", "progressive", "optimized", "followed"],
)
def test_every_usual_form_is_read_as_opencv_does(image: np.ndarray, make: Callable[..., bytes]) -> None:
    data = make(image)
    assert_whole(data, by_opencv(data))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_it_is_turned_as_exif_says(image: np.ndarray, orientation: int) -> None:
    exif = pytest.importorskip("PIL.Image").Exif()
    exif[0x0112] = orientation
    data = pillow(image, exif=exif.tobytes())
    assert_whole(data, by_opencv(data))
    broken = data.replace(b"Exif\0\0II*\0", b"Exif\0\0II*\7").replace(b"Exif\0\0MM\0*", b"Exif\0\0MM\7*")
    assert decode(broken).frame is not None


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.99])
@pytest.mark.parametrize("form", ["baseline", "restarts", "progressive"])
def test_one_that_was_cut_is_damaged_with_and_without_an_end(
    image: np.ndarray, share: float, form: str
) -> None:
    data = (
        pillow(image, progressive=True) if form == "progressive" else encode(image, 9 * (form == "restarts"))
    )
    start = jpeg.read_head(data).data_at
    cut = data[: start + int(share * (len(data) - start))]
    for ending in (b"", END):
        decoded = decode(cut + ending)
        assert "remature end" in decoded.damage
        # What there is can still be shown.
        assert decoded.frame is not None
        assert decoded.frame.shape == (HEIGHT, WIDTH, 3)
    assert by_opencv(cut + END) is not None  # that is why


def test_bytes_lost_on_the_way_are_damage(image: np.ndarray) -> None:
    data = encode(image)
    start = jpeg.read_head(data).data_at
    for at in range(start, len(data) - 600, 97):
        assert decode(data[:at] + data[at + 500 :]).damage


@pytest.mark.parametrize("restarts", [0, 1, 5, 9])
def test_a_few_bytes_too_many_are_not(image: np.ndarray, restarts: int) -> None:
    """Logitech's cameras write up to ten before markers; others fill up with zeros."""
    data = encode(image, restarts)
    expected = by_opencv(data)
    for padding in (b"\1\2\3", bytes(40)):
        assert_whole(data[:-2] + padding + END, expected)
    assert "extraneous bytes" in decode(data[:-2] + b"\7" * 40 + END).damage
    if restarts:
        marks = [at for at in range(len(data) - 2) if data[at] == 0xFF and 0xD0 <= data[at + 1] <= 0xD7]
        padded = data
        for at in reversed(marks):
            padded = padded[:at] + b"\x11\x22" + padded[at:]
        assert_whole(padded, expected)
        # libjpeg tells its last warning alone: what is missing before must not hide behind it.
        cut = padded[: marks[1] - 8] + padded[marks[1] + 2 :]
        assert decode(cut).damage


def test_heads_that_libjpeg_warns_of_and_cameras_write(image: np.ndarray) -> None:
    data = encode(image)
    head = jpeg.read_head(data)
    of_old = data[:11] + b"\0\0" + data[13:]
    no_range = data[: head.data_at - 3] + bytes(3) + data[head.data_at :]
    for odd in (of_old, no_range):
        assert_whole(odd, by_opencv(data))


def test_a_component_that_never_comes_is_damage(image: np.ndarray) -> None:
    data = pillow(image, progressive=True)
    scans = [at for at in range(len(data)) if data[at : at + 2] == b"\xff\xda"]
    whole = jpeg.scans(data, jpeg.read_head(data))
    assert len(whole) == len(scans) > 3
    # Only the first scan's luma: made one component's, as an encoder that was stopped leaves it.
    first = data[: scans[0]] + data[scans[0] : scans[1]] + END
    assert decode(first).damage == ""  # all components' beginnings: coarse, and allowed
    assert work_px(data, jpeg.read_head(data)) == len(scans) * HEIGHT * WIDTH


def forged(data: bytes, height: int, width: int) -> bytes:
    at = jpeg.read_head(data).frame_at + 5
    return data[:at] + height.to_bytes(2, "big") + width.to_bytes(2, "big") + data[at + 4 :]


def test_more_pixels_than_the_bytes_can_hold_are_not_decoded(image: np.ndarray) -> None:
    data = forged(encode(image), 16384, 16384)
    assert decode(data) == (
        None,
        f"its head claims 16384 x 16384 pixels, which {len(data)} bytes cannot hold",
        "",
    )
    assert decode(forged(encode(image), 0, 16)).damage == "its head claims no size"
    # The emptiest images there are need no less.
    for mode in ("L", "RGB"):
        for options in ({}, {"progressive": True}, {"optimize": True}):
            black = pillow(np.zeros((1080, 1920, 3), np.uint8), mode, **options)
            assert impossible(black, jpeg.read_head(black)) == ""
            assert decode(black).damage == ""


def test_forms_that_are_not_read_are_named_and_not_called_damaged(image: np.ndarray) -> None:
    data = encode(image)
    at = jpeg.read_head(data).frame_at
    twelve = data[: at + 4] + b"\x0c" + data[at + 5 :]
    assert decode(twelve) == (None, "", "is a JPEG of 12 bits a sample")
    lossless = data[: at + 1] + b"\xc3" + data[at + 2 :]
    assert decode(lossless) == (None, "", "is a lossless JPEG")
    odd = data[: at + 11] + b"\x31" + data[at + 12 :]
    assert decode(odd) == (None, "", "has components sampled 3x1, 1x1, 1x1, which no camera's JPEG has")


def test_rubbish_and_beginnings_are_damage_and_raise_nothing(image: np.ndarray) -> None:
    data = encode(image, 9)
    for cut in (*range(0, 700, 7), len(data) - 1):
        assert decode(data[:cut]).damage
    random = np.random.default_rng(2)
    for _ in range(100):
        bad = bytearray(data)
        for at in random.integers(2, len(data), 8):
            bad[at] = int(random.integers(256))
        if (jpeg.size_hw(bad) or (HEIGHT, WIDTH)) == (HEIGHT, WIDTH):
            decode(bytes(bad))


def test_it_decodes_into_memory_that_is_given(image: np.ndarray) -> None:
    data = encode(image)
    into = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    assert decode(data, into=into).frame is into
    other = np.empty((1, 1, 3), np.uint8)
    assert decode(data, into=other).frame is not other


def test_no_part_of_the_project_decodes_an_image_by_itself() -> None:
    root = Path(__file__).resolve().parents[3]
    calls = ("cv2.imread(", "cv2.imdecode(", "Image.open(")
    parts = ("core", "runtime", "apps", "data", "calibration", "export", "training", "models")
    found = {
        path.relative_to(root).as_posix()
        for part in parts
        for path in (root / part).rglob("*.py")
        if any(call in path.read_text("utf-8") for call in calls)
    }
    assert found == {"core/images/reader.py", "data/masks.py"}
