"""A folder that looks like a fresh clone, and the bundle that is exported in one, once for all tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from edgeseg.core.claims import claimed

ROOT = Path(__file__).resolve().parents[2]

OUTPUTS = {".git", ".venv", ".cache", "bundle", "demo", "gpu", "runs", "datasets", "build", "dist"}
"""Names that a fresh clone does not have."""


def lay_out(folder: Path) -> None:
    """Makes a folder look like a fresh clone: links to all that is there, except outputs."""
    for entry in ROOT.iterdir():
        if entry.name not in OUTPUTS and entry.suffix != ".egg-info":
            (folder / entry.name).symlink_to(entry)


def shell(command: str, folder: Path) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for display in ("DISPLAY", "WAYLAND_DISPLAY"):
        environment.pop(display, None)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=570,  # minutes on a busy machine, seconds on a free one
    )
    assert done.returncode == 0, f"{command}\nexit status {done.returncode}\n{done.stdout}\n{done.stderr}"


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`bundle/lraspp`, with weights that ship, exported once for all tests."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent  # of all workers
    folder = shared / "exported"
    with claimed(folder, wait=True):
        if not folder.exists():
            folder.mkdir()
            lay_out(folder)
            shell("python export.py --model lraspp --frames 1", folder)
    return folder / "bundle" / "lraspp"
