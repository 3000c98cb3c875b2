"""The installation: the wheel's content, and a bundle that runs with the core install alone."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
PARTS = (
    "apps",
    "benchmarks",
    "calibration",
    "cli",
    "core",
    "data",
    "embedding",
    "export",
    "models",
    "runtime",
    "training",
)
OPENCV = (
    "opencv-python",
    "opencv-python-headless",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy, because setuptools builds inside the tree."""
    work = tmp_path_factory.mktemp("wheel")
    copy = work / "any-name"
    copy.mkdir()
    for entry in (*(ROOT / part for part in PARTS), *ROOT.glob("*.*")):
        if entry.is_dir() and entry.name in PARTS:
            shutil.copytree(entry, copy / entry.name, ignore=shutil.ignore_patterns("__pycache__"))
        elif entry.is_file():
            shutil.copy(entry, copy)
    shutil.copy(ROOT / "LICENSE", copy)
    # The environment's own setuptools needs no network, where it is new enough for the licence field.
    own = next((d.version for d in importlib.metadata.distributions(name="setuptools")), "0")
    isolation = ["--no-build-isolation"] if Version(own) >= Version("77") else []
    command = ["wheel", str(copy), "--no-deps", "--quiet", "--wheel-dir", str(work / "out"), *isolation]
    pip(sys.executable, command)
    (built,) = (work / "out").glob("*.whl")
    return built


def pip(python: str | Path, args: list[str]) -> None:
    """Runs pip; skips where no package registry can be reached, fails on anything else."""
    done = subprocess.run([str(python), "-m", "pip", *args], capture_output=True, text=True, timeout=280)
    if done.returncode and any(
        sign in done.stderr for sign in ("No matching distribution", "NewConnectionError", "ConnectTimeout")
    ):
        pytest.skip(f"pip reaches no registry: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {name.split("/")[0].split("-")[0] for name in names} == {"edgeseg"}
    for file in ("py.typed", "runtime/bundle_schema.json", "cli/main.py"):
        assert f"edgeseg/{file}" in names
    for weights in (ROOT / "models" / "weights").glob("*.safetensors"):
        assert f"edgeseg/models/weights/{weights.name}" in names
    assert any(name.endswith("dist-info/licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith(("edgeseg/tests", "edgeseg/docs"))]


def test_the_wheel_holds_every_module(wheel: Path) -> None:
    """The packages are listed by name in pyproject.toml; one that is forgotten would be missing here."""
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if name.endswith(".py")}
    there = [path for part in PARTS for path in (ROOT / part).rglob("*.py")]
    expected = {f"edgeseg/{path.relative_to(ROOT).as_posix()}" for path in (*there, *ROOT.glob("*.py"))}
    assert held == expected, "compare [tool.setuptools] packages in pyproject.toml with the tree"


@pytest.fixture(scope="session")
def core_python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment's Python, with what `pip install edgeseg` installs and nothing else."""
    folder = tmp_path_factory.mktemp("core") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=120)
    python = folder / "bin" / "python"
    opencv = next(name for name in OPENCV if any(importlib.metadata.distributions(name=name)))
    if opencv == "opencv-python":
        pip(python, ["install", "--quiet", str(wheel)])
    else:
        # This machine has no libGL, and so another build of OpenCV than the one edgeseg asks for.
        requires = importlib.metadata.requires("edgeseg") or []
        core = [line for line in requires if "extra ==" not in line and not line.startswith("opencv-python")]
        pip(python, ["install", "--quiet", opencv, *core])
        pip(python, ["install", "--quiet", "--no-deps", str(wheel)])
    return python


@pytest.fixture(scope="session")
def lraspp_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LRASPP at 512 x 512; what its weights are changes neither its speed nor its size."""
    folder = tmp_path_factory.mktemp("bundles") / "lraspp"
    command = [
        "export",
        "--model",
        "lraspp",
        "--weights",
        "random",
        "--classes",
        "8",
        "--frames",
        "1",
        "--out",
    ]
    subprocess.run(
        [sys.executable, "-m", "edgeseg.cli", *command, str(folder)],
        check=True,
        timeout=280,
        capture_output=True,
    )
    return folder


def run_in(python: Path, *args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    # Away from the checkout, and without its path: what answers is what was installed.
    clean = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return subprocess.run(
        [str(python), *args], capture_output=True, text=True, cwd=cwd, env=clean, timeout=120
    )


FIRST_MASK = """
import sys, time
start = time.perf_counter()
import json, re
import numpy
from edgeseg import Segmenter
frame_bgr = numpy.random.default_rng(0).integers(0, 256, (720, 1280, 3), numpy.uint8)
with Segmenter(sys.argv[1]) as segmenter:
    result = segmenter(frame_bgr)
    first_s = time.perf_counter() - start
    assert result.valid and result.classes.shape == (720, 1280)
# Not getrusage: its peak is inherited from the process that started this one.
peak_kib = int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
print(json.dumps({
    "first_mask_s": first_s,
    "peak_mib": peak_kib / 1024,
    "loaded": sorted({"torch", "onnx", "safetensors"} & set(sys.modules)),
}))
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
class TestCoreInstall:
    def test_it_runs_a_bundle(
        self,
        core_python: Path,
        lraspp_bundle: Path,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        done = run_in(core_python, "-c", FIRST_MASK, str(lraspp_bundle), cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        measured = json.loads(done.stdout)
        with capsys.disabled():
            print(
                f"\ncore install, LRASPP at 512 x 512: first mask after {measured['first_mask_s']:.2f} s from "
                f"the start of Python, peak memory {measured['peak_mib']:.0f} MiB"
            )
        assert measured["loaded"] == []
        # About 150 MiB were measured; torch alone would more than double that.
        assert measured["peak_mib"] < 350

    def test_its_command_line_runs_the_aerial_world(
        self, core_python: Path, lraspp_bundle: Path, tmp_path: Path
    ) -> None:
        command = ["run", "--bundle", str(lraspp_bundle), "--source", "aerial:7?size=64x96&frames=3"]
        done = run_in(
            core_python, "-m", "edgeseg.cli", *command, "--save", "out.mp4", "--masks", "masks", cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        assert len(list((tmp_path / "masks").glob("*.png"))) == 3
        assert (tmp_path / "out.mp4").stat().st_size > 0

    @pytest.mark.parametrize(
        "command",
        [
            "export --model lraspp --weights random",
            "verify nowhere",
            "train --model lraspp --data nowhere --out out",
            "models",
        ],
    )
    def test_what_it_cannot_do_it_says_how_to_get(
        self, core_python: Path, command: str, tmp_path: Path
    ) -> None:
        done = run_in(core_python, "-m", "edgeseg.cli", *command.split(), cwd=tmp_path)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1, done.stderr
        assert 'pip install "edgeseg[export]"' in done.stderr
