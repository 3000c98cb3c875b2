"""``edgeseg cameras``: what is asked of the kernel, answered as it would, and what is printed."""

from __future__ import annotations

import errno
import json
import os
import struct
from pathlib import Path

import pytest
from edgeseg.cli import cameras as command
from edgeseg.cli.main import main
from edgeseg.runtime.sources import csi_sensors, v4l2
from edgeseg.runtime.sources.csi_sensors import CsiSensor, list_sensors
from edgeseg.runtime.sources.v4l2 import Camera, Format, Mode, describe, list_cameras

YUYV, MJPG = (int.from_bytes(name, "little") for name in (b"YUYV", b"MJPG"))


class Kernel:
    """Answers as the kernel does, by the layout in linux/videodev2.h."""

    def __init__(
        self, capabilities: int = 0x84A00001, device_caps: int = 0x04200001, stepwise: bool = False
    ) -> None:
        self.capabilities, self.device_caps, self.stepwise = capabilities, device_caps, stepwise
        self.formats = [(YUYV, b"YUYV 4:2:2"), (MJPG, b"Motion-JPEG")]
        self.sizes = {YUYV: [(640, 480)], MJPG: [(1280, 720), (640, 480)]}
        self.intervals = [(1, 30), (1001, 15000), (1, 5)]

    def __call__(self, fd: int, request: int, buffer: bytearray) -> int:
        # _IOC: size in bits 16 to 29, type 'V', number; as C's sizeof gives them on 32 and 64 bit.
        assert len(buffer) == request >> 16 & 0x3FFF
        index = struct.unpack_from("=I", buffer)[0]
        if request == 0x80685600:
            text = (
                b"uvcvideo".ljust(16, b"\0")
                + b"HD Webcam".ljust(32, b"\0")
                + b"usb-0000:00:14.0-1".ljust(32, b"\0")
            )
            buffer[:92] = text + struct.pack("=III", 0x060100, self.capabilities, self.device_caps)
        elif request == 0xC0405602:
            code, text = self._at(self.formats, index)
            buffer[12:48] = text.ljust(32, b"\0") + struct.pack("=I", code)
        elif request == 0xC02C564A:
            code = struct.unpack_from("=I", buffer, 4)[0]
            if self.stepwise:
                self._at([0], index)
                struct.pack_into("=7I", buffer, 8, 3, 16, 1920, 8, 16, 1080, 4)
            else:
                struct.pack_into("=3I", buffer, 8, 1, *self._at(self.sizes[code], index))
        elif request == 0xC034564B:
            width, height = struct.unpack_from("=II", buffer, 8)
            assert self.stepwise or (width, height) in self.sizes[struct.unpack_from("=I", buffer, 4)[0]]
            if self.stepwise:
                self._at([0], index)
                struct.pack_into("=7I", buffer, 16, 3, 1, 60, 1, 1, 1, 1)
            else:
                struct.pack_into("=3I", buffer, 16, 1, *self._at(self.intervals, index))
        else:
            raise OSError(errno.ENOTTY, "Inappropriate ioctl for device")
        return 0

    def _at(self, items: list, index: int) -> tuple:
        if index >= len(items):
            raise OSError(errno.EINVAL, "Invalid argument")
        return items[index]


def test_a_camera_tells_its_formats_sizes_and_rates() -> None:
    rates = [30.0, 14.985, 5.0]
    assert describe(3, Kernel()) == {
        "name": "HD Webcam",
        "driver": "uvcvideo",
        "bus": "usb-0000:00:14.0-1",
        "formats": [
            {"fourcc": "YUYV", "text": "YUYV 4:2:2", "modes": [{"width": 640, "height": 480, "fps": rates}]},
            {
                "fourcc": "MJPG",
                "text": "Motion-JPEG",
                "modes": [
                    {"width": 1280, "height": 720, "fps": rates},
                    {"width": 640, "height": 480, "fps": rates},
                ],
            },
        ],
    }


def test_a_driver_that_gives_ranges() -> None:
    found = describe(3, Kernel(stepwise=True))
    assert found is not None
    assert found["formats"][0]["modes"] == [
        {"width": 1920, "height": 1080, "fps": [60.0, 1.0], "step": "from 16x16 in steps of 8x4"}
    ]


@pytest.mark.parametrize(
    ("capabilities", "device_caps", "captures"),
    [
        (0x84A00001, 0x04A00000, False),  # the second node of a camera carries metadata alone
        (0x00000001, 0x00000000, True),  # an old driver has no device_caps
        (0x84201000, 0x04201000, True),  # multi-planar
        (0x84200002, 0x04200002, False),  # an output
    ],
)
def test_nodes_that_capture_nothing_are_no_cameras(
    capabilities: int, device_caps: int, captures: bool
) -> None:
    assert (describe(3, Kernel(capabilities, device_caps)) is not None) is captures


def test_a_driver_that_never_ends_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    class Endless(Kernel):
        def _at(self, items: list, index: int) -> tuple:
            return items[0]

    kernel = Endless()
    kernel.formats, kernel.sizes = kernel.formats[:1], {YUYV: [(640, 480)]}
    kernel.intervals = [(1, 30)]
    monkeypatch.setattr(v4l2, "_MOST", 4)
    found = describe(3, kernel)
    assert found is not None
    assert len(found["formats"]) == 4


def test_devices_that_cannot_be_asked_are_listed_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "video10").write_bytes(b"")
    os.mkfifo(tmp_path / "video2")
    (tmp_path / "video-dec").write_bytes(b"")
    by_id = tmp_path / "v4l" / "by-id"
    by_id.mkdir(parents=True)
    (by_id / "usb-camera-index0").symlink_to(tmp_path / "video10")
    found = list_cameras(tmp_path, seconds=20)
    assert [camera.device for camera in found] == [str(tmp_path / "video2"), str(tmp_path / "video10")]
    assert all(
        "it cannot be asked: OSError: [Errno 25] Inappropriate ioctl" in camera.problem for camera in found
    )
    assert [camera.by_id for camera in found] == ["", str(by_id / "usb-camera-index0")]


def test_a_driver_that_hangs_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "video0").write_bytes(b"")
    monkeypatch.setattr(v4l2, "_CODE", "import time; time.sleep(60)")
    (camera,) = list_cameras(tmp_path, seconds=0.3)
    assert camera.problem == "its driver does not answer within 0.3 s"


def test_a_jetsons_sensors_come_from_its_device_tree(tmp_path: Path) -> None:
    modules = tmp_path / "proc/device-tree/tegra-camera-platform/modules"
    for name, badge, device, status in [
        ("module0", "jakku_front_RBP194", "imx219 9-0010", "okay"),
        ("module1", "off_RBP", "imx219 10-0010", "disabled"),
        ("module10", "jakku_rear_RBP194", "", ""),
    ]:
        (modules / name / "drivernode0").mkdir(parents=True)
        (modules / name / "badge").write_bytes(badge.encode() + b"\0")
        if device:
            (modules / name / "drivernode0" / "devname").write_bytes(device.encode() + b"\0")
        if status:
            (modules / name / "status").write_bytes(status.encode() + b"\0")
    assert list_sensors(tmp_path) == [
        CsiSensor(0, "jakku_front_RBP194", "imx219 9-0010"),
        CsiSensor(1, "jakku_rear_RBP194", ""),
    ]
    assert list_sensors(tmp_path / "nowhere") == []


WEBCAM = Camera(
    "/dev/video0",
    "HD Webcam",
    "uvcvideo",
    "usb-1",
    (
        Format(
            "MJPG",
            "Motion-JPEG",
            (Mode(1280, 720, (30.0, 14.985)), Mode(1920, 1080, (), "from 2x2 in steps of 2x2")),
        ),
    ),
    by_id="/dev/v4l/by-id/usb-x",
)


def test_the_table() -> None:
    raw = Camera(
        "/dev/video1",
        "vi-output, imx219 9-0010",
        "tegra-video",
        "platform",
        (Format("RG10", "Bayer", (Mode(3280, 2464),)),),
    )
    closed = Camera("/dev/video2", problem="you may not open it")
    assert command.table([closed, raw, WEBCAM], [CsiSensor(0, "front", "imx219 9-0010")]).splitlines() == [
        "/dev/video2  ?",
        "  you may not open it",
        "/dev/video1  vi-output, imx219 9-0010  (tegra-video, platform)",
        "  the sensor's raw pixels; take csi:// for images",
        "  RG10  Bayer",
        "    3280x2464",
        "/dev/video0  HD Webcam  (uvcvideo, usb-1)",
        "  stays the same when plugged in again: --source v4l2:///dev/v4l/by-id/usb-x",
        "  MJPG  Motion-JPEG",
        "    1280x720 at 30, 14.985 fps",
        "    1920x1080 (from 2x2 in steps of 2x2)",
        "csi://0  front imx219 9-0010  (in the device tree; through Argus)",
        "for example: --source 'v4l2:///dev/video0?width=1280&height=720&fps=30&fourcc=MJPG'",
    ]  # fmt: skip


def test_the_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(v4l2, "list_cameras", lambda: [WEBCAM])
    monkeypatch.setattr(csi_sensors, "list_sensors", lambda: [CsiSensor(0, "front", "")])
    assert main(["cameras", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["cameras"][0]["formats"][0]["modes"][0] == {
        "width": 1280,
        "height": 720,
        "fps": [30.0, 14.985],
        "step": "",
    }
    assert found["csi"] == [{"number": 0, "badge": "front", "name": ""}]
    monkeypatch.setattr(v4l2, "list_cameras", list)
    monkeypatch.setattr(csi_sensors, "list_sensors", list)
    assert main(["cameras"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("no cameras: there is no /dev/video* that captures")
    assert "--source film.mp4" in out
