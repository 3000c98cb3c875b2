"""The CPUs that a process may use, on machines made for the purpose."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from edgeseg.runtime.cpu import usable_cpus


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of eight CPUs without control groups."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    (tmp_path / "proc/self").mkdir(parents=True)
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_the_affinity_mask_counts(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert usable_cpus(root) == 8
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3, 5})
    assert usable_cpus(root) == 2
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    assert usable_cpus(root) == 5
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cpus(root) == 1


@pytest.mark.parametrize(
    ("cpu_max", "expected"),
    [("200000 100000", 2), ("150000 100000", 2), ("max 100000", 8), ("10000 100000", 1), ("rubbish", 8)],
)
def test_a_quota_of_control_groups_2_counts(root: Path, cpu_max: str, expected: int) -> None:
    write(root / "proc/self/cgroup", "0::/user.slice/job\n")
    write(root / "sys/fs/cgroup/user.slice/job/cpu.max", f"{cpu_max}\n")
    assert usable_cpus(root) == expected


def test_the_quota_of_an_outer_group_counts_too(root: Path) -> None:
    write(root / "proc/self/cgroup", "0::/outer/inner\n")
    write(root / "sys/fs/cgroup/outer/cpu.max", "300000 100000\n")
    write(root / "sys/fs/cgroup/outer/inner/cpu.max", "max 100000\n")
    assert usable_cpus(root) == 3


def test_in_a_container_the_quota_stands_at_the_mount(root: Path) -> None:
    write(root / "proc/self/cgroup", "0::/docker/of/the/host\n")
    write(root / "sys/fs/cgroup/cpu.max", "400000 100000\n")
    assert usable_cpus(root) == 4


@pytest.mark.parametrize(("quota", "expected"), [("250000", 3), ("-1", 8)])
def test_a_quota_of_control_groups_1_counts(root: Path, quota: str, expected: int) -> None:
    write(root / "proc/self/cgroup", "5:memory:/job\n4:cpu,cpuacct:/job\n")
    write(root / "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", quota)
    write(root / "sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "100000")
    assert usable_cpus(root) == expected
