"""The contract of every source; a new one adds a maker to ``FILES`` or ``LIVE``."""

from __future__ import annotations

import os
import socket
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from edgeseg.core.errors import SourceError
from edgeseg.core.schemes import SCHEMES
from edgeseg.core.source import Source
from edgeseg.runtime import sources
from edgeseg.runtime.clock import now
from edgeseg.runtime.sources import camera, open_source

SOON = 4.0
"""Seconds. It takes a few tenths; what is not ended waits for its deadline, which is later."""


def image(value: int, height: int = 40, width: int = 60) -> np.ndarray:
    noise = np.random.default_rng(value).integers(0, 40, (height, width, 3), np.uint8)
    return noise + np.uint8(value)


def make_images(folder: Path) -> str:
    for i in range(3):
        cv2.imwrite(str(folder / f"p{i}.png"), image(10 * i))
    (folder / "notes.txt").write_text("no image")
    return str(folder)


def make_glob(folder: Path) -> str:
    return f"{make_images(folder)}/p*.png"


def make_video(folder: Path) -> str:
    path = str(folder / "v.mp4")
    writer = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*"mp4v"), 12.5, (60, 40))
    for i in range(3):
        writer.write(image(60 * i))
    writer.release()
    return path


def make_mjpeg(request: pytest.FixtureRequest, folder: Path) -> str:
    return request.getfixturevalue("mjpeg_server").url.replace("//", "//joe:geheim@") + "?token=geheim"


def make_rtsp(request: pytest.FixtureRequest, folder: Path) -> str:
    return request.getfixturevalue("rtsp_server").url.replace("//", "//joe:geheim@") + "?token=geheim"


def make_camera(request: pytest.FixtureRequest, folder: Path) -> str:
    request.getfixturevalue("fake_cameras")
    return "fakecam:"


FILES = [make_images, make_glob, make_video]
LIVE = [make_mjpeg, make_rtsp, make_camera]


@pytest.fixture
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A source's URI, ready to be opened."""
    return request.param(request, tmp_path) if request.param in LIVE else request.param(tmp_path)


every_source = pytest.mark.parametrize("uri", [*FILES, *LIVE], indirect=True)
every_file = pytest.mark.parametrize("uri", FILES, indirect=True)
every_live_source = pytest.mark.parametrize("uri", LIVE, indirect=True)


@every_source
class TestContract:
    def test_it_gives_frames_that_differ(self, uri: str) -> None:
        with open_source(uri) as source:
            frames = [source.read() for _ in range(3)]
            for frame in frames:
                assert frame is not None
                assert (frame.shape[2:], frame.dtype) == ((3,), np.uint8)
            assert not np.array_equal(frames[0], frames[2])
            assert (source.connected, source.problem, source.frame_fault) == (True, "", "")
            assert source.reconnects == 0

    def test_frames_are_the_callers_to_keep(self, uri: str) -> None:
        with open_source(uri) as source:
            first = source.read()
            assert first is not None
            kept = first.copy()
            for _ in range(2):
                source.read()
            np.testing.assert_array_equal(first, kept)
            first[:] = 0  # may be written to

    def test_it_tells_what_it_is(self, uri: str, tmp_path: Path) -> None:
        with open_source(uri) as source:
            assert isinstance(source, Source)
            assert source.name
            assert source.live is (str(tmp_path) not in source.name)
            assert source.fps is None or 5 < source.fps <= 100
            assert "geheim" not in source.name

    def test_closing_is_quick_and_twice_is_harmless(self, uri: str) -> None:
        source = open_source(uri)
        start = time.monotonic()
        source.close()
        source.close()
        assert time.monotonic() - start < SOON

    def test_interrupting_is_harmless_at_any_time(self, uri: str) -> None:
        source = open_source(uri)
        source.interrupt()
        source.close()
        source.interrupt()


@every_file
class TestFiles:
    def test_it_gives_all_frames_then_none(self, uri: str) -> None:
        with open_source(uri) as source:
            frames = [source.read() for _ in range(3)]
            assert source.read() is None
            assert source.read() is None
        assert [frame.shape for frame in frames] == [(40, 60, 3)] * 3
        assert float(frames[0].mean()) < float(frames[1].mean()) < float(frames[2].mean())
        assert source.frame_at is None


@every_live_source
class TestLive:
    def test_each_frame_says_when_it_was_captured(self, uri: str) -> None:
        before = now()
        with open_source(uri) as source:
            times = []
            for _ in range(3):
                source.read()
                times.append(source.frame_at)
        assert before < times[0] < times[1] < times[2] <= now()

    def test_who_reads_rarely_gets_the_newest_frame(self, uri: str) -> None:
        with open_source(uri) as source:
            source.read()
            skipped = 0.0
            while (
                skipped < 0.25
            ):  # at once, but where the camera itself is late; the oldest would be 0.1 s on
                before = source.frame_at
                time.sleep(0.4)
                source.read()
                skipped = source.frame_at - before
            assert source.dropped > 0

    def test_a_read_that_waits_ends_when_interrupted(self, uri: str) -> None:
        with open_source(uri) as source:
            threading.Timer(0.1, source.interrupt).start()
            start = time.monotonic()
            while source.read() is not None:
                pass
            assert time.monotonic() - start < SOON
            assert source.read() is None


def test_a_videos_frames_are_used_again_once_nobody_holds_them(tmp_path: Path) -> None:
    path = str(tmp_path / "v.mp4")
    writer = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*"mp4v"), 12.5, (60, 40))
    for i in range(40):
        writer.write(image(5 * i))
    writer.release()
    with open_source(path) as source:
        addresses = set()
        held = source.read()
        assert held is not None
        before = held.copy()
        while (frame := source.read()) is not None:
            addresses.add(frame.ctypes.data)
        assert len(addresses) <= 4
        assert held.ctypes.data not in addresses
        np.testing.assert_array_equal(held, before)


def test_images_have_names(tmp_path: Path) -> None:
    with open_source(make_images(tmp_path)) as source:
        source.read()
        assert source.frame_name == "p0"


def test_one_image_is_a_source(tmp_path: Path) -> None:
    make_images(tmp_path)
    with open_source(str(tmp_path / "p1.png")) as source:
        assert source.read() is not None
        assert source.read() is None


def test_a_camera_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera, "camera_indices", lambda: [0, 2])
    with pytest.raises(
        SourceError, match=r"no camera 7 \(/dev/video7\); this machine has /dev/video0, /dev/video2"
    ):
        open_source("7")
    monkeypatch.setattr(camera, "camera_indices", list)
    with pytest.raises(SourceError, match=r"no camera 0 .* this machine has no /dev/video\* at all"):
        open_source("/dev/video0")


@pytest.mark.parametrize("content", [b"", b"this is no video at all" * 99])
def test_an_unreadable_or_empty_video(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.mp4").write_bytes(content)
    with pytest.raises(SourceError, match=r"cannot read .*bad\.mp4 as a video"):
        open_source(str(tmp_path / "bad.mp4"))


def test_a_video_without_frames(tmp_path: Path) -> None:
    path = Path(make_video(tmp_path))
    data = path.read_bytes()
    start = data.index(b"mdat")
    end = data.index(b"moov")
    path.write_bytes(data[: start + 4] + bytes(end - start - 4) + data[end:])
    with pytest.raises(SourceError, match=r"v\.mp4 holds no frame that can be decoded"):
        open_source(str(path))


def test_a_folder_without_images(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(
        SourceError, match=r"there are no images in .*; looked for \.bmp, \.jpeg, \.jpg, \.png"
    ):
        open_source(str(tmp_path))
    with pytest.raises(SourceError, match=r"there are no images in .*\*\.jpg"):
        open_source(f"{tmp_path}/*.jpg")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp"])
def test_a_truncated_image_is_named(tmp_path: Path, suffix: str) -> None:
    whole = cv2.imencode(suffix, image(9))[1].tobytes()
    (tmp_path / f"a{suffix}").write_bytes(whole)
    (tmp_path / f"b{suffix}").write_bytes(whole[: int(len(whole) * 0.6)])
    with open_source(str(tmp_path)) as source:
        assert source.read() is not None
        with pytest.raises(SourceError, match=rf"the image .*b\{suffix} is damaged or truncated"):
            source.read()


def test_an_image_that_vanishes_is_named(tmp_path: Path) -> None:
    with open_source(make_images(tmp_path)) as source:
        os.remove(tmp_path / "p0.png")
        with pytest.raises(SourceError, match=r"cannot read the image .*p0\.png: No such file"):
            source.read()


def test_unknown_schemes_and_names_are_answered() -> None:
    with pytest.raises(
        SourceError, match=r"unknown scheme 'gopher' in gopher://x; expected a camera index, .*aerial:7"
    ):
        open_source("gopher://x")
    with pytest.raises(
        SourceError, match=r"there is no nowhere\.mp4: expected a camera index, a video file, a folder"
    ):
        open_source("nowhere.mp4")
    with pytest.raises(SourceError, match="'aerial' is registered already"):
        sources.register("aerial", "a:B")


def test_a_camera_that_may_not_be_opened_says_what_may_be_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if camera.camera_indices():
        pytest.skip("this machine has cameras")
    monkeypatch.setattr(camera, "camera_indices", lambda: [99])
    with pytest.raises(
        SourceError, match=r"camera 99 \(/dev/video99\) does not open; another program may hold it"
    ):
        open_source("99")


def test_a_registered_scheme_opens_its_target() -> None:
    sources.register("world", "edgeseg.data.aerial.source:AerialSource")
    sources.register("path", "pathlib:PurePosixPath")
    try:
        assert open_source("world:7?size=32x48").name == "aerial:7?size=32x48"
        with pytest.raises(
            SourceError, match="path: opens pathlib:PurePosixPath, which is no source; derive it from"
        ):
            open_source("path:a/b")
        with pytest.raises(
            SourceError, match=r"a source scheme named 'world' is registered already, as edgeseg\.data"
        ):
            sources.register("world", "a:B")
    finally:
        SCHEMES.unregister("world")
        SCHEMES.unregister("path")


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", ["a.png", "a.mp4", "folder/a.jpg", "folder/*.jpg", "a"])
@pytest.mark.parametrize("kind", ["pipe", "socket", "device"])
def test_what_is_no_file_is_refused_and_never_waited_for(kind: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / name.replace("*", "a")
    path.parent.mkdir(exist_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
    else:
        path.symlink_to("/dev/zero")
    asked = tmp_path / "folder" if name == "folder/a.jpg" else tmp_path / name
    with pytest.raises(SourceError, match=f"cannot read .*: it is a {kind}, expected a file"):
        open_source(str(asked)).read()


@pytest.mark.parametrize("form", ["", "/*", "/**", "/._*", "/.*"])
def test_what_macos_leaves_beside_images_is_none(form: str, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), image(1))
    (tmp_path / "._a.png").write_bytes(b"\0\5\x16\7" + bytes(50))
    (tmp_path / "folder").mkdir()
    if form in ("/._*", "/.*"):
        with pytest.raises(SourceError, match="there are no images in"):
            open_source(f"{tmp_path}{form}")
        return
    with open_source(f"{tmp_path}{form}") as source:
        assert source.read() is not None
        assert source.frame_name == "a"
        assert source.read() is None
