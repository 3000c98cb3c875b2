"""OpenCV's V4L2 captures in the child, with a fake camera."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from edgeseg.runtime.sources.process import opencv
from edgeseg.runtime.sources.process.capture import CaptureError

SPEC = {"name": "camera 0", "place": "camera 0 (/dev/video0)", "device": "/dev/video0"}


def jpeg_of(value: int) -> bytes:
    return cv2.imencode(".jpg", np.full((48, 64, 3), value, np.uint8))[1].tobytes()


class FakeV4l2:
    """Behaves as ``cv2.VideoCapture`` with V4L2: sizes are the nearest it has, compressed frames come raw if asked."""

    def __init__(
        self, frames: list[bytes], formats: tuple[str, ...] = ("MJPG",), decodes_anyway: bool = False
    ) -> None:
        self.frames, self.formats, self.decodes_anyway = list(frames), formats, decodes_anyway
        self.properties = {
            cv2.CAP_PROP_FRAME_WIDTH: 64.0,
            cv2.CAP_PROP_FRAME_HEIGHT: 48.0,
            cv2.CAP_PROP_FPS: 30.0,
            cv2.CAP_PROP_POS_MSEC: 0.0,
            cv2.CAP_PROP_CONVERT_RGB: 1.0,
            cv2.CAP_PROP_FOURCC: float(cv2.VideoWriter.fourcc(*formats[0])),
        }
        self.calls: list[tuple[int, float]] = []
        self.released = False
        self.current = b""

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return True

    def set(self, key: int, value: float) -> bool:
        self.calls.append((key, value))
        if key == cv2.CAP_PROP_FOURCC and int(value).to_bytes(4, "little").decode() not in self.formats:
            return False
        if key not in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT):
            self.properties[key] = float(value)
        return True

    def get(self, key: int) -> float:
        return self.properties[key]

    def grab(self) -> bool:
        self.current = self.frames.pop(0) if self.frames else b""
        return bool(self.current)

    def retrieve(self, into: Any = None) -> tuple[bool, Any]:
        if self.properties[cv2.CAP_PROP_CONVERT_RGB] and not self.decodes_anyway:
            return True, cv2.imdecode(np.frombuffer(self.current, np.uint8), cv2.IMREAD_COLOR)
        if self.decodes_anyway:
            return True, np.full((48, 64, 3), 9, np.uint8)
        return True, np.frombuffer(self.current, np.uint8)[None]

    def release(self) -> None:
        self.released = True


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Opens a capture on a fake."""

    def open_it(fake: Any, **asked: str) -> opencv.V4l2Capture:
        monkeypatch.setattr(cv2, "VideoCapture", lambda device, api: fake)
        return opencv.V4l2Capture({**SPEC, **asked})

    return open_it


def test_jpegs_are_looked_at_before_they_are_decoded(opened: Any) -> None:
    padded = jpeg_of(200) + bytes(99)
    capture = opened(FakeV4l2([jpeg_of(50), jpeg_of(100)[:-60], padded, jpeg_of(100)[:30]]))
    found = [capture.read(None) for _ in range(4)]
    assert [each.fault for each in found] == ["", "corrupt", "", "corrupt"]
    assert [each.frame.shape for each in found] == [(48, 64, 3)] * 4
    assert abs(int(found[0].frame.mean()) - 50) < 3
    assert not found[3].frame.any()
    with pytest.raises(CaptureError, match="camera 0 gives no frames any more; is it still plugged in"):
        capture.read(None)


def test_a_driver_that_decodes_in_spite_of_all_is_believed(opened: Any) -> None:
    fake = FakeV4l2([jpeg_of(50)] * 5, decodes_anyway=True)
    capture = opened(fake)
    for _ in range(3):
        assert capture.read(None).frame.shape == (48, 64, 3)
    assert fake.properties[cv2.CAP_PROP_CONVERT_RGB] == 1


def test_pixels_are_taken_as_they_come(opened: Any) -> None:
    fake = FakeV4l2([jpeg_of(50)], formats=("YUYV",))
    capture = opened(fake)
    assert capture.read(None).fault == ""
    assert (cv2.CAP_PROP_CONVERT_RGB, 0) not in fake.calls
    capture.close()
    assert fake.released


def test_what_was_asked_for_is_set_format_first_and_what_came_instead_is_told(opened: Any) -> None:
    fake = FakeV4l2([jpeg_of(50)])
    capture = opened(fake, width="1280", height="48", fps="25", fourcc="YUYV")
    assert [key for key, _ in fake.calls[:4]] == [
        cv2.CAP_PROP_FOURCC,
        cv2.CAP_PROP_FRAME_WIDTH,
        cv2.CAP_PROP_FRAME_HEIGHT,
        cv2.CAP_PROP_FPS,
    ]
    assert capture.fps == 25
    assert capture.notes == (
        "asked for width=1280, the camera gives 64; `edgeseg cameras` lists what it can",
        "asked for fourcc=YUYV, the camera gives MJPG; `edgeseg cameras` lists what it can",
    )


def test_a_camera_that_does_not_open() -> None:
    with pytest.raises(
        CaptureError, match=r"camera 0 \(/dev/video0\) does not open; another program may hold it"
    ):
        opencv.V4l2Capture({**SPEC, "device": "/dev/video99"})


@pytest.mark.parametrize("epoch_s", [0.5, 1.7e9], ids=["since it was switched on", "since 1970"])
def test_what_a_driver_kept_while_the_process_was_stopped_is_as_old_as_it_is(
    opened: Any, monkeypatch: pytest.MonkeyPatch, epoch_s: float
) -> None:
    """The kernel keeps four frames for a process that does not take them, and drops what comes after."""
    clock = [100.0]
    monkeypatch.setattr(opencv, "now", lambda: clock[0])
    capture = opened(FakeV4l2([jpeg_of(9)] * 99))
    ages = []

    def take(captured_at: float) -> None:
        capture._capture.properties[cv2.CAP_PROP_POS_MSEC] = 1000 * (captured_at - 100 + epoch_s)
        ages.append(clock[0] - capture.read(None).at)

    for _ in range(30):
        clock[0] += 0.04
        take(clock[0])
    assert max(ages) < 1e-6
    ages.clear()
    stopped_at = clock[0]
    clock[0] += 4.0
    for number in range(1, 5):
        take(stopped_at + 0.04 * number)
    take(clock[0])
    assert ages == pytest.approx([3.96, 3.92, 3.88, 3.84, 0.0], abs=0.01)


def test_a_frame_without_a_stamp_may_be_as_old_as_an_unusual_wait(
    opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, waits = [100.0], [0.04] * 10 + [4.0] + [0.04] * 3
    monkeypatch.setattr(opencv, "now", lambda: clock[0])
    fake = FakeV4l2([jpeg_of(9)] * 99)
    capture = opened(fake)
    grab = fake.grab

    def slow() -> bool:
        clock[0] += waits.pop(0)
        return grab()

    monkeypatch.setattr(fake, "grab", slow)
    ages = []
    while waits:
        at = capture.read(None).at
        ages.append(round(clock[0] - at, 6))
    assert ages == [0.0] * 10 + [4.0] + [0.0] * 3
