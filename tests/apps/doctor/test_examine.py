"""A probe or a library that crashes or hangs is a finding; the report can be read, and parsed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from edgeseg.apps.doctor.diagnosis import Diagnosis, gibibytes, release
from edgeseg.apps.doctor.examine import PROBES, Probe, examine
from edgeseg.apps.doctor.extras import EXTRAS
from edgeseg.apps.doctor.host import Host, Library, ProgramResult, inspect_library, run_program
from edgeseg.apps.doctor.opencv import back_ends
from edgeseg.apps.doctor.report import SCHEMA, as_json, as_text
from edgeseg.runtime.tensorrt.module import FLAVOURS
from packaging.requirements import Requirement

from .conftest import Machine, bare, desktop, jetpack6

Make = Callable[[Callable[[Machine], None]], Machine]
KINDS = [bare, desktop, jetpack6]


class TestGuard:
    def test_a_probe_that_crashes_is_shown_and_the_others_go_on(self, make_machine: Make) -> None:
        def crash(host: Host) -> list[Diagnosis]:
            raise ZeroDivisionError("half a core")

        def fine(host: Host) -> list[Diagnosis]:
            return [Diagnosis("fine.thing", "thing", "ok", "is there")]

        probes = (Probe("broken", "Broken", crash), Probe("fine", "Fine", fine))
        text = as_text(examine(make_machine(bare).host(), probes))
        assert "ZeroDivisionError: half a core" in " ".join(text.split())
        assert "is there" in text

    def test_a_probe_that_hangs_is_shown_and_left_behind(self, make_machine: Make) -> None:
        release_it = threading.Event()

        def hang(host: Host) -> list[Diagnosis]:
            release_it.wait()
            return []

        findings = examine(make_machine(bare).host(), (Probe("stuck", "Stuck", hang),), seconds=0.1)
        release_it.set()
        ((finding,),) = findings.values()
        assert finding.status == "problem"
        assert "did not end within 0.1 s" in finding.text

    def test_nothing_runs_twice(self, make_machine: Make) -> None:
        machine = make_machine(jetpack6)
        machine.findings()
        assert len(machine.asked) == len(set(machine.asked))


class TestPrograms:
    def test_one_that_is_not_installed(self) -> None:
        outcome = run_program(["no-such-program-anywhere"])
        assert not outcome.found

    def test_what_it_says(self, bin_folder: Callable[[str, str], None]) -> None:
        bin_folder("talk", 'echo "$LC_ALL"; echo oops >&2; exit 3')
        assert run_program(["talk"]) == ProgramResult(3, "C\n", "oops\n")

    def test_one_that_hangs_is_cut_off_with_its_children(
        self, bin_folder: Callable[[str, str], None], tmp_path: Path
    ) -> None:
        number = tmp_path / "number"
        bin_folder("hang", f"sleep 3600 & echo $! > {number}.new; mv {number}.new {number}; wait")
        outcome = run_program(["hang"], seconds=1.0)
        assert outcome.timed_out
        assert outcome.found
        child = Path("/proc", number.read_text().strip(), "stat")
        # A killed process stays a zombie, state Z, where nobody takes its status.
        while child.exists() and child.read_text().rpartition(")")[2].split()[0] != "Z":
            time.sleep(0.01)

    def test_one_that_cannot_be_started(self, tmp_path: Path) -> None:
        (tmp_path / "plain").write_text("text")
        outcome = run_program([str(tmp_path / "plain")])
        assert outcome.status == 126
        assert "cannot be started" in outcome.err


class TestLibraries:
    """Modules of our own making, which the child imports in place of the real ones."""

    @pytest.fixture
    def fake(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
        monkeypatch.syspath_prepend(str(tmp_path))
        return lambda code: (tmp_path / "tensorrt.py").write_text(code, encoding="utf-8") and None

    def test_one_that_loads_and_prints(self, fake: Callable[[str], None]) -> None:
        fake("print('hello from a native library')\n__version__ = '10.3.0'")
        assert inspect_library("tensorrt").facts == {"version": "10.3.0"}

    def test_one_that_crashes(self, fake: Callable[[str], None]) -> None:
        fake("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)")
        assert inspect_library("tensorrt").error == "crashed while loading (SIGSEGV)"

    def test_one_that_ends_the_process(self, fake: Callable[[str], None]) -> None:
        fake("import os, sys\nsys.stderr.write('no GPU, no service')\nsys.stderr.flush()\nos._exit(7)")
        assert inspect_library("tensorrt").error == "ended while loading (exit status 7): no GPU, no service"

    def test_one_that_hangs(self, fake: Callable[[str], None]) -> None:
        fake("import time\ntime.sleep(60)")
        assert inspect_library("tensorrt", seconds=1.0).error == "did not load within 1 s"

    def test_one_that_refuses(self, fake: Callable[[str], None]) -> None:
        fake("raise ImportError('libnvinfer.so.10: cannot open shared object file\\nmore')")
        error = inspect_library("tensorrt").error
        assert error == "ImportError: libnvinfer.so.10: cannot open shared object file"

    def test_one_that_lacks_another(self, fake: Callable[[str], None]) -> None:
        fake("import a_module_that_is_not_there")
        assert "a_module_that_is_not_there" in inspect_library("tensorrt").error

    def test_one_that_is_not_installed(self, fake: Callable[[str], None]) -> None:
        fake("raise ModuleNotFoundError('No module named tensorrt', name='tensorrt')")
        assert inspect_library("tensorrt") == Library(None)


class TestReport:
    @pytest.mark.parametrize("kind", KINDS)
    def test_the_text_fits_80_columns_and_commands_stay_whole(
        self, make_machine: Make, kind: Callable[[Machine], None]
    ) -> None:
        machine = make_machine(kind)
        machine.libraries.pop("tensorrt", None)
        findings = examine(machine.host())
        text = as_text(findings)
        commands = [line for line in text.splitlines() if line.lstrip().startswith("$ ")]
        assert all(len(line) <= 80 for line in text.splitlines() if line not in commands)
        fixes = [fix for some in findings.values() for one in some for fix in one.fix]
        assert [line.strip().removeprefix("$ ") for line in commands] == fixes
        assert "\x1b" not in text

    def test_colours_change_nothing_else(self, make_machine: Make) -> None:
        findings = examine(make_machine(bare).host())
        coloured = as_text(findings, coloured=True)
        assert "\x1b[32m" in coloured
        assert re.sub(r"\x1b\[\d+m", "", coloured) == as_text(findings)

    @pytest.mark.parametrize("kind", KINDS)
    def test_the_json_holds_every_finding_once(
        self, make_machine: Make, kind: Callable[[Machine], None]
    ) -> None:
        findings = examine(make_machine(kind).host())
        report = json.loads(json.dumps(as_json(findings)))
        assert report["schema"] == SCHEMA
        everything = [one for some in findings.values() for one in some]
        assert list(report["findings"]) == [one.key for one in everything], "keys are there once each"
        for probe, some in findings.items():
            assert all(one.key.startswith(f"{probe.key}.") for one in some)
        assert all(len(one.label) <= 16 for one in everything)

    @pytest.mark.parametrize("kind", KINDS)
    def test_nobody_is_named(self, make_machine: Make, kind: Callable[[Machine], None]) -> None:
        findings = examine(make_machine(kind).host())
        assert "somebody" not in as_text(findings) + json.dumps(as_json(findings))


def test_this_machine() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "edgeseg.cli", "doctor", "--json"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    report = json.loads(done.stdout)
    assert not [key for key in report["findings"] if key.endswith(".probe")], "no probe crashed or hung"
    assert report["can"]["onnxruntime_cpu"], "these tests run bundles here"
    import cv2
    import onnxruntime

    found = report["findings"]
    assert found["onnxruntime.package"]["facts"]["version"] == onnxruntime.__version__
    assert found["opencv.package"]["facts"]["version"] == cv2.__version__
    assert found["opencv.video"]["facts"]["ffmpeg"] == back_ends(cv2.getBuildInformation())["FFmpeg"]
    assert found["machine.cpu"]["facts"]["cores"] >= 1
    assert found["machine.memory"]["facts"]["total_bytes"] > 1 << 28


def test_the_text_for_this_machine_ends_with_what_runs() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "edgeseg.cli", "doctor"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "This machine runs bundles with ONNX Runtime on the CPU" in done.stdout.split("\n\n")[-1]


def test_misuse_is_exit_2() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "edgeseg.cli", "doctor", "--cure"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2


def test_the_extras_are_those_of_the_package() -> None:
    tomllib = pytest.importorskip("tomllib")
    text = (Path(__file__).resolve().parents[3] / "pyproject.toml").read_text(encoding="utf-8")
    given = tomllib.loads(text)["project"]["optional-dependencies"]
    packages = {name: tuple(Requirement(line).name for line in lines) for name, lines in given.items()}
    assert {name: extra.packages for name, extra in EXTRAS.items()} == {
        name: names for name, names in packages.items() if name not in ("dev", "docs", "ros2-test")
    }


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_the_doctor_and_the_builder_support_the_same_tensorrt(make_machine: Make, flavour: str) -> None:
    machine = make_machine(desktop)
    del machine.libraries["tensorrt"]
    wanted = FLAVOURS[flavour]
    for version, status in ((wanted.at_least, "ok"), ("0.9", "problem"), (wanted.below or "0.1", "problem")):
        machine.libraries[flavour] = Library({"version": version})
        assert machine.findings()[f"tensorrt.{flavour}"].status == status


def test_versions_and_sizes() -> None:
    assert release("10.3.0.30+cuda12.6") == (10, 3, 0, 30)
    assert release("13.0.1rc2") == (13, 0, 1)
    assert release("none") == ()
    assert release("10.16") > release("10.3")
    assert gibibytes(3 << 30) == "3.0 GiB"
    assert gibibytes(512) == "512 bytes"


def test_the_probes_keys_are_unique() -> None:
    assert len({probe.key for probe in PROBES}) == len(PROBES)
