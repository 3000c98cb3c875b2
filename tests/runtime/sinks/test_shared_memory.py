"""Shared memory, read by C as another process on the board would."""

from __future__ import annotations

import os
import re
import resource
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from edgeseg.core.errors import OutputError
from edgeseg.core.labels import LabelMap
from edgeseg.embedding.landing.spot import MEANING, LandingSpot
from edgeseg.runtime.reasons import CODES
from edgeseg.runtime.sinks import shm_layout
from edgeseg.runtime.sinks.base import Output
from edgeseg.runtime.sinks.shared_memory import SharedMemorySink
from edgeseg.runtime.sinks.shm_layout import CLOSED, HEADER, NO_SEARCH, NO_SPOT, OPEN, REPLACED, SLOT, SPOT
from edgeseg.runtime.status import Status

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
COMPILER = shutil.which("cc")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="there is no C compiler (cc)")

WRITER = """
import select, sys, time
import numpy as np
from edgeseg.runtime.clock import now
from edgeseg.core.labels import LabelMap
from edgeseg.runtime.result import Segmentation
from edgeseg.runtime.sinks.base import Output
from edgeseg.runtime.sinks.shared_memory import SharedMemorySink

sink = SharedMemorySink(sys.argv[1], LabelMap.generic(3), (64, 96))
pause = float(sys.argv[2])
maps = [np.full((64 - number % 7, 96 - number % 5), number % 200, np.uint8) for number in range(1400)]
frame, number = np.zeros((64, 96, 3), np.uint8), 0
print("ready", flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    sink.write(Output(frame, Segmentation(maps[number % 1400], number % 1400, now()), "", lambda: frame))
    number += 1
    time.sleep(pause)
sink.close(commit=True)
print(number, flush=True)
"""

STRESS = r"""
#define _DEFAULT_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include "edgeseg_shm.h"

int main(int count, char **words) {
    (void)count;
    int file = shm_open(words[1], O_RDONLY, 0);
    const edgeseg_header *shm = mmap(NULL, 1 << 16, PROT_READ, MAP_SHARED, file, 0);
    static uint8_t classes[64 * 96];
    edgeseg_slot head;
    uint64_t reads = 0, torn = 0, backwards = 0, last = 0, different = 0;
    while (atomic_load(&shm->state) == EDGESEG_OPEN) {
        uint64_t number = edgeseg_read(shm, &head, classes, sizeof classes);
        if (!number) continue;
        reads++;
        different += number != last;
        backwards += number < last;
        last = number;
        int64_t id = head.frame_id;
        int bad = head.height != 64 - id % 7 || head.width != 96 - id % 5 || number % 1400 != (uint64_t)(id + 1) % 1400;
        for (uint32_t i = 0; i < head.height * head.width; i++) bad |= classes[i] != id % 200;
        torn += bad;
    }
    printf("reads %llu different %llu torn %llu backwards %llu\n", (unsigned long long)reads,
           (unsigned long long)different, (unsigned long long)torn, (unsigned long long)backwards);
    return 0;
}
"""

CPP = r"""
#include <cstdio>
#include <fcntl.h>
#include <sys/mman.h>
#include <vector>
#include "edgeseg_shm.h"

int main(int, char **words) {
    int file = shm_open(words[1], O_RDONLY, 0);
    auto shm = static_cast<const edgeseg_header *>(mmap(nullptr, 1 << 15, PROT_READ, MAP_SHARED, file, 0));
    std::vector<uint8_t> classes(shm->max_height * shm->max_width);
    edgeseg_slot head;
    unsigned long long number = edgeseg_read(shm, &head, classes.data(), classes.size());
    std::printf("%llu %lld %u %u %u %u %u\n", number, (long long)head.frame_id, head.height, head.width, head.valid,
                head.reason, classes[0]);
}
"""


@pytest.fixture
def name() -> Iterator[str]:
    name = f"edgeseg-test-{os.getpid()}-{time.monotonic_ns()}"
    yield name
    for path in Path("/dev/shm").glob(f"*{name}*"):
        path.unlink()


@pytest.fixture(scope="session")
def compile_c(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    folder = tmp_path_factory.mktemp("c")

    def compile_it(source: Path) -> Path:
        program = folder / source.stem
        flags = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", f"-I{EXAMPLES}"]
        assert COMPILER is not None
        done = subprocess.run(
            [COMPILER, *flags, "-o", program, source, "-lrt"], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return program

    return compile_it


@pytest.fixture
def reader(compile_c: Callable[[Path], Path]) -> Path:
    return compile_c(EXAMPLES / "shm_reader.c")


class Reader:
    """Reads the memory as Python can: its head, and slots that nobody writes meanwhile."""

    def __init__(self, name: str) -> None:
        self.memory = np.memmap(f"/dev/shm/{name}", np.uint8, "r+")
        self.head = np.frombuffer(self.memory, HEADER, 1)[0]

    def field(self, name: str) -> int:
        return int(np.frombuffer(self.memory, HEADER, 1)[name][0])

    def newest(self) -> tuple[np.void, np.ndarray]:
        slot = (self.field("newest") - 1) % self.field("slots")
        start = self.field("header_bytes") + slot * self.field("slot_bytes")
        head = np.frombuffer(self.memory, SLOT, 1, start)[0]
        assert int(head["sequence"]) % 2 == 0
        size = int(head["height"]) * int(head["width"])
        classes = np.frombuffer(self.memory, np.uint8, size, start + self.field("map_offset"))
        return head, classes.reshape(head["height"], head["width"])

    def names(self) -> list[str]:
        start, size = self.field("names_offset"), self.field("names_bytes")
        return bytes(self.memory[start : start + size]).decode().split("\0")[:-1]


def test_the_header_says_where_everything_lies(
    name: str, labels: LabelMap, make_output: Callable[..., Output], make_status: Callable[..., Status]
) -> None:
    sink = SharedMemorySink(name, labels, (40, 60), with_frames=True)
    path = Path("/dev/shm") / name
    assert path.stat().st_mode & 0o777 == 0o600
    reader = Reader(name)
    assert bytes(reader.head["magic"]) == b"EDGESEG1"
    assert reader.names() == ["ground", "road", "car"]
    assert (reader.field("version"), reader.field("class_count"), reader.field("newest")) == (3, 3, 0)
    assert "EDGESEG_VERSION = 3 }" in (EXAMPLES / "edgeseg_shm.h").read_text()
    assert reader.field("total_bytes") == path.stat().st_size
    assert reader.field("writer_pid") == os.getpid()
    output = replace(make_output(5), source=2)
    sink.write(output)
    head, classes = reader.newest()
    np.testing.assert_array_equal(classes, output.result.classes)
    told = {
        field: int(head[field]) for field in ("frame_id", "valid", "reason", "source", "has_frame", "number")
    }
    assert told == {"frame_id": 5, "valid": 1, "reason": 0, "source": 2, "has_frame": 1, "number": 1}
    assert int(head["captured_ns"]) == pytest.approx(output.result.captured_at * 1e9, abs=1000)
    start = reader.field("header_bytes") + reader.field("frame_offset")
    frame = reader.memory[start : start + 40 * 60 * 3].reshape(40, 60, 3)
    np.testing.assert_array_equal(frame, output.frame_bgr)
    before = reader.field("heartbeat_ns")
    sink.announce(make_status())
    assert reader.field("heartbeat_ns") > before
    assert reader.field("state") == OPEN
    sink.close(commit=True)
    assert reader.field("state") == CLOSED
    assert not path.exists()


@pytest.mark.parametrize("reason", CODES)
def test_what_is_not_valid_is_void_with_its_reason(
    name: str, labels: LabelMap, make_output: Callable[..., Output], reason: str
) -> None:
    sink = SharedMemorySink(name, labels, (40, 60))
    reader = Reader(name)
    for number in range(4):  # all slots have held a map
        sink.write(make_output(number))
    beat = make_output(3, reason=reason, beat=True)
    beat.result.classes.fill(1)  # a beat may bear the last map; it must not come through
    for output in (beat, make_output(4, reason=reason)):
        sink.write(output)
        head, classes = reader.newest()
        assert (int(head["valid"]), int(head["reason"])) == (0, CODES[reason])
        assert np.all(classes == 255)
    sink.close(commit=True)


def with_spot(output: Output, spot: LandingSpot) -> Output:
    return replace(output, result=replace(output.result, findings={"landing": spot}))


SPOT_FOUND = LandingSpot(
    True, "", 3.0, (12.5, 7.0), (1e6 + 0.25, -2e6), (1.5, -2.25, 20.0), 20.25, 3.5, 2.75, 1.5, switches=4
)


def test_a_landing_spot_is_beside_its_class_map(
    name: str, labels: LabelMap, make_output: Callable[..., Output]
) -> None:
    sink = SharedMemorySink(name, labels, (40, 60))
    reader = Reader(name)
    sink.write(with_spot(make_output(1), SPOT_FOUND))
    head, _ = reader.newest()
    assert (int(head["landing"]), head["landing_reason"], int(head["landing_switches"])) == (SPOT, b"", 4)
    assert head["landing_ground_m"].tolist() == [1e6 + 0.25, -2e6]
    assert head["landing_frd_m"].tolist() == [1.5, -2.25, 20.0]
    assert head["landing_uv_px"].tolist() == [12.5, 7.0]
    numbers = [
        float(head[f"landing_{what}"])
        for what in ("distance_m", "clearance_m", "required_m", "persistence_s")
    ]
    assert numbers == [20.25, 3.5, 2.75, 1.5]
    sink.write(with_spot(make_output(2), SPOT_FOUND.invalidated("mask-invalid")))
    head, _ = reader.newest()
    assert (int(head["landing"]), head["landing_reason"]) == (NO_SPOT, b"mask-invalid")
    assert np.isnan(head["landing_frd_m"]).all()
    for number in (3, 4, 5):  # into the slots that held a spot
        sink.write(make_output(number))
        assert int(reader.newest()[0]["landing"]) == NO_SEARCH
    sink.close(commit=True)


def test_every_reason_for_no_spot_fits_its_field() -> None:
    assert max(map(len, MEANING)) < SLOT["landing_reason"].itemsize


@needs_compiler
def test_the_c_reader_tells_the_landing_spot(
    name: str, reader: Path, labels: LabelMap, make_output: Callable[..., Output]
) -> None:
    sink = SharedMemorySink(name, labels, (40, 60))
    for spot, told in (
        (SPOT_FOUND, "landing spot: 1.50 m forward, -2.25 m right, 20.00 m down, 3.50 m clear\n"),
        (SPOT_FOUND.invalidated("no-clear-area"), "no landing spot: no-clear-area\n"),
    ):
        sink.write(with_spot(make_output(1), spot))
        with subprocess.Popen([reader, name], stdout=subprocess.PIPE, text=True) as following:
            assert following.stdout is not None
            assert following.stdout.readline().startswith("frame 1 ")
            assert following.stdout.readline() == told
            following.kill()
    sink.close(commit=True)


def test_a_larger_frame_takes_larger_memory(
    name: str, labels: LabelMap, make_output: Callable[..., Output]
) -> None:
    sink = SharedMemorySink(name, labels, (40, 60))
    sink.write(make_output(0))
    old = Reader(name)
    sink.write(make_output(1, size_hw=(80, 50)))
    assert old.field("state") == REPLACED
    new = Reader(name)
    assert (new.field("state"), new.field("max_height"), new.field("max_width")) == (OPEN, 80, 60)
    head, classes = new.newest()
    assert (int(head["frame_id"]), classes.shape) == (1, (80, 50))
    sink.write(make_output(2, size_hw=(20, 30)))
    assert new.newest()[1].shape == (20, 30)
    sink.close(commit=True)


def test_one_writer_at_a_time(name: str, labels: LabelMap) -> None:
    first = SharedMemorySink(name, labels)
    with pytest.raises(
        OutputError, match=rf"another process writes to /dev/shm/{name}; give --shm another name"
    ):
        SharedMemorySink(name, labels)
    first.close(commit=True)
    SharedMemorySink(name, labels).close(commit=True)


def test_what_is_not_ours_is_left_in_peace(name: str, labels: LabelMap, tmp_path: Path) -> None:
    path = Path("/dev/shm") / name
    path.write_bytes(b"somebody's")
    with pytest.raises(OutputError, match="is not edgeseg's; give --shm another name"):
        SharedMemorySink(name, labels)
    assert path.read_bytes() == b"somebody's"
    path.unlink()
    (tmp_path / "elsewhere").write_bytes(b"EDGESEG1" * 20)
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match=f"cannot take over /dev/shm/{name}"):
        SharedMemorySink(name, labels)
    assert (tmp_path / "elsewhere").read_bytes() == b"EDGESEG1" * 20


@pytest.mark.parametrize("bad", ["", "../etc", "a/b", ".hidden", "a b", "x" * 101])
def test_a_name_that_cannot_be(labels: LabelMap, bad: str) -> None:
    with pytest.raises(OutputError, match="cannot name shared memory: expected letters, digits"):
        SharedMemorySink(bad, labels)


def test_a_pipe_is_no_memory(name: str, labels: LabelMap) -> None:
    path = Path("/dev/shm") / name
    os.mkfifo(path)
    with pytest.raises(OutputError, match="is a named pipe, which is never replaced"):
        SharedMemorySink(name, labels)
    assert path.is_fifo()


def test_a_folder_of_memory_that_is_read_only(
    name: str, labels: LabelMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **options: object) -> int:
        raise OSError(30, "Read-only file system", "somewhere")

    monkeypatch.setattr(SharedMemorySink, "_take_over", lambda self: None)
    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(OutputError, match="Read-only file system"):
        SharedMemorySink(name, labels)
    monkeypatch.undo()  # before pytest itself opens files again


def test_memory_that_is_short_is_an_error_and_no_crash(name: str, labels: LabelMap) -> None:
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
    try:
        with pytest.raises(OutputError, match=r"cannot take .* MiB of shared memory .*: File too large"):
            SharedMemorySink(name, labels, (2160, 3840))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert not list(Path("/dev/shm").glob(f"*{name}*"))


def start_writer(name: str, pause: float) -> subprocess.Popen[str]:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, name, str(pause)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == "ready\n"
    return writer


@needs_compiler
def test_the_c_reader_follows_a_live_writer(name: str, reader: Path) -> None:
    writer = start_writer(name, 0.01)
    following = subprocess.Popen([reader, name], stdout=subprocess.PIPE, text=True)
    assert following.stdout is not None
    lines = [following.stdout.readline() for _ in range(5)]
    writer.communicate(timeout=60)  # its input is at its end, and so is it
    *rest, last = following.communicate(timeout=60)[0].splitlines()
    assert (following.returncode, last) == (0, "writer ended")
    lines = [line.rstrip("\n") for line in lines] + rest
    ids = []
    for line in lines:
        found = re.fullmatch(r"frame (\d+) (\d+)x(\d+) valid 1 reason 0 class_0 (\d+)", line)
        assert found is not None, line
        number, width, height, of_class_0 = map(int, found.groups())
        assert (height, width) == (64 - number % 7, 96 - number % 5)
        assert of_class_0 == (height * width if number % 200 == 0 else 0)
        ids.append(number)
    assert ids == sorted(set(ids))


@needs_compiler
def test_the_c_reader_says_that_there_is_none(reader: Path) -> None:
    done = subprocess.run([reader, "edgeseg-test-not-there"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (2, "there is no result of edgeseg under this name\n")


@needs_compiler
def test_the_c_reader_sees_that_the_writer_was_killed_and_the_next_takes_over(
    name: str, reader: Path, labels: LabelMap
) -> None:
    writer = start_writer(name, 0.01)
    following = subprocess.Popen([reader, name], stdout=subprocess.PIPE, text=True)
    try:
        assert following.stdout is not None
        assert following.stdout.readline().startswith("frame ")
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        rest, _ = following.communicate(timeout=60)
    finally:
        following.kill()
        writer.kill()
    assert rest.splitlines()[-1] == "writer dead"
    assert following.returncode == 1
    assert (Path("/dev/shm") / name).exists()  # what the killed one left
    stale = Reader(name)
    sink = SharedMemorySink(name, labels)
    assert stale.field("state") == REPLACED
    assert Reader(name).field("writer_pid") == os.getpid()
    sink.close(commit=True)


@needs_compiler
def test_no_read_is_torn(name: str, compile_c: Callable[[Path], Path], tmp_path: Path) -> None:
    (tmp_path / "stress.c").write_text(STRESS)
    stress = compile_c(tmp_path / "stress.c")
    writer = start_writer(name, 0.0)
    following = subprocess.Popen([stress, name], stdout=subprocess.PIPE, text=True)
    time.sleep(1.2)
    written = int(writer.communicate(timeout=60)[0])
    out, _ = following.communicate(timeout=60)
    found = {word: int(count) for word, count in re.findall(r"(\w+) (\d+)", out)}
    assert found["different"] > 50, (found, written)
    assert (found["torn"], found["backwards"]) == (0, 0)


@needs_compiler
def test_a_slot_that_is_being_written_is_not_read(
    name: str, reader: Path, labels: LabelMap, make_output: Callable[..., Output],
    make_status: Callable[..., Status],
) -> None:  # fmt: skip
    sink = SharedMemorySink(name, labels, (40, 60))
    sink.write(make_output(0))
    memory = Reader(name)
    slot = np.frombuffer(memory.memory, SLOT, 1, memory.field("header_bytes"))
    slot["sequence"][0] += 1  # as while a map is half-written
    following = subprocess.Popen([reader, name], stdout=subprocess.PIPE, text=True)
    try:
        assert following.stdout is not None
        for _ in range(10):
            sink.announce(make_status())
            assert not select.select([following.stdout], [], [], 0.03)[0]
        slot["sequence"][0] += 1
        assert following.stdout.readline().startswith("frame 0 60x40 valid 1")
        sink.close(commit=True)
        assert following.communicate(timeout=60)[0] == "writer ended\n"
    finally:
        following.kill()


@pytest.mark.skipif(shutil.which("c++") is None, reason="there is no C++ compiler (c++)")
def test_the_header_is_for_cpp_too(
    name: str, tmp_path: Path, labels: LabelMap, make_output: Callable[..., Output]
) -> None:
    (tmp_path / "main.cpp").write_text(CPP)
    flags = [
        "-std=c++11",
        "-O2",
        "-Wall",
        "-Wextra",
        "-Werror",
        f"-I{EXAMPLES}",
        "-o",
        str(tmp_path / "main"),
    ]
    done = subprocess.run(
        ["c++", *flags, str(tmp_path / "main.cpp"), "-lrt"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    sink = SharedMemorySink(name, labels, (40, 60))
    sink.write(make_output(5, reason="dark"))
    done = subprocess.run([tmp_path / "main", name], capture_output=True, text=True, timeout=60)
    sink.close(commit=True)
    assert done.stdout == f"1 5 40 60 0 {CODES['dark']} 255\n"


@needs_compiler
def test_python_and_c_agree_on_every_offset(compile_c: Callable[[Path], Path], tmp_path: Path) -> None:
    lines = []
    for struct, dtype in (("edgeseg_header", HEADER), ("edgeseg_slot", SLOT)):
        for field in dtype.names or ():
            member = f"(({struct} *)0)->{field}"
            lines.append(
                f'printf("{struct} {field} %zu %zu\\n", offsetof({struct}, {field}), sizeof {member});'
            )
    source = '#define _DEFAULT_SOURCE\n#include <stdio.h>\n#include "edgeseg_shm.h"\nint main(void) { %s }\n'
    (tmp_path / "offsets.c").write_text(source % "\n".join(lines))
    done = subprocess.run([compile_c(tmp_path / "offsets.c")], capture_output=True, text=True, timeout=60)
    expected = [
        f"{struct} {field} {dtype.fields[field][1]} {dtype.fields[field][0].itemsize}"
        for struct, dtype in (("edgeseg_header", HEADER), ("edgeseg_slot", SLOT))
        for field in dtype.names or ()
    ]
    assert done.stdout.splitlines() == expected
    assert shm_layout.MAGIC == b"EDGESEG1"
