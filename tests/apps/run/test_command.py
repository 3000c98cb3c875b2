"""``run_camera.py``: what it writes, what it says, and how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import edgeseg
import numpy as np
import pytest
from edgeseg.apps.run import opening
from edgeseg.cli.main import run_verb
from edgeseg.core.claims import claimed
from edgeseg.core.errors import OutputError
from edgeseg.runtime.sinks.masks import MasksSink
from edgeseg.runtime.sources import open_source

FRONT_DOOR = Path(edgeseg.__file__).parent / "run_camera.py"

Run = Callable[..., int]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(12):
        noise = np.random.default_rng(i).integers(0, 256, (240, 320, 3), np.uint8)
        cv2.imwrite(str(folder / f"p{i:02}.png"), noise)
    return folder


@pytest.fixture
def run(bundle_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(opening, "camera_indices", list)
    monkeypatch.chdir(tmp_path)

    def call(*args: object, bundle: object = bundle_folder) -> int:
        chosen = ["--bundle", str(bundle)] if bundle else []
        return run_verb("run", [*chosen, *(str(arg) for arg in args)], prog="run_camera.py")

    return call


def test_the_whole_road(run: Run, images: Path, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert (
        run("--source", images, "--save", "out/o.mp4", "--masks", "m", "--stats", "s.json", "--frames", 5)
        == 0
    )
    out, err = capfd.readouterr()
    assert err == ""
    assert re.search(r"^bundle +tiny, fp32 with onnxruntime on cpu$", out, re.M)
    assert re.search(r"^threads +\d+ of \d+( \(1: \d+\.\d ms, .*ms\))?$", out, re.M)
    assert re.search(r"^frames +5, 0 dropped, 0 not valid$", out, re.M)
    assert re.search(r"^bottleneck +(none: no stage was busy all the time|\w+.*, \d+% busy)$", out, re.M)
    assert re.search(r"^decode +\d+\.\d\d +\d+\.\d\d +\d+\.\d\d$", out, re.M)
    assert "capture to mask" not in out, "a frame of a file waits for its turn"
    assert re.search(r"^grey +\d+\.\d%  #+$", out, re.M)
    assert "wrote video out/o.mp4\nwrote masks m\n" in out
    capture = cv2.VideoCapture(str(tmp_path / "out/o.mp4"))
    assert int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) == 5
    assert sorted(p.name for p in (tmp_path / "m").iterdir()) == [
        "labelmap.txt",
        *(f"p0{i}.png" for i in range(5)),
    ]
    stats = json.loads((tmp_path / "s.json").read_text())
    assert (stats["bundle"], stats["variant"], stats["device"], stats["frames"]) == ("tiny", "fp32", "cpu", 5)
    assert stats["threads"]["inference"] <= stats["threads"]["cpus"]
    assert stats["batch"] == {"most": 1, "times_ms": {}}
    assert set(stats["busy"]) == {
        "capture",
        "preprocess",
        "inference",
        "decode",
        "video out/o.mp4",
        "masks m",
    }
    assert set(stats["stages_ms"]["decode"]) == {"p50", "p90", "p99"}
    assert sum(stats["class_share"].values()) == pytest.approx(1)


def refused(code: int, capfd: pytest.CaptureFixture[str]) -> str:
    """The one line of a run that was refused; there must be no traceback."""
    err = capfd.readouterr().err
    assert code == 2
    assert err.count("\n") == 1
    assert err.startswith("run_camera.py: error: ")
    return err


def test_no_bundle_says_how_to_make_one(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    message = refused(run(bundle=None), capfd)
    assert "there is no bundle/lraspp here; make it with: python export.py --model lraspp" in message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--source", "3"], "there is no camera 3"),
        (["--source", "absent.mp4"], "there is no absent.mp4"),
        (["--source", "IMAGES", "--frames", "0"], "--frames 0: expected 1 or more"),
        (["--source", "IMAGES", "--variant", "int3"], "has no variant 'int3'; it has fp32"),
        (["--source", "IMAGES", "--device", "cuda"], "or use --device cpu"),
        (["--source", "IMAGES", "--threads", "0"], "--threads 0: expected a number of 1 or more, or auto"),
        (
            ["--source", "IMAGES", "--threads", "many"],
            "--threads many: expected a number of 1 or more, or auto",
        ),
        (["--source", "IMAGES", "--batch", "-1"], "--batch -1: expected a number of 1 or more, or auto"),
        (["--source", "IMAGES", "--trace", "images/p00.png"], "p00.png would replace the source"),
        (["--source", "IMAGES", "--trace", "x.json", "--stats", "./x.json"], "would both write x.json"),
        (
            [
                "--source",
                "IMAGES",
                "--masks",
                "x-1.mp4",
                "--save",
                "x.mp4",
                "--source",
                "IMAGES",
                "--masks",
                "x.mp4",
            ],
            "--save and --masks would both write x-1.mp4",
        ),
        (["--source", "IMAGES", "--source", "absent.mp4"], "there is no absent.mp4"),
        (
            ["--source", "IMAGES", "--source", "IMAGES", "--tile"],
            "--tile takes one image; got 2 times --source",
        ),
        (
            ["--source", "IMAGES", "--masks", "images", "--force"],
            "--masks: images would replace the source",
        ),
        (["--source", "IMAGES", "--stats", "images/p00.png"], "p00.png would replace the source"),
        (["--source", "IMAGES", "--save", "images/p00.png/o.mp4"], "cannot write images/p00.png/o.mp4"),
    ],
)
def test_a_mistake_is_one_line(
    run: Run, images: Path, capfd: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    code = run(*(str(images) if option == "IMAGES" else option for option in options))
    assert message in refused(code, capfd)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_a_damaged_image_ends_the_run_and_leaves_nothing(
    bundle_folder: Path, images: Path, tmp_path: Path, suffix: str
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (99, 99, 3), np.uint8)
    whole = cv2.imencode(suffix, noise)[1].tobytes()
    (images / f"p07x{suffix}").write_bytes(whole[:999])
    before = set(tmp_path.iterdir())
    # A process of its own, in which OpenCV is told to be silent before it is loaded.
    done = subprocess.run(
        [sys.executable, FRONT_DOOR, "--bundle", bundle_folder, "--source", images, "--save", "o.mp4"],
        cwd=tmp_path, capture_output=True, text=True, timeout=50,
    )  # fmt: skip
    assert done.returncode == 2
    assert re.fullmatch(
        rf"run_camera\.py: error: the image .*p07x\{suffix} is damaged or truncated.*\n", done.stderr
    )
    assert set(tmp_path.iterdir()) == before


def test_without_display_or_output_it_saves_and_says_so(
    run: Run, images: Path, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name in ("edgeseg-overlay.mp4", "edgeseg-overlay-2.mp4"):
        assert run("--source", images, "--frames", 2) == 0
        assert (
            f"not showing: there is no display (DISPLAY and WAYLAND_DISPLAY are not set); saving to {name} instead"
            in (capfd.readouterr().err)
        )
        assert (tmp_path / name).stat().st_size > 0


def test_without_source_or_camera_it_plays_the_aerial_world_and_says_so(
    run: Run, images: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    monkeypatch.setattr(
        opening, "open_source", lambda uri, *rest: opened.append(uri) or open_source(str(images))
    )
    assert run("--stats", "s.json", "--frames", 2) == 0
    assert opened == ["aerial:7"]
    out, err = capfd.readouterr()
    assert "no --source given and no camera found: playing the aerial world (aerial:7), 2 frames of it" in err
    assert re.search(r"^frames +2,", out, re.M)


def test_a_failing_output_is_told_and_the_others_are_kept(
    run: Run,
    images: Path,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(self: MasksSink, output: object) -> None:
        raise OutputError("cannot write masks to m: No space left on device; nothing was kept")

    monkeypatch.setattr(MasksSink, "write", full)
    assert run("--source", images, "--save", "o.mp4", "--masks", "m") == 2
    out, err = capfd.readouterr()
    assert err == "masks m failed: cannot write masks to m: No space left on device; nothing was kept\n"
    assert "wrote video o.mp4" in out
    assert "wrote masks" not in out
    assert not (tmp_path / "m").exists()


def test_several_sources_share_the_network(
    run: Run, images: Path, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    options = [
        "--source",
        images,
        "--source",
        images / "p03.png",
        "--stats",
        "s.json",
        "--trace",
        "t.json",
    ]
    assert run(*options, "--save", "{source}/o.mp4", "--masks", "m", "--frames", 4) == 0
    out, err = capfd.readouterr()
    assert err == ""
    assert re.search(r"^sources +2$", out, re.M)
    assert re.search(r"^batch +\d \(1: \d+\.\d ms a frame, 2: \d+\.\d\)$", out, re.M)
    assert re.search(r"^1 \S*images +4 +0 +0 ", out, re.M)
    assert re.search(r"^2 \S*p03\.png +1 +0 +0 ", out, re.M)
    assert (
        "wrote trace t.json\nwrote video 1/o.mp4\nwrote masks m-1\nwrote video 2/o.mp4\nwrote masks m-2\n"
        in out
    )
    for name, frames in (("1/o.mp4", 4), ("2/o.mp4", 1)):
        assert int(cv2.VideoCapture(str(tmp_path / name)).get(cv2.CAP_PROP_FRAME_COUNT)) == frames
    assert {path.name for path in (tmp_path / "m-2").iterdir()} == {"labelmap.txt", "p03.png"}
    stats = json.loads((tmp_path / "s.json").read_text())
    assert [source["frames"] for source in stats["sources"]] == [4, 1]
    assert set(stats["batch"]["times_ms"]) == {"1", "2"}
    slices = [e for e in json.loads((tmp_path / "t.json").read_text())["traceEvents"] if e["ph"] == "X"]
    assert {e["args"]["source"] for e in slices if e["name"].startswith("video")} == {1, 2}


def test_a_source_that_fails_beside_others_is_told_and_they_are_kept(
    run: Run, images: Path, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "a.png").write_bytes((images / "p00.png").read_bytes()[:999])
    assert run("--source", broken, "--source", images, "--save", "o.mp4", "--batch", 2, "--threads", 1) == 2
    out, err = capfd.readouterr()
    assert "broken failed: the image" in err
    assert "is damaged or truncated" in err
    assert re.search(r"^  failed: the image .*a\.png is damaged", out, re.M)
    assert re.search(r"^batch +2$", out, re.M)
    assert re.findall("^wrote .*$", out, re.M) == ["wrote video o-2.mp4"]
    assert not (tmp_path / "o-1.mp4").exists()
    assert (tmp_path / "o-2.mp4").exists()


def test_a_run_that_fails_keeps_its_trace(
    run: Run, images: Path, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (images / "p07x.png").write_bytes((images / "p00.png").read_bytes()[:999])
    assert run("--source", images, "--trace", "t.json") == 2
    err = capfd.readouterr().err
    assert err.startswith("wrote trace t.json\nrun_camera.py: error: the image ")
    names = [
        e["name"] for e in json.loads((tmp_path / "t.json").read_text())["traceEvents"] if e["ph"] == "X"
    ]
    assert names.count("capture") == 8


def test_the_stages_leave_the_cpus_to_inference(
    run: Run, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    during = []
    monkeypatch.setattr(MasksSink, "write", lambda self, output: during.append(cv2.getNumThreads()))
    before = cv2.getNumThreads()
    run("--source", images / "p00.png", "--masks", "m")
    assert during == [1]
    assert cv2.getNumThreads() == before


LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
from edgeseg.cli.main import run_verb
sys.exit(run_verb("run", sys.argv[2:], prog="run_camera.py"))
"""


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("limit", "options", "message"),
    [
        (40_000, ["--save", "o.mp4"], r"video o\.mp4 failed: o\.mp4 is not whole"),
        (300, ["--masks", "m"], r"masks m failed: cannot write masks to m: File too large; nothing was kept"),
        (200, ["--stats", "s.json"], r"run_camera\.py: error: cannot write s\.json: File too large"),
    ],
)
def test_a_full_disk_leaves_nothing_half_written(
    bundle_folder: Path, images: Path, tmp_path: Path, limit: int, options: list[str], message: str
) -> None:
    # A limit on the size of a file is what a full disk looks like to the one who writes it.
    before = set(tmp_path.iterdir())
    args = [str(limit), "--bundle", str(bundle_folder), "--source", str(images), *options]
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, *args], cwd=tmp_path, capture_output=True, text=True, timeout=50
    )
    assert done.returncode == 2
    assert re.search(message, done.stderr)
    assert "Traceback" not in done.stderr
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("option", "name"),
    [("--save", "o.mp4"), ("--masks", "m"), ("--stats", "s.json"), ("--trace", "t.json"), ("--record", "r")],
)
def test_of_two_runs_that_write_one_name_the_second_is_refused(
    run: Run, images: Path, capfd: pytest.CaptureFixture[str], tmp_path: Path, option: str, name: str
) -> None:
    with claimed(tmp_path / name):
        assert run("--source", images, "--frames", 2, option, name) == 2
        error = capfd.readouterr().err
        assert f"error: {option}: {name} is being written by another process (PID {os.getpid()})" in error
        assert not (tmp_path / name).exists()
    assert run("--source", images, "--frames", 2, option, name) == 0
    assert (tmp_path / name).exists()
    assert not list(tmp_path.glob(".*.lock"))


@pytest.mark.timeout(60)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_and_keeps_the_video(
    bundle_folder: Path, tmp_path: Path, number: signal.Signals
) -> None:
    source = tmp_path / "long.mp4"
    writer = cv2.VideoWriter(str(source), cv2.VideoWriter.fourcc(*"mp4v"), 25, (160, 120))
    for i in range(1500):
        writer.write(np.full((120, 160, 3), 60 + i % 140, np.uint8))
    writer.release()
    process = subprocess.Popen(
        [sys.executable, FRONT_DOOR, "--bundle", bundle_folder, "--source", source, "--save", "o.mp4"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    deadline = time.monotonic() + 30
    while (
        not any(path.stat().st_size for path in tmp_path.glob(".o.partial-*")) and time.monotonic() < deadline
    ):
        time.sleep(0.02)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    frames = int(re.search(r"^frames +(\d+)", out, re.M)[1])  # type: ignore[index]
    assert 0 < frames < 1500
    capture = cv2.VideoCapture(str(tmp_path / "o.mp4"))
    assert int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) == frames


def test_real_video(run: Run, shared_data: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert (
        run("--source", shared_data / "video" / "car-detection.mp4", "--frames", 3, "--stats", "s.json") == 0
    )
    assert re.search(r"^frames +3,", capfd.readouterr().out, re.M)
