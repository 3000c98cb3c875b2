"""CSI cameras and pipelines, as the text that GStreamer is given; no GStreamer is needed."""

from __future__ import annotations

import pytest
from edgeseg.core.errors import SourceError
from edgeseg.runtime.sources import open_source
from edgeseg.runtime.sources.gstreamer import csi_pipeline, with_sink
from edgeseg.runtime.sources.live import HopelessError, LiveOptions
from edgeseg.runtime.sources.process.opencv import has_gstreamer

TAIL = "video/x-raw, format=BGRx ! videoconvert ! video/x-raw, format=BGR ! appsink drop=true max-buffers=1 sync=false"


@pytest.mark.parametrize(
    ("sensor", "options", "head"),
    [
        (0, {}, "nvarguscamerasrc sensor-id=0 ! video/x-raw(memory:NVMM), format=NV12 ! nvvidconv"),
        (
            1,
            {"width": "1280", "height": "720", "fps": "30"},
            "nvarguscamerasrc sensor-id=1 ! video/x-raw(memory:NVMM), width=1280, height=720, framerate=30/1,"
            " format=NV12 ! nvvidconv",
        ),
        (
            0,
            {"flip": "rotate-180", "mode": "2", "fps": "29.97"},
            "nvarguscamerasrc sensor-id=0 sensor-mode=2 ! video/x-raw(memory:NVMM), framerate=2997/100, format=NV12"
            " ! nvvidconv flip-method=2",
        ),
        (
            0,
            {"flip": "none", "fps": "7.50"},
            "nvarguscamerasrc sensor-id=0 ! video/x-raw(memory:NVMM), framerate=75/10, format=NV12 ! nvvidconv",
        ),
    ],
)  # fmt: skip
def test_a_csi_cameras_pipeline(sensor: int, options: dict[str, str], head: str) -> None:
    assert csi_pipeline(sensor, options) == f"{head} ! {TAIL}"


def test_every_flip_has_its_method() -> None:
    words = ("none", "counterclockwise", "rotate-180", "clockwise", "horizontal-flip", "vertical-flip")
    methods = [
        csi_pipeline(0, {"flip": word}).partition("flip-method=")[2].partition(" ")[0] for word in words
    ]
    assert methods == ["", "1", "2", "3", "4", "6"]


def test_a_pipeline_ends_in_an_appsink_that_keeps_the_newest() -> None:
    sink = "videoconvert ! video/x-raw, format=BGR ! appsink drop=true max-buffers=1 sync=false"
    assert with_sink("videotestsrc") == f"videotestsrc ! {sink}"
    assert with_sink(" videotestsrc ! ") == f"videotestsrc ! {sink}"


@pytest.mark.parametrize(
    ("own", "becomes"),
    [
        ("appsink", "appsink drop=true max-buffers=1"),
        ("appsink name=mine", "appsink drop=true max-buffers=1 name=mine"),
        ("appsink max-buffers=4 ", "appsink drop=true max-buffers=4 "),
        ("appsink drop = false max-buffers=9", "appsink drop = false max-buffers=9"),
        (
            "appsink sync=0 t. ! queue ! fakesink",
            "appsink drop=true max-buffers=1 sync=0 t. ! queue ! fakesink",
        ),
    ],
)
def test_an_appsink_of_the_users_keeps_the_newest_too(own: str, becomes: str) -> None:
    assert with_sink(f"videotestsrc ! {own}") == f"videotestsrc ! {becomes}"


@pytest.mark.parametrize(
    ("text", "has"),
    [("  GStreamer:                   YES (1.20.3)\n", True), ("    GStreamer:  NO\n", False), ("", False)],
)
def test_whether_opencv_has_gstreamer(text: str, has: bool) -> None:
    assert has_gstreamer(f"Video I/O:\n    FFMPEG:   YES\n{text}") is has


@pytest.mark.parametrize("uri", ["csi://0", "gst://videotestsrc user-pw=geheim ! videoconvert"])
def test_without_gstreamer_it_is_told_at_once_what_to_do_and_never_waited_for(uri: str) -> None:
    cv2 = pytest.importorskip("cv2")
    if has_gstreamer(cv2.getBuildInformation()):
        pytest.skip("this OpenCV has GStreamer")
    waiting = LiveOptions(open_timeout_s=60, wait_for_source=True)
    with pytest.raises(
        SourceError, match=r"^(csi://0|gst://videotestsrc ! videoconvert) needs an OpenCV with"
    ) as caught:
        open_source(uri, waiting)
    assert isinstance(caught.value, HopelessError)
    assert "python3-opencv" in str(caught.value)
