"""Parts of a stream as cameras send them: with lengths and without, cut anywhere."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from edgeseg.core.errors import SourceError
from edgeseg.core.images import jpeg
from edgeseg.runtime.sources.http import multipart
from edgeseg.runtime.sources.http.multipart import MultipartParser


def image(value: int, size_hw: tuple[int, int] = (16, 24)) -> bytes:
    noise = np.random.default_rng(value).integers(0, 255, (*size_hw, 3), np.uint8)
    return cv2.imencode(".jpg", noise)[1].tobytes()


IMAGES = [image(i) for i in range(4)]


def stream(images: list[bytes], length: bool, boundary: bytes = b"b", newline: bytes = b"\r\n") -> bytes:
    parts = []
    for data in images:
        head = [b"--" + boundary, b"content-type: image/jpeg"]
        head += [b"Content-Length: %d" % len(data)] if length else []
        parts.append(newline.join([*head, b"", data, b""]))
    return b"".join(parts)


def parse(data: bytes, step: int, boundary: str = "b") -> tuple[list[bytes], MultipartParser]:
    parser = MultipartParser(boundary)
    found = [
        part for at in range(0, len(data), step) for part in parser.feed(data[at : at + step], float(at))
    ]
    return [part.data for part in found], parser


@pytest.mark.parametrize("length", [True, False])
@pytest.mark.parametrize("step", [1, 7, 100, 10**6])
def test_parts_are_found_however_they_arrive(length: bool, step: int) -> None:
    assert parse(stream(IMAGES, length), step)[0] == IMAGES


@pytest.mark.parametrize("length", [True, False])
def test_a_frame_does_not_wait_for_the_next_ones_delimiter(length: bool) -> None:
    assert parse(stream(IMAGES[:1], length)[:-2], 50)[0] == IMAGES[:1]


@pytest.mark.parametrize("boundary", ["b", "--b", "-b"])
def test_boundaries_with_dashes_of_their_own(boundary: str) -> None:
    assert parse(stream(IMAGES, True), 64, boundary)[0] == IMAGES


def test_lines_that_end_unix_like_and_what_comes_before_the_first_part() -> None:
    data = b"HELLO\n" + stream(IMAGES, True, newline=b"\n")
    assert parse(data, 33)[0] == IMAGES


@pytest.mark.parametrize("step", [1, 64, 10**6])
def test_an_image_without_its_end_and_length_ends_at_the_next_delimiter(step: int) -> None:
    cut = IMAGES[1][:-40]
    found, _ = parse(stream([IMAGES[0], cut, IMAGES[2]], False), step)
    assert [jpeg.find_end(data) > 0 for data in found] == [True, False, True]
    assert (found[0], found[1].rstrip(b"\r"), found[2]) == (IMAGES[0], cut, IMAGES[2])


def test_a_length_that_is_wrong_costs_its_neighbours_and_no_more() -> None:
    wrong = b"--b\r\nContent-Length: %d\r\n\r\n" % (len(IMAGES[0]) + 60) + IMAGES[0] + b"\r\n"
    found, _ = parse(wrong + stream(IMAGES[1:], True), 50)
    assert found[-2:] == IMAGES[2:]


def test_the_end_of_the_stream_is_seen() -> None:
    found, parser = parse(stream(IMAGES, True) + b"--b--\r\n", 64)
    assert (found, parser.ended) == (IMAGES, True)


def test_a_part_says_when_its_first_byte_came() -> None:
    parser = MultipartParser("b")
    data = stream(IMAGES[:1], True)
    body = data.index(jpeg.START)
    assert parser.feed(data[:body], 1.0) == []
    assert parser.feed(data[body : body + 9], 2.0) == []
    (part,) = parser.feed(data[body + 9 :], 3.0)
    assert part.at == 2.0


def test_parts_and_heads_without_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceError, match="a part of the stream has more than 64 MiB"):
        parse(b"--b\r\nContent-Length: 99999999999\r\n\r\n", 99)
    with pytest.raises(SourceError, match="the head of a part of the stream has no end"):
        parse(b"--b\r\n" + b"x" * 20000, 999)
    monkeypatch.setattr(multipart, "MOST_PART_BYTES", 1 << 20)
    with pytest.raises(SourceError, match="a part of the stream has more than 1 MiB"):
        parse(b"--b\r\n\r\n" + b"x" * (1 << 20) + b"more", 1 << 16)
    assert parse(b"x" * 10**6, 1 << 16)[0] == []


def test_rubbish_is_never_a_crash() -> None:
    for seed in range(200):
        rng = np.random.default_rng(seed)
        data = bytearray(stream(IMAGES, bool(seed % 2)))
        for _ in range(20):
            data[rng.integers(len(data))] = rng.integers(256)
        found, _ = parse(bytes(data), int(rng.integers(1, 500)))
        for part in found:
            jpeg.size_hw(part)
            jpeg.find_end(part)


def test_a_jpegs_size_and_end_are_its_own_and_not_its_thumbnails() -> None:
    data = image(1, (40, 72))
    thumbnail = image(2, (8, 8))
    segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    whole = data[:2] + segment + data[2:]
    assert jpeg.size_hw(whole) == (40, 72)
    assert jpeg.find_end(whole) == len(whole)
    assert jpeg.find_end(whole[:-2]) == -1
    assert jpeg.find_end(whole + b"padding") == len(whole)
    assert jpeg.size_hw(whole[:60]) is None
    assert jpeg.size_hw(b"\x89PNG") is None
    assert jpeg.find_end(b"") == -1
    for cut in range(len(data)):
        assert jpeg.find_end(data[:cut]) == -1
