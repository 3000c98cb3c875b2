"""`edgeseg run` with every output at once, and a kill in the middle of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from edgeseg.apps.recording.reading import Recording
from edgeseg.cli.main import main

SHM = Path(f"/dev/shm/edgeseg-test-run-{os.getpid()}")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(8):
        frame = np.full((64, 96, 3), 20 + 25 * number, np.uint8)
        cv2.imwrite(str(folder / f"p{number}.png"), frame)
    return folder


def words(bundle: Path, source: str, out: Path) -> list[str]:
    return [
        "run", "--bundle", str(bundle), "--source", source, "--threads", "1", "--no-frame-checks",
        "--save", str(out / "v.mp4"), "--segment", "1", "--masks", str(out / "m"), "--masks-format", "npz",
        "--events", "-", "--events", str(out / "e.jsonl"), "--record", str(out / "r"),
        "--shm", SHM.name,
    ]  # fmt: skip


def test_all_outputs_tell_the_same(
    bundle_folder: Path, images: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(words(bundle_folder, str(images), out)) == 0
    printed = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    written = [json.loads(line) for line in (out / "e.jsonl").read_text().splitlines()]
    results = [event for event in printed if event["type"] == "result"]
    assert [event["name"] for event in results] == [f"p{number}" for number in range(8)]
    assert [event["frame_id"] for event in written if event["type"] == "result"] == list(range(8))
    masks = np.load(out / "m" / "masks-000001.npz", allow_pickle=False)
    recorded = list(Recording(out / "r").frames())
    assert (
        [frame.name for frame in recorded] == masks["name"].tolist() == [event["name"] for event in results]
    )
    for classes, frame, event in zip(masks["classes"], recorded, results, strict=True):
        np.testing.assert_array_equal(classes, frame.classes)
        ((name, share),) = event["shares"].items()  # a flat image is of one class
        assert share == 1
        assert np.all(classes == ["dark", "grey", "bright"].index(name))
    capture = cv2.VideoCapture(str(out / "v-000001.mp4"))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 8
    capture.release()
    assert main(["replay", str(out / "r"), "--bundle", str(bundle_folder)]) == 0
    assert "changed pixels    0 of 49152" in capfd.readouterr().out


def test_a_kill_leaves_what_was_whole_and_the_next_run_goes_on(
    bundle_folder: Path, images: Path, tmp_path: Path, make_film: Callable[[Path], None]
) -> None:
    out, film = tmp_path / "out", tmp_path / "film.mp4"
    make_film(film)
    command = [sys.executable, "-m", "edgeseg.cli", *words(bundle_folder, str(film), out)]
    for number in (1, 2):
        run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + 100
            while len(list(out.glob("v-*.mp4"))) < 3 * number:
                assert time.monotonic() < deadline, "nothing is written"
                assert run.poll() is None
                time.sleep(0.01)
        finally:
            run.send_signal(signal.SIGKILL)
            run.wait()
    for path in out.glob("v-*.mp4"):
        capture = cv2.VideoCapture(str(path))
        assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 25
        capture.release()
    numbers = sorted(int(path.stem[-6:]) for path in out.glob("v-*.mp4"))
    lost = set(range(1, numbers[-1])) - set(numbers)
    assert len(lost) <= 1, "more than the segment that was being written is lost"
    assert sorted(path.name for path in (out / "r").iterdir()) == ["take-0001", "take-0002"]
    recording = Recording(out / "r")
    assert sum(1 for _ in recording.frames()) >= 2 * 75
    assert len(recording.problems) <= 2
    assert all("was not ended" in problem or "is cut short" in problem for problem in recording.problems)
    assert SHM.exists()  # a killed run leaves it to the next


@pytest.fixture(autouse=True)
def _no_shared_memory_stays() -> Iterator[None]:
    yield
    SHM.unlink(missing_ok=True)


@pytest.fixture
def make_film() -> Callable[[Path], None]:
    def make(path: Path) -> None:
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25, (96, 64))
        for number in range(3000):
            writer.write(np.full((64, 96, 3), number % 256, np.uint8))
        writer.release()

    return make
