"""Turns, energy meters and the machine's description."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from edgeseg.benchmarks import describe
from edgeseg.benchmarks.describe import describe_machine, machine_lines
from edgeseg.benchmarks.energy import InaMeter, RaplMeter, find_meter
from edgeseg.benchmarks.rounds import run_rounds


def test_everyone_takes_a_turn_a_round_and_the_order_rotates() -> None:
    order: list[tuple[str, int, int]] = []

    def taking(name: str):
        def take(first: int, count: int) -> list[float]:
            order.append((name, first, count))
            return [100.0, *[float(first + i) for i in range(count - 1)]]

        return take

    timed = run_rounds({n: taking(n) for n in "abc"}, 3, turn_frames=2, pause_s=0)
    assert [name for name, _, _ in order] == list("abc" + "abc" + "bca" + "cab")
    assert [(first, count) for _, first, count in order[3::3]] == [(0, 3), (2, 3), (4, 3)]
    # The first frame of a turn does not count, and warm-up does not either.
    assert timed["a"].ms == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert timed["b"].percentiles() == pytest.approx({"p50": 2.5, "p90": 4.5, "p99": 4.95})
    assert timed["a"].joules_per_frame is None


def test_energy_is_shared_out_by_turns() -> None:
    class Meter:
        used = 0.0

        def joules(self) -> float:
            return self.used

    meter = Meter()

    def spending(joules: float):
        def take(first: int, count: int) -> list[float]:
            meter.used += joules * count
            return [1.0] * count

        return take

    timed = run_rounds({"a": spending(2), "b": spending(5)}, 2, meter, turn_frames=1, pause_s=0)
    assert (timed["a"].joules_per_frame, timed["b"].joules_per_frame) == (2.0, 5.0)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_rapl_counts_over_its_wrap(tmp_path: Path) -> None:
    zone = tmp_path / "sys/class/powercap/intel-rapl:0"
    write(zone / "energy_uj", "9000000")
    write(zone / "max_energy_range_uj", "9999999")
    write(tmp_path / "sys/class/powercap/intel-rapl:0:0/energy_uj", "5")  # a part of the package, not another
    meter, text = find_meter(tmp_path)
    assert isinstance(meter, RaplMeter)
    assert text == "RAPL, processor packages"
    write(zone / "energy_uj", "9500000")
    assert meter.joules() == 0.5
    write(zone / "energy_uj", "500000")
    assert meter.joules() == 1.5


def test_a_jetsons_monitor_is_summed_up(tmp_path: Path) -> None:
    folder = tmp_path / "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3"
    for name, text in (("in1_label", "VDD_IN\n"), ("in1_input", "5000"), ("curr1_input", "2000")):
        write(folder / name, text)
    meter, _ = find_meter(tmp_path)
    assert isinstance(meter, InaMeter)
    meter._ending.wait(0.25)
    meter.close()
    assert 0.5 < meter.joules() < 10  # 10 W for a quarter of a second, on a machine that may be busy


def test_no_meter_is_said(tmp_path: Path) -> None:
    assert find_meter(tmp_path) == (
        None,
        "not measured: this machine has neither RAPL nor a Jetson's power monitors",
    )


def test_the_machine_is_described_from_its_files(tmp_path: Path) -> None:
    write(
        tmp_path / "proc/cpuinfo",
        "processor : 0\nmodel name : Testium 9\nflags : fpu avx2 avx512_bf16 hypervisor\n",
    )
    write(tmp_path / "proc/meminfo", "MemTotal:  8388608 kB\n")
    write(tmp_path / "etc/os-release", 'PRETTY_NAME="Test OS 1"\n')
    write(tmp_path / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n")
    machine = describe_machine(tmp_path)
    assert machine["cpu"] == "Testium 9"
    assert machine["flags"] == ["avx2", "avx512_bf16"]
    assert (machine["virtual"], machine["memory_gib"], machine["governor"]) == (True, 8.0, "powersave")
    assert machine["packages"]["numpy"] == np.__version__
    assert (machine["busy"], machine["busy_before"]) == (False, 0.0)  # this one has no proc/stat
    lines = machine_lines({**machine, "busy": True, "busy_before": 0.75})
    assert lines[0].startswith("Testium 9, ")
    assert lines[-1].startswith("Processors busy before the start: 75 % of the time. That is much: ")


def test_how_busy_the_processors_are_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stat = tmp_path / "proc/stat"
    write(stat, "cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 1 2 3 4\n")
    monkeypatch.setattr(describe.time, "sleep", lambda s: write(stat, "cpu  160 0 60 820 60 0 0 0 0 0\n"))
    machine = describe_machine(tmp_path)
    assert machine["busy_before"] == 0.7  # 70 of 100 ticks were neither idle nor waiting for a disk
    assert machine["busy"]
