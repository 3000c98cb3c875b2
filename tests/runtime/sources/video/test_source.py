"""Video files that are played over and over, and those that were cut off."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from edgeseg.core.errors import SourceError
from edgeseg.core.source import Source
from edgeseg.runtime.sources import limits, open_source


def write(path: Path, fourcc: str, frames: int, fps: float = 25.0) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*fourcc), fps, (96, 64))
    for i in range(frames):
        writer.write(np.random.default_rng(i).integers(0, 255, (64, 96, 3), np.uint8))
    writer.release()
    return path


def read_all(source: Source) -> int:
    count = 0
    while source.read() is not None:
        count += 1
    return count


def cut(path: Path, share: float) -> Path:
    data = path.read_bytes()
    shorter = path.with_name(f"cut-{path.name}")
    shorter.write_bytes(data[: int(len(data) * share)])
    return shorter


@pytest.mark.parametrize(
    ("suffix", "fourcc"), [("avi", "MJPG"), ("mkv", "mp4v"), ("avi", "XVID"), ("ts", "mp4v")]
)
def test_a_whole_file_is_whole_whatever_its_header_knows(tmp_path: Path, suffix: str, fourcc: str) -> None:
    with open_source(str(write(tmp_path / f"v.{suffix}", fourcc, 60))) as source:
        assert read_all(source) == 60


@pytest.mark.parametrize(("suffix", "fourcc"), [("avi", "MJPG"), ("mkv", "mp4v"), ("avi", "XVID")])
def test_a_file_that_ends_before_its_header_says_is_no_end(tmp_path: Path, suffix: str, fourcc: str) -> None:
    path = cut(write(tmp_path / f"v.{suffix}", fourcc, 60), 0.6)
    with (
        open_source(str(path)) as source,
        pytest.raises(
            SourceError, match=r"the video .*cut-v\.\w+ is cut off: read \d\d frames of 60 that its header"
        ),
    ):
        read_all(source)


def test_an_mp4_whose_index_comes_first_is_cut_off(tmp_path: Path, films: Any) -> None:
    """As recorders and the web write it: the index promises frames that are not there."""
    fast = tmp_path / "fast.mp4"
    fast.write_bytes(films.index_first(write(tmp_path / "v.mp4", "mp4v", 60).read_bytes()))
    with open_source(str(fast)) as source:
        assert read_all(source) == 60
    with (
        open_source(str(cut(fast, 0.6))) as source,
        pytest.raises(SourceError, match=r"is cut off: read \d\d frames of 60 that its header claims"),
    ):
        read_all(source)


def test_a_file_is_played_over_and_over(tmp_path: Path) -> None:
    path = write(tmp_path / "v.avi", "MJPG", 5)
    with open_source(f"{path}?loop=1") as source:
        frames = [source.read() for _ in range(13)]
    for i, frame in enumerate(frames):
        np.testing.assert_array_equal(frame, frames[i % 5])
    assert not np.array_equal(frames[0], frames[1])
    assert source.live is False
    with open_source(f"{path}?loop=0") as source:
        assert read_all(source) == 5


def test_a_name_with_a_question_mark_is_a_name(tmp_path: Path) -> None:
    path = write(tmp_path / "v.avi", "MJPG", 3).rename(tmp_path / "what?.avi")
    with open_source(str(path)) as source:
        assert read_all(source) == 3
    with open_source(f"{path}?loop=1") as source:
        assert [source.read() is not None for _ in range(7)] == [True] * 7
    with pytest.raises(SourceError, match=r"there is no .*gone\.avi: expected a camera index"):
        open_source(f"{tmp_path}/gone.avi?loop=1")


def run(code: str, **environment: str) -> str:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("OPENCV_")}
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"from edgeseg.runtime.sources.limits import set_limits; set_limits()\n{code}",
        ],
        env={**kept, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_images_of_forged_size_are_refused_before_memory_is_taken(tmp_path: Path) -> None:
    # A bitmap's header says any size in a few bytes.
    head = b"BM" + (10**6).to_bytes(4, "little") + bytes(4) + (54).to_bytes(4, "little")
    head += (40).to_bytes(4, "little") + (20000).to_bytes(4, "little") * 2 + (1).to_bytes(2, "little")
    head += (24).to_bytes(2, "little") + bytes(24)
    (tmp_path / "huge.bmp").write_bytes(head + bytes(1000))
    code = (
        "from edgeseg.runtime.sources import open_source\n"
        "import re\n"
        f"try: open_source({str(tmp_path / 'huge.bmp')!r}).read()\n"
        "except Exception as error: print(type(error).__name__, error)\n"
        # Not getrusage: that of a child begins with its parent's peak.
        "peak = re.search(r'VmHWM:\\s*(\\d+) kB', open('/proc/self/status').read())\n"
        "print(int(peak[1]) // 1024 < 600)\n"
    )
    out = run(code).splitlines()
    assert re.fullmatch(r"ImageError the image .* has 20000 x 20000 pixels, more than 268435456; .*", out[0])
    assert out[1] == "True"


def test_a_video_file_cannot_make_ffmpeg_ask_a_network(tmp_path: Path, mjpeg_server: object) -> None:
    playlist = tmp_path / "list.mp4"
    playlist.write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://{mjpeg_server.address}/secret.ts\n#EXT-X-ENDLIST\n"
    )
    code = (
        "from edgeseg.runtime.sources import open_source\n"
        f"try: open_source({str(playlist)!r})\n"
        "except Exception as error: print(type(error).__name__)\n"
    )
    assert run(code) == "SourceError"
    assert mjpeg_server.connections == 0


def test_limits_are_set_and_what_the_environment_says_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import os; import json; print(json.dumps({k: v for k, v in os.environ.items() if k.startswith('OPENCV_')}))"
    assert json.loads(run(code)) == {
        "OPENCV_FFMPEG_CAPTURE_OPTIONS": "protocol_whitelist;file",
        "OPENCV_IO_MAX_IMAGE_PIXELS": str(limits.MOST_PIXELS),
        "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT": "5",
    }
    own = {"OPENCV_IO_MAX_IMAGE_PIXELS": "1000", "OPENCV_FFMPEG_CAPTURE_OPTIONS": "threads;1"}
    kept = json.loads(run(code, **own))
    assert kept["OPENCV_IO_MAX_IMAGE_PIXELS"] == "1000"
    assert kept["OPENCV_FFMPEG_CAPTURE_OPTIONS"] == "threads;1|protocol_whitelist;file"
    monkeypatch.setenv("OPENCV_FFMPEG_CAPTURE_OPTIONS", "protocol_whitelist;file,http")
    limits.set_limits()
    assert os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] == "protocol_whitelist;file,http"


def test_a_childs_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENCV_FFMPEG_LOGLEVEL", "-8")
    environment = limits.child_environment(0.4, {"protocol_whitelist": "rtsp,tcp", "rtsp_transport": "tcp"})
    assert environment["OPENCV_FFMPEG_CAPTURE_OPTIONS"] == "protocol_whitelist;rtsp,tcp|rtsp_transport;tcp"
    assert "OPENCV_FFMPEG_LOGLEVEL" not in environment  # why a server refuses is read from what FFmpeg says
    assert environment["OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT"] == "1"
    assert int(environment["OPENCV_IO_MAX_IMAGE_PIXELS"]) > 0
