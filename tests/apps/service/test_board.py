"""Boards made up under a folder: what is read from their /sys, and what odd files do."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from edgeseg.apps.service.board import BoardReader
from edgeseg.runtime.status import Board

THERMAL = "sys/class/thermal"
CPU = "sys/devices/system/cpu"


class Made:
    """A board of the test's own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.now = 1000.0
        self.reader = BoardReader(root, lambda: self.now)

    def write(self, files: dict[str, object]) -> None:
        for name, value in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{value}\n")

    def read(self) -> Board:
        self.now += 1
        return self.reader.read()


@pytest.fixture
def board(tmp_path: Path) -> Made:
    return Made(tmp_path)


def jetson(board: Made) -> None:
    board.write(
        {
            f"{THERMAL}/thermal_zone0/type": "cpu-thermal",
            f"{THERMAL}/thermal_zone0/temp": 48562,
            f"{THERMAL}/thermal_zone1/type": "gpu-thermal",
            f"{THERMAL}/thermal_zone1/temp": 45312,
            f"{THERMAL}/thermal_zone10/type": "tj-thermal",
            f"{THERMAL}/thermal_zone10/temp": 49000,
            f"{THERMAL}/thermal_zone2/type": "cv0-thermal",
            f"{THERMAL}/thermal_zone2/temp": -256000,  # what a part that is switched off says
            f"{THERMAL}/cooling_device0/type": "pwm-fan",
            f"{THERMAL}/cooling_device0/cur_state": 3,
            f"{THERMAL}/cooling_device1/type": "cpufreq-cpu0",
            f"{THERMAL}/cooling_device1/cur_state": 0,
            f"{THERMAL}/cooling_device2/type": "devfreq-17000000.gpu",
            f"{THERMAL}/cooling_device2/cur_state": 0,
            "sys/class/hwmon/hwmon0/name": "cpu_thermal",
            "sys/class/hwmon/hwmon0/temp1_input": 48562,
            "sys/class/hwmon/hwmon1/name": "soctherm_oc",
            "sys/class/hwmon/hwmon1/oc1_event_cnt": 0,
            "sys/class/hwmon/hwmon1/oc3_event_cnt": 7,
            f"{CPU}/cpufreq/policy0/cpuinfo_max_freq": 1728000,
            f"{CPU}/cpufreq/policy0/scaling_max_freq": 1510400,  # the power mode's
            f"{CPU}/cpufreq/policy0/scaling_cur_freq": 729600,  # idle
            "sys/class/devfreq/17000000.gpu/available_frequencies": "306000000 612000000 1020000000",
            "sys/class/devfreq/17000000.gpu/max_freq": 1020000000,
        }
    )


def test_a_jetson_at_ease(board: Made) -> None:
    jetson(board)
    assert board.read() == Board(
        {"cpu-thermal": 48.562, "gpu-thermal": 45.312, "tj-thermal": 49.0}, ()
    )  # neither its fan nor its power mode nor what happened before holds it back now


def test_a_jetson_that_is_too_warm(board: Made) -> None:
    jetson(board)
    board.read()
    board.write(
        {
            f"{THERMAL}/cooling_device1/cur_state": 4,
            f"{THERMAL}/cooling_device2/cur_state": 2,
            f"{CPU}/cpufreq/policy0/scaling_max_freq": 1036800,
        }
    )
    assert board.read().throttled == ("cpu at 1.0 of 1.7 GHz", "gpu slowed down to cool it")


def test_a_limit_that_falls_while_it_runs(board: Made) -> None:
    jetson(board)
    board.read()
    board.write({"sys/class/devfreq/17000000.gpu/max_freq": 612000000})
    assert board.read().throttled == ("gpu at 0.6 of 1.0 GHz",)
    board.write({"sys/class/devfreq/17000000.gpu/max_freq": 1020000000})
    assert board.read().throttled == ()


def test_over_current_is_told_for_a_while(board: Made) -> None:
    jetson(board)
    board.read()
    board.write({"sys/class/hwmon/hwmon1/oc1_event_cnt": 1})
    assert board.read().throttled == ("throttled by over-current",)
    board.now += 5
    assert board.read().throttled == ("throttled by over-current",)
    board.now += 5
    assert board.read().throttled == ()


def test_a_desktop(board: Made) -> None:
    board.write(
        {
            f"{THERMAL}/thermal_zone0/type": "acpitz",
            f"{THERMAL}/thermal_zone0/temp": 27800,
            f"{THERMAL}/thermal_zone1/type": "acpitz",
            f"{THERMAL}/thermal_zone1/temp": 29800,
            f"{THERMAL}/thermal_zone2/type": "x86_pkg_temp",
            f"{THERMAL}/thermal_zone2/temp": 51000,
            f"{THERMAL}/cooling_device0/type": "intel_powerclamp",
            f"{THERMAL}/cooling_device0/cur_state": -1,
            f"{THERMAL}/cooling_device1/type": "Processor",
            f"{THERMAL}/cooling_device1/cur_state": 0,
            "sys/class/hwmon/hwmon0/name": "coretemp",
            "sys/class/hwmon/hwmon0/temp1_input": 51000,
            "sys/class/hwmon/hwmon0/temp1_label": "Package id 0",
            "sys/class/hwmon/hwmon0/temp2_input": 47000,
            "sys/class/hwmon/hwmon0/temp2_label": "Core 0",
            "sys/class/hwmon/hwmon1/name": "nvme",
            "sys/class/hwmon/hwmon1/temp1_input": 38850,
            "sys/class/hwmon/hwmon1/temp1_label": "Composite",
            **{f"{CPU}/cpu{n}/thermal_throttle/core_throttle_count": 12 for n in range(4)},
            **{f"{CPU}/cpu{n}/thermal_throttle/package_throttle_count": 30 for n in range(4)},
        }
    )
    assert board.read() == Board(
        {
            "acpitz": 27.8,
            "acpitz-2": 29.8,
            "x86-pkg-temp": 51.0,
            "coretemp-package-id-0": 51.0,
            "nvme-composite": 38.85,
        },
        (),
    )
    board.write({f"{CPU}/cpu2/thermal_throttle/core_throttle_count": 13})
    assert board.read().throttled == ("cpu throttled by its temperature",)
    board.now += 10
    assert board.read().throttled == ()


def test_a_raspberry_pi(board: Made) -> None:
    flags = "sys/devices/platform/soc/soc:firmware/get_throttled"
    board.write(
        {
            f"{THERMAL}/thermal_zone0/type": "cpu-thermal",
            f"{THERMAL}/thermal_zone0/temp": 82100,
            flags: "50005",
        }
    )
    assert board.read() == Board({"cpu-thermal": 82.1}, ("under-voltage", "throttled"))
    board.write({flags: "50000"})  # only what was
    assert board.read().throttled == ()


def test_a_machine_that_tells_nothing(board: Made) -> None:
    assert board.read() == Board()


def test_sensors_come_and_go(board: Made) -> None:
    zone = f"{THERMAL}/thermal_zone0"
    board.read()
    board.write({f"{zone}/type": "usb-stick", f"{zone}/temp": 30000})
    board.now += 60
    assert board.read().temperatures == {"usb-stick": 30.0}
    (board.root / zone / "temp").unlink()
    assert board.read().temperatures == {}


@pytest.mark.parametrize(
    "name",
    [
        f"{THERMAL}/thermal_zone0/temp",
        f"{THERMAL}/thermal_zone0/type",
        f"{THERMAL}/cooling_device1/cur_state",
        f"{CPU}/cpufreq/policy0/cpuinfo_max_freq",
        f"{CPU}/cpufreq/policy0/scaling_max_freq",
        "sys/class/hwmon/hwmon1/oc1_event_cnt",
        "sys/class/devfreq/17000000.gpu/available_frequencies",
    ],
)
@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\xff\xfe\x00"),
        lambda path: path.write_bytes(b"9" * 100_000),
        lambda path: path.write_text("-1"),
        lambda path: path.write_text("<unsupported>"),
        lambda path: path.unlink(),
        lambda path: (path.unlink(), path.mkdir()),
        lambda path: (path.unlink(), os.mkfifo(path)),
        lambda path: (path.unlink(), path.symlink_to(path)),
    ],
    ids=["empty", "no text", "endless", "negative", "words", "gone", "a folder", "a pipe", "a loop"],
)
def test_odd_files_cost_their_own_sensor_at_most(
    board: Made, name: str, spoil: Callable[[Path], object]
) -> None:
    jetson(board)
    spoil(board.root / name)
    for _ in range(2):
        seen = board.read()
        assert seen.temperatures["gpu-thermal"] == 45.312
        assert seen.temperatures["tj-thermal"] == 49.0
        assert seen.throttled == ()


def test_the_machine_of_the_tests() -> None:
    reader = BoardReader()
    for _ in range(2):
        assert all(-60 <= celsius <= 200 for celsius in reader.read().temperatures.values())


@pytest.mark.measurement
def test_it_is_cheap(board: Made) -> None:
    jetson(board)
    board.read()
    began = time.process_time()
    for _ in range(100):
        board.reader.read()
    assert (time.process_time() - began) / 100 < 0.01  # half a millisecond on a free machine
