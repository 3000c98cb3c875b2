"""RTSP from a real server, through PyAV and through OpenCV: what it may do wrong, and what is made of it."""

from __future__ import annotations

import importlib.util
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgeseg.core.errors import SourceError
from edgeseg.runtime.sources import open_source, rtsp
from edgeseg.runtime.sources.live import LiveOptions, LiveSource
from edgeseg.runtime.sources.uri import parse

pytestmark = pytest.mark.timeout(90)
QUICK = LiveOptions(open_timeout_s=30, read_timeout_s=10, first_pause_s=0.02, most_pause_s=0.1)
TWO_SIZES = Path(__file__).resolve().parents[2] / "support" / "servers" / "two-sizes.h264"
"""H.264: 30 images of 96 x 64 pixels, then 30 of 192 x 128."""


@pytest.fixture(params=["av", "opencv"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The library that captures."""
    if request.param == "opencv":
        monkeypatch.setattr(
            rtsp, "_capture_target", lambda: "edgeseg.runtime.sources.process.opencv:RtspCapture"
        )
    elif importlib.util.find_spec("av") is None:
        pytest.skip("PyAV is not installed")
    return request.param


def read_until(
    source: LiveSource, wanted: Callable[[LiveSource, np.ndarray], bool], most: int = 200
) -> np.ndarray:
    """Reads until ``wanted(source, frame)`` holds."""
    for _ in range(most):
        frame = source.read()
        assert frame is not None
        if wanted(source, frame):
            return frame
    raise AssertionError("it never came")


def test_frames_are_new_and_a_dropped_connection_comes_back(
    library: str, rtsp_server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with open_source(rtsp_server.url, QUICK) as source:
        assert source.read().shape == (48, 64, 3)
        for image, wanted in (("white", 255), ("black", 0)):
            rtsp_server.image = image
            read_until(source, lambda _, frame, wanted=wanted: abs(float(frame.mean()) - wanted) < 3)
        rtsp_server.drop()
        read_until(source, lambda source, frame: source.reconnects == 1)
    assert [record.event for record in caplog.records if record.event != "source-note"] == [
        "source-lost",
        "source-back",
    ]


def test_what_the_server_refuses_is_told_without_credentials(
    library: str, rtsp_server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    rtsp_server.user_password = "joe:geheim"
    wrong = rtsp_server.url.replace("//", "//joe:geheim2@") + "?key=geheim3"
    with pytest.raises(
        SourceError, match=r"^rtsp://[\d.:]+/stream does not open: the server answers 401: check user"
    ):
        open_source(wrong, QUICK)
    right = rtsp_server.url.replace("//", "//joe:geheim@")
    with open_source(right, QUICK) as source:
        assert source.read() is not None
    rtsp_server.status = 404
    with pytest.raises(
        SourceError, match=r"^rtsp://[\d.:]+/stream does not open: the server answers 404: check the path"
    ):
        open_source(right, QUICK)
    rtsp_server.stop()
    with pytest.raises(SourceError, match=r"(?i)does not open: connection refused"):
        open_source(right, QUICK)
    assert "geheim" not in caplog.text


def test_a_server_that_answers_nothing_is_told_at_the_deadline(library: str, rtsp_server: Any) -> None:
    rtsp_server.mute = True
    with pytest.raises(SourceError, match=r"does not open"):
        open_source(rtsp_server.url, LiveOptions(open_timeout_s=1.5))


def test_a_stream_that_stalls_is_lost_and_comes_back(library: str, rtsp_server: Any) -> None:
    options = LiveOptions(open_timeout_s=30, read_timeout_s=1, first_pause_s=0.02)
    with open_source(rtsp_server.url, options) as source:
        source.read()
        rtsp_server.stall = True
        threading.Timer(1.5, setattr, (rtsp_server, "stall", False)).start()
        read_until(source, lambda source, frame: source.reconnects > 0)


def test_a_server_that_lets_everyone_in_and_sends_nothing_is_given_up(library: str, rtsp_server: Any) -> None:
    options = LiveOptions(open_timeout_s=3, read_timeout_s=0.5, give_up_after_s=1.5, first_pause_s=0.02)
    with open_source(rtsp_server.url, options) as source:
        source.read()
        rtsp_server.stall = True
        with pytest.raises(SourceError, match=r"has been gone for 1\.5 s, and is given up"):
            read_until(source, lambda source, frame: False)
        assert (source.connected, source.reconnects) == (False, 0)


def test_a_read_of_a_stalled_stream_ends_when_interrupted_and_closes_soon(
    library: str, rtsp_server: Any
) -> None:
    source = open_source(rtsp_server.url, QUICK)
    source.read()
    rtsp_server.stall = True
    threading.Timer(0.3, source.interrupt).start()
    start = time.monotonic()
    while source.read() is not None:
        pass
    source.close()
    assert time.monotonic() - start < QUICK.read_timeout_s


def test_udp(library: str, rtsp_server: Any) -> None:
    with open_source(rtsp_server.url + "#transport=udp", QUICK) as source:
        for _ in range(3):
            assert source.read().shape == (48, 64, 3)
    assert any("client_port" in request for request in rtsp_server.requests)
    assert not any("transport" in request.split("\r\n")[0] for request in rtsp_server.requests)


def test_a_new_size_is_followed_and_said(rtsp_server: Any) -> None:
    if importlib.util.find_spec("av") is None:
        pytest.skip("PyAV is not installed; OpenCV hides a new size")
    rtsp_server.h264 = type(rtsp_server).images_of(TWO_SIZES.read_bytes())
    with open_source(rtsp_server.url, QUICK) as source:
        shapes = set()
        for _ in range(2):
            frame = read_until(source, lambda source, frame: source.frame_fault == "resolution-changed")
            shapes.add(frame.shape)
            source.read()
            assert source.frame_fault == ""
        assert shapes == {(64, 96, 3), (128, 192, 3)}


def test_images_that_lack_packets_are_corrupt(rtsp_server: Any) -> None:
    if importlib.util.find_spec("av") is None:
        pytest.skip("PyAV is not installed; OpenCV hides damage")
    rtsp_server.h264 = type(rtsp_server).images_of(TWO_SIZES.read_bytes())[:30]
    rtsp_server.most_payload = 20
    with open_source(rtsp_server.url, QUICK) as source:
        source.read()
        rtsp_server.lose = 9
        read_until(source, lambda source, frame: source.frame_fault == "corrupt")
        rtsp_server.lose = 0
        read_until(source, lambda source, frame: source.frame_fault == "")


def test_without_pyav_the_user_is_told_what_is_not_seen(
    rtsp_server: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "av" else find(name, *rest)
    )
    with open_source(rtsp_server.url, QUICK) as source:
        source.read()
    assert 'such a change may go unnoticed: pip install "edgeseg[rtsp]"' in caplog.text


def test_certificates_are_checked(library: str, rtsp_server: Any, tls_before: Any) -> None:
    front = tls_before(rtsp_server.port)
    url = f"rtsps://{front.address}/stream"
    with pytest.raises(
        SourceError, match=r"does not open; where its certificate is not trusted, .* #ca=FILE"
    ):
        open_source(url, QUICK)
    for fragment in (f"#ca={front.certificate}", "#verify=0"):
        with open_source(url + fragment, QUICK) as source:
            assert source.read() is not None


def test_what_ffmpeg_is_allowed_and_told() -> None:
    assert rtsp.ffmpeg_options(parse("rtsp://h/s")) == {
        "protocol_whitelist": "rtsp,rtp,tcp",
        "rtsp_transport": "tcp",
        "fpsprobesize": "3",
    }
    assert rtsp.ffmpeg_options(parse("rtsp://h/s#transport=udp")) == {
        "protocol_whitelist": "rtsp,rtp,tcp,udp",
        "rtsp_transport": "udp",
        "fpsprobesize": "3",
    }
    assert rtsp.ffmpeg_options(parse("rtsps://h/s")) == {
        "protocol_whitelist": "rtsp,rtp,tcp,rtsps,tls",
        "rtsp_transport": "tcp",
        "fpsprobesize": "3",
        "tls_verify": "1",
        "ca_file": "/etc/ssl/certs/ca-certificates.crt",
    }
    assert rtsp.ffmpeg_options(parse("rtsps://h/s#ca=own.pem"))["ca_file"] == "own.pem"
    unchecked = rtsp.ffmpeg_options(parse("rtsps://h/s#verify=0"))
    assert unchecked["tls_verify"] == "0"
    assert "ca_file" not in unchecked


def test_a_stream_cannot_lead_to_a_file(library: str, rtsp_server: Any, tmp_path: Path) -> None:
    """A redirect to another protocol is not followed."""
    rtsp_server.status, rtsp_server.location = 302, f"file://{tmp_path}/film.mp4"
    with pytest.raises(SourceError, match="does not open"):
        open_source(rtsp_server.url, LiveOptions(open_timeout_s=5))
