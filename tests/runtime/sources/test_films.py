"""Films with holes, of rates that vary, cut off at their ends, of codecs that OpenCV lacks, and of odd names."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgeseg.core.errors import SourceError
from edgeseg.core.source import Source
from edgeseg.runtime.sources import open_source
from edgeseg.runtime.sources.video import source as video
from edgeseg.runtime.sources.video.film import codec_name

VARYING = [i / 30 for i in range(30)] + [1 + 4 * i / 30 for i in range(8)]
AV1 = {"preset": "13", "svtav1-params": "lp=1"}


def read(source: Source) -> tuple[list[int], list[float], list[float]]:
    """The numbers, times and brightnesses of all frames."""
    numbers, times, brightness = [], [], []
    while (frame := source.read()) is not None:
        assert source.frame_number is not None
        assert source.frame_time_s is not None
        numbers.append(source.frame_number)
        times.append(source.frame_time_s)
        brightness.append(float(frame[:28].mean()))
    return numbers, times, brightness


@pytest.mark.parametrize("fourcc", ["mp4v", "PIM1"])
def test_frames_after_a_hole_bear_the_films_own_numbers(
    tmp_path: Path, films: Any, fourcc: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = films.damage_stream(films.write_film(tmp_path / "f.ts", fourcc, 60))
    with caplog.at_level(logging.WARNING), open_source(path) as source:
        numbers, times, brightness = read(source)
    assert (len(numbers), source.missing, numbers[-1]) == (48, 12, 59)
    assert times == pytest.approx([number / 25 for number in numbers])
    # What they show is the number that they were painted with, codecs being lossy.
    assert brightness == pytest.approx([4 * number for number in numbers], abs=6)
    assert caplog.messages == [f"{path} lacks 12 frames before frame 36, at 1.44 s"]


def test_a_film_with_a_hole_is_played_over_and_over(tmp_path: Path, films: Any) -> None:
    path = films.damage_stream(films.write_film(tmp_path / "f.ts", "mp4v", 60))
    with open_source(f"{path}?loop=1") as source:
        seen = []
        for _ in range(96):
            source.read()
            seen.append((source.frame_number, round(source.frame_time_s, 6)))
    assert seen[48:] == [(number + 60, round(time_s + 2.4, 6)) for number, time_s in seen[:48]]
    assert source.missing == 24


@pytest.mark.parametrize(("codec", "suffix"), [("mpeg4", "mp4"), ("mpeg4", "mkv"), ("libx264", "mp4")])
def test_a_film_of_a_varying_rate_keeps_its_times(
    tmp_path: Path, films: Any, codec: str, suffix: str
) -> None:
    path = films.write_timed(tmp_path / f"v.{suffix}", codec, VARYING)
    with open_source(path) as source:
        numbers, times, _ = read(source)
    assert (numbers, source.missing) == (list(range(38)), 0)
    assert times == pytest.approx(VARYING, abs=1e-3)


@pytest.mark.parametrize(("suffix", "codec"), [("mkv", "mpeg4"), ("mp4", "mpeg4"), ("webm", "libvpx-vp9")])
def test_the_last_frames_are_missed_though_they_are_few(
    tmp_path: Path, films: Any, suffix: str, codec: str
) -> None:
    """A twentieth of a film is minutes of an hour; the file itself says that bytes are missing."""
    options = {"deadline": "realtime", "cpu-used": "8"} if codec == "libvpx-vp9" else {}
    options |= {"movflags": "faststart"} if suffix == "mp4" else {}
    whole = films.write_timed(tmp_path / f"w.{suffix}", codec, [i / 25 for i in range(200)], options)
    with open_source(whole) as source:
        assert len(read(source)[0]) == 200
    data = whole.read_bytes()
    path = tmp_path / f"cut.{suffix}"
    if suffix == "mp4":
        data = films.index_first(data)
    path.write_bytes(data[: int(0.97 * len(data))])
    with (
        open_source(path) as source,
        pytest.raises(SourceError, match=r"is cut off: it has \d+ bytes of the \d+ that"),
    ):
        read(source)


def test_a_file_that_is_all_there_and_ends_early_is_damaged_and_not_cut(tmp_path: Path, films: Any) -> None:
    path = films.write_timed(tmp_path / "d.mp4", "libx264", [i / 25 for i in range(60)])
    data = bytearray(path.read_bytes())
    begin, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    data[(begin + end) // 2 : end] = bytes(end - (begin + end) // 2)
    path.write_bytes(data)
    with (
        open_source(path) as source,
        pytest.raises(SourceError, match=r"d\.mp4 is damaged: read \d+ frames of 60 that"),
    ):
        read(source)


def test_sound_that_goes_on_for_longer_is_no_damage(tmp_path: Path, films: Any) -> None:
    path = films.write_timed(tmp_path / "s.mkv", "mpeg4", [i / 25 for i in range(50)], sound_s=4)
    with open_source(path) as source:
        assert len(read(source)[0]) == 50
    # But room that was set aside and never filled is.
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + bytes(len(data) - len(data) // 2))
    with (
        open_source(path) as source,
        pytest.raises(SourceError, match=r"is cut off: read \d+ frames of 10\d that"),
    ):
        read(source)


def test_pyav_reads_what_opencv_has_no_decoder_for(
    tmp_path: Path, films: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = films.write_timed(tmp_path / "a.mp4", "libsvtav1", [i / 25 for i in range(5)], AV1)
    with open_source(path) as source:
        numbers, times, brightness = read(source)
    assert numbers == [0, 1, 2, 3, 4]
    assert times == pytest.approx([i / 25 for i in range(5)])
    assert brightness == pytest.approx([4 * i for i in range(5)], abs=6)
    monkeypatch.setattr(video, "has_pyav", lambda: False)
    monkeypatch.setattr(video, "OpenCvFilm", _lacks("AV1"))
    with pytest.raises(
        SourceError, match=r"decodes no frame of .*a\.mp4, whose codec is AV1: .*edgeseg\[rtsp\]"
    ) as told:
        open_source(path)
    assert "damaged" not in str(told.value)


def _lacks(codec: str) -> Any:
    """An OpenCV whose build lacks a decoder, as those of PyPI lack AV1's; a later one may have it."""

    def refuse(path: Path) -> None:
        raise video.FilmError(codec)

    return refuse


def test_codecs_have_names() -> None:
    names = {
        letters: codec_name(int.from_bytes(letters, "little"))
        for letters in (b"AV01", b"hev1", b"VP90", b"abcd")
    }
    assert names == {b"AV01": "AV1", b"hev1": "HEVC", b"VP90": "VP9", b"abcd": "abcd"}
    assert codec_name(0) == codec_name(-1) == codec_name(1) == ""


def test_what_pyav_decodes_is_what_opencv_decodes(tmp_path: Path, films: Any) -> None:
    from edgeseg.runtime.sources.video.film import OpenCvFilm
    from edgeseg.runtime.sources.video.film_av import AvFilm

    pytest.importorskip("av")
    path = films.write_film(tmp_path / "f.mp4", "mp4v", 10)
    ours, theirs = OpenCvFilm(path), AvFilm(path)
    assert (ours.fps, ours.claimed) == (theirs.fps, theirs.claimed) == (25.0, 10)
    for _ in range(10):
        one, other = ours.read(), theirs.read()
        assert one is not None
        assert other is not None
        assert one.time_s == pytest.approx(other.time_s)
        assert not other.damaged
        # The same decoder; the conversion to BGR rounds otherwise.
        assert np.abs(one.frame.astype(int) - other.frame).mean() < 2
    assert ours.read() is theirs.read() is None
    ours.close()
    theirs.close()


def test_a_film_of_more_pixels_than_are_allowed_is_never_decoded(
    tmp_path: Path, films: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgeseg.runtime.sources.video.film import FilmError
    from edgeseg.runtime.sources.video.film_av import AvFilm

    pytest.importorskip("av")
    path = films.write_film(tmp_path / "f.mp4", "mp4v", 2)
    AvFilm(path).close()
    monkeypatch.setenv("OPENCV_IO_MAX_IMAGE_PIXELS", "64")
    with pytest.raises(FilmError):
        AvFilm(path)


@pytest.mark.parametrize("name", ["cam-2026-11-28T12:30:00.mp4", os.fsdecode(b"caf\xe9.mp4"), "a:b/c.mp4"])
def test_names_that_a_library_takes_for_something_else(
    tmp_path: Path, films: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).parent.mkdir(exist_ok=True)
    films.write_film(tmp_path / "f.mp4", "mp4v", 5).rename(name)
    for uri in (name, f"{name}?loop=0"):
        with open_source(uri) as source:
            assert len(read(source)[0]) == 5


def test_a_folder_and_a_glob_of_images_whose_names_are_no_text(tmp_path: Path) -> None:
    import cv2

    folder = tmp_path / os.fsdecode(b"f\xff:1")
    folder.mkdir()
    data = cv2.imencode(".png", np.full((8, 8, 3), 7, np.uint8))[1].tobytes()
    (folder / os.fsdecode(b"p\xfe.png")).write_bytes(data)
    for uri in (str(folder), f"{folder}/*.png"):
        with open_source(uri) as source:
            frame = source.read()
            assert frame is not None
            assert frame.mean() == 7
            assert source.frame_name == os.fsdecode(b"p\xfe")


@pytest.mark.parametrize("name", ["cam-2026-11-28T12:30:00.mp4", "front:1.mkv", "x:7.PNG"])
def test_a_name_with_a_colon_that_is_not_there_is_no_scheme(tmp_path: Path, name: str) -> None:
    with pytest.raises(SourceError, match=rf"there is no {name}: expected a camera index"):
        open_source(name)
