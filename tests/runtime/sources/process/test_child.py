"""The capturing child: what a library does there, and what becomes of both processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from edgeseg.core.errors import SourceError
from edgeseg.runtime.sources import open_source
from edgeseg.runtime.sources.live import HopelessError, Interrupted, Interruption, LiveOptions
from edgeseg.runtime.sources.process.ring import Ring
from edgeseg.runtime.sources.process.source import ChildCapture, ChildSource

SERVERS = Path(__file__).resolve().parents[3] / "support" / "servers"
PATIENT = LiveOptions(open_timeout_s=30, read_timeout_s=20)
SOON = LiveOptions(open_timeout_s=30, read_timeout_s=1)

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("fake_cameras")]


def open_child(options: LiveOptions = PATIENT, **spec: object) -> ChildSource:
    return ChildSource("cam", ChildCapture("fake_captures:FakeCapture", spec), options, Interruption())


def ended(pid: int) -> bool:
    """Returns True if a process has ended, or is a zombie that its parent has not yet collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def wait_until_ended(pid: int) -> None:
    until = time.monotonic() + 20
    while not ended(pid) and time.monotonic() < until:
        time.sleep(0.005)
    assert ended(pid)


def read_until_it_fails(source: ChildSource) -> str:
    try:
        for _ in range(100):
            source.read()
    except SourceError as error:
        return str(error)
    raise AssertionError("it never failed")


def test_frames_come_through_shared_memory_as_they_were() -> None:
    with open_child(size_hw=(30, 50)) as source:
        numbers = []
        for _ in range(20):
            frame = source.read()
            assert (frame.shape, frame.dtype) == ((30, 50, 3), np.uint8)
            numbers.append(int(frame[0, 0, 0]))
            frame[0, 0] = 128
            assert (frame == 128).all()
        assert numbers == sorted(set(numbers))
        assert source.dropped == numbers[-1] + 1 - 20


@pytest.mark.parametrize("fault", ["stalls", "stalls-and-holds-the-interpreter"])
def test_a_grab_that_hangs_is_ended_at_its_deadline(fault: str) -> None:
    with open_child(SOON, fault=fault) as source:
        for _ in range(3):
            source.read()
        start = time.monotonic()
        assert read_until_it_fails(source) == "cam gives no frame within 1 s"
        assert time.monotonic() - start > 0.95
        wait_until_ended(source.pid)


@pytest.mark.parametrize("fault", ["open-hangs", "open-hangs-and-holds-the-interpreter"])
def test_an_open_that_hangs_is_ended_at_its_deadline(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    children = []
    start_child = subprocess.Popen
    monkeypatch.setattr(
        subprocess,
        "Popen",
        lambda *args, **options: children.append(start_child(*args, **options)) or children[0],
    )
    start = time.monotonic()
    with pytest.raises(SourceError, match=r"^cam does not open within 0\.8 s$"):
        open_child(LiveOptions(open_timeout_s=0.8), fault=fault)
    assert time.monotonic() - start >= 0.8
    wait_until_ended(children[0].pid)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("crashes", "the process that captures cam was ended by SIGSEGV; its last words: fake camera: out of cheese"),
        ("exits", "the process that captures cam ended with status 3"),
        (
            "raises",
            "the process that captures cam ended with status 1; its last words: ZeroDivisionError: a bug in a capture",
        ),
        ("unplugged", "the fake camera gives no frames any more; is it still plugged in?"),
    ],
)  # fmt: skip
def test_how_a_capture_ended_is_told(fault: str, message: str) -> None:
    with open_child(LiveOptions(read_timeout_s=30), fault=fault) as source:
        assert read_until_it_fails(source) == message


def test_what_does_not_open_is_told_and_what_never_will_is_hopeless() -> None:
    with pytest.raises(SourceError, match=r"^the fake camera does not open$"):
        open_child(fault="open-fails")
    with pytest.raises(HopelessError, match=r"^this machine lacks what it takes$"):
        open_child(fault="hopeless")


def test_notes_and_faults_come_through(caplog: pytest.LogCaptureFixture) -> None:
    open_child(fault="notes").close()
    assert [record.getMessage() for record in caplog.records] == ["cam: the camera gives something else"]
    with open_child(fault="corrupt") as source:
        source.read()
        assert source.frame_fault == "corrupt"


def test_a_frame_of_another_size_gets_a_new_ring() -> None:
    with open_child(fault="grows", after=5) as source:
        shapes = []
        while len(shapes) < 2 or shapes[-1] == shapes[0]:
            shapes.append(source.read().shape)
        assert (shapes[0], shapes[-1]) == ((48, 64, 3), (96, 128, 3))
        assert (source.read()[1] == 128).all()


def test_closing_ends_the_child_also_where_it_hangs() -> None:
    for fault in ("", "close-hangs", "stalls"):
        source = open_child(fault=fault, after=0)
        source.close()  # a child that was waited for would hang for ever
        wait_until_ended(source.pid)


def test_nothing_stays_open_after_many() -> None:
    open_child().close()
    before = len(os.listdir("/proc/self/fd"))
    for fault in ("", "crashes", "open-fails", "grows"):
        try:
            with open_child(fault=fault) as source:
                for _ in range(5):
                    source.read()
        except SourceError:
            pass
    assert len(os.listdir("/proc/self/fd")) == before


def test_signals_meant_for_the_parent_do_not_end_the_child() -> None:
    with open_child() as source:
        source.read()
        assert os.getsid(source.pid) != os.getsid(0)
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(source.pid, number)
        for _ in range(5):
            assert source.read() is not None


@pytest.mark.parametrize(
    "fault", ["", "open-hangs-and-holds-the-interpreter", "stalls-and-holds-the-interpreter"]
)
def test_a_child_ends_with_a_parent_that_is_killed(fault: str) -> None:
    code = (
        "import json, sys, threading, time\n"
        f"sys.path.insert(0, {str(SERVERS)!r})\n"
        "import subprocess\n"
        "start = subprocess.Popen\n"
        "def tell(*args, **options):\n"
        "    child = start(*args, **options)\n"
        "    print(child.pid, flush=True)\n"
        "    return child\n"
        "subprocess.Popen = tell\n"
        "from edgeseg.runtime.sources.process.source import ChildCapture, ChildSource\n"
        "from edgeseg.runtime.sources.live import Interruption, LiveOptions\n"
        f"source = ChildSource('cam', ChildCapture('fake_captures:FakeCapture', {{'fault': {fault!r}}}),"
        " LiveOptions(open_timeout_s=60, read_timeout_s=60), Interruption())\n"
        "for _ in range(3): source.read()\n"
        "print('read', flush=True)\n"
        "while True: source.read()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        if not fault.startswith("open"):
            assert parent.stdout.readline() == "read\n"
        else:
            time.sleep(0.3)
        assert not ended(child)
        parent.kill()
    wait_until_ended(child)
    assert not [name for name in os.listdir("/dev/shm") if "edgeseg" in name]


def test_no_password_is_on_a_command_line_and_the_child_imports_little() -> None:
    with open_child(password="geheim") as source:
        source.read()
        assert b"geheim" not in Path(f"/proc/{source.pid}/cmdline").read_bytes()
    code = (
        "import sys, edgeseg.runtime.sources.process.child\n"
        "print([name for name in ('cv2', 'onnxruntime', 'fastjsonschema') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_live_source_gets_over_a_child_that_crashes(tmp_path: Path) -> None:
    with open_source(f"fakecam:crashes,3,{tmp_path / 'once'}") as source:
        for _ in range(10):
            assert source.read() is not None
        assert source.reconnects == 1


def test_an_interrupted_opening_ends_soon() -> None:
    interruption = Interruption()
    interruption.set()
    with pytest.raises(Interrupted):
        ChildSource(
            "cam", ChildCapture("fake_captures:FakeCapture", {"fault": "open-hangs"}), PATIENT, interruption
        )


def test_memory_that_could_be_cut_is_refused() -> None:
    ring, fd = Ring.create((4, 6, 3))
    try:
        attached = Ring.attach((4, 6, 3), fd)
        ring.slots[2][1, 2] = 7
        assert attached.slots[2][1, 2].tolist() == [7, 7, 7]
        with pytest.raises(ValueError, match="read-only"):
            attached.slots[0][:] = 1
        with pytest.raises(ValueError, match="too small or not sealed"):
            Ring.attach((40, 60, 3), fd)
        with pytest.raises(PermissionError):
            os.ftruncate(fd, 0)
    finally:
        os.close(fd)
    plain = os.memfd_create("plain")
    os.ftruncate(plain, 4 * 6 * 3 * 3)
    with pytest.raises(ValueError, match="too small or not sealed"):
        Ring.attach((4, 6, 3), plain)
    os.close(plain)
