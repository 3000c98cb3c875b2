"""Class maps in shared memory, for another process on the same board."""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...core.errors import EdgesegError, OutputError
from ...core.labels import VOID, LabelMap
from ...core.outputs import check_output
from ..clock import now_ns
from ..findings import Finding
from ..forks import Owned, is_left_alone, refuse_in_child, stays_with_this_process
from ..reasons import CODES
from ..status import Status
from .base import Output, Sink
from .shm_layout import (
    CLOSED,
    HEADER,
    MAGIC,
    NO_SEARCH,
    NO_SPOT,
    OPEN,
    REPLACED,
    SHM_NAME,
    SLOT,
    SLOTS,
    SPOT,
    VERSION,
    SharedMemoryLayout,
    encode_names,
)

_FOLDER = Path("/dev/shm")
_FIRST_SIZE_HW = (720, 1280)
_UNKNOWN_REASON = 0xFFFFFFFF
_STATE_OFFSET = 68


class SharedMemorySink(Sink):
    """Publishes each class map under ``/dev/shm/NAME``. No reader can block it.

    The layout is that of :mod:`edgeseg.runtime.sinks.shm_layout`, for C in ``examples/edgeseg_shm.h``. Only this user
    can read it. A result that is not valid is published as void, with its reason; so is a beat. Memory of a killed
    writer is replaced; the heartbeat in the header shows readers that a writer is dead. If a frame is too large, the
    memory is replaced by a larger one, and its state tells readers to open it again.

    Args:
        name: letters, digits, ``.``, ``_`` and ``-``.
        labels: the classes.
        max_size_hw: the frame size that memory is reserved for at first; 720 x 1280 if None.
        with_frames: also publish the frames themselves, uint8 BGR.

    Raises:
        OutputError: the name is malformed, another process writes under it, or memory is short.
    """

    lossless = False
    beats = True
    ephemeral = True
    is_acted_on = True
    most_failures = 3

    def __init__(
        self,
        name: str,
        labels: LabelMap,
        max_size_hw: tuple[int, int] | None = None,
        with_frames: bool = False,
    ) -> None:
        if not SHM_NAME.fullmatch(name):
            raise OutputError(
                f"{name!r} cannot name shared memory: expected letters, digits, '.', '_' and '-', such as front-camera"
            )
        if not _FOLDER.is_dir():
            raise OutputError(f"there is no {_FOLDER} here, where POSIX shared memory lies on Linux")
        self.name = f"shared memory {name}"
        self._path = _FOLDER / name
        self._labels = labels
        self._with_frames = with_frames
        self._fence = threading.Lock()
        self._published = 0
        self._take_over()
        self._memory = self._make(max_size_hw or _FIRST_SIZE_HW)
        stays_with_this_process(self, _IN_A_CHILD)

    def write(self, output: Output) -> None:
        """Publishes a result; for a beat, publishes that nothing is valid now.

        Raises:
            OutputError: a larger frame has come, and memory for it is short.
        """
        refuse_in_child(self)
        height, width = output.result.classes.shape
        most_h, most_w = self._memory.layout.max_size_hw
        if height * width > most_h * most_w:
            larger = self._make((max(height, most_h), max(width, most_w)))
            self._memory.end(REPLACED)
            self._memory.close()
            self._memory = larger
        memory = self._memory
        self._published += 1
        memory.beat()
        slot = memory.slots[(self._published - 1) % SLOTS]
        sequence = int(slot.head["sequence"][0])
        slot.head["sequence"][0] = sequence + 1
        self._order()
        self._fill(slot, output)
        self._order()
        slot.head["sequence"][0] = sequence + 2
        self._order()
        memory.head["newest"][0] = self._published

    def announce(self, status: Status) -> None:
        """Shows readers that the writer is alive."""
        self._memory.beat()

    def close(self, commit: bool) -> None:
        """Tells readers that no more results come, and removes the name."""
        if is_left_alone(self):
            return
        self._memory.end(CLOSED)
        self._path.unlink(missing_ok=True)
        self._memory.close()

    def _fill(self, slot: _Slot, output: Output) -> None:
        result, head = output.result, slot.head
        height, width = result.classes.shape
        valid = result.valid and not output.beat
        head["number"][0] = self._published
        head["frame_id"][0] = result.frame_id
        head["captured_ns"][0] = round(result.captured_at * 1e9)
        head["published_ns"][0] = now_ns()
        head["height"][0], head["width"][0] = height, width
        head["valid"][0] = valid
        head["reason"][0] = 0 if valid else CODES.get(result.reason, _UNKNOWN_REASON)
        head["source"][0] = output.source
        _fill_landing(head, result.findings.get("landing"))
        with_frame = self._with_frames and not output.beat
        head["has_frame"][0] = with_frame
        class_map = slot.classes[: height * width]
        if valid:
            np.copyto(class_map.reshape(height, width), result.classes)
        else:
            class_map.fill(VOID)
        if with_frame:
            np.copyto(slot.frame[: 3 * height * width].reshape(height, width, 3), output.frame_bgr)

    def _order(self) -> None:
        """Keeps later stores from becoming visible before earlier ones.

        Python has no memory fence. Acquiring and releasing a lock are an acquire and a release of the C library, and
        stores do not pass a release that is followed by an acquire of the same word. On ARM these are stlr and ldar,
        or their atomic variants, which the architecture keeps in order. x86 keeps stores in order by itself.
        """
        with self._fence:
            pass
        with self._fence:
            pass

    def _make(self, size_hw: tuple[int, int]) -> _Memory:
        layout = SharedMemoryLayout(size_hw, encode_names(self._labels.names), self._with_frames)
        fresh = self._path.with_name(f".{self._path.name}.partial-{os.getpid()}")
        try:
            fresh.unlink(missing_ok=True)
            memory = _Memory(fresh, layout, len(self._labels))
            os.rename(fresh, self._path)
        except OSError as error:
            with contextlib.suppress(OSError):  # read-only, like the whole folder
                fresh.unlink(missing_ok=True)
            mib = layout.total_bytes / 2**20
            raise OutputError(
                f"cannot take {mib:.0f} MiB of shared memory for {self._path}: {error.strerror}"
            ) from error
        return memory

    def _take_over(self) -> None:
        """Checks the file of this name. If a killed writer left it, tells its readers to open the new memory."""
        check_output(self._path)
        try:
            number = os.open(self._path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        except OSError as error:
            raise OutputError(f"cannot take over {self._path}: {error.strerror}") from error
        try:
            # The kernel frees a lock with the process that held it, however that ended.
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.pread(number, len(MAGIC), 0) != MAGIC:
                raise OutputError(f"{self._path} is not edgeseg's; give --shm another name")
            os.pwrite(number, np.uint32(REPLACED).tobytes(), _STATE_OFFSET)
        except BlockingIOError as error:
            raise OutputError(f"another process writes to {self._path}; give --shm another name") from error
        except OSError as error:
            raise OutputError(f"cannot take over {self._path}: {error.strerror}") from error
        finally:
            os.close(number)


def _unlock(sink: SharedMemorySink, error: EdgesegError) -> None:
    """Closes a forked child's copy of the file. While it is open, the name stays locked after the parent's end."""
    os.close(sink._memory.number)


_IN_A_CHILD = Owned("shared memory", OutputError, refuses=("announce",), ignores=(), in_child=_unlock)


def _fill_landing(head: npt.NDArray[Any], spot: Finding | None) -> None:
    if spot is None:
        head["landing"][0] = NO_SEARCH
        return
    facts = spot.facts()
    head["landing"][0] = SPOT if spot.valid else NO_SPOT
    head["landing_reason"][0] = spot.reason.encode("ascii")
    head["landing_switches"][0] = facts["switches"]
    for name in ("ground_m", "frd_m", "uv_px", "distance_m", "clearance_m", "required_m", "persistence_s"):
        head[f"landing_{name}"][0] = np.array(facts[name], np.float64)  # None becomes NaN


class _Slot:
    """Views of one slot."""

    def __init__(self, memory: mmap.mmap, start: int, layout: SharedMemoryLayout) -> None:
        self.head: npt.NDArray[Any] = np.frombuffer(memory, SLOT, 1, start)
        self.classes = np.frombuffer(memory, np.uint8, layout.map_bytes, start + SLOT.itemsize)
        frame_bytes = 3 * layout.map_bytes if layout.with_frames else 0
        self.frame = np.frombuffer(memory, np.uint8, frame_bytes, start + layout.frame_offset)


class _Memory:
    """A mapped file, with its header written and locked for as long as this process lives.

    Raises:
        OSError: memory is short.
    """

    def __init__(self, path: Path, layout: SharedMemoryLayout, class_count: int) -> None:
        self.layout = layout
        self.number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self.number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Reserved now and not on the first write: short memory must raise an error and not SIGBUS.
            os.posix_fallocate(self.number, 0, layout.total_bytes)
            self._map = mmap.mmap(self.number, layout.total_bytes)
        except OSError:
            os.close(self.number)
            raise
        self.head: npt.NDArray[Any] = np.frombuffer(self._map, HEADER, 1, 0)
        starts = [layout.header_bytes + number * layout.slot_bytes for number in range(SLOTS)]
        self.slots = [_Slot(self._map, start, layout) for start in starts]
        self._map[HEADER.itemsize : HEADER.itemsize + len(layout.names)] = layout.names
        fields = {
            "magic": MAGIC,
            "version": VERSION,
            "header_bytes": layout.header_bytes,
            "total_bytes": layout.total_bytes,
            "slot_bytes": layout.slot_bytes,
            "slots": SLOTS,
            "max_height": layout.max_size_hw[0],
            "max_width": layout.max_size_hw[1],
            "class_count": class_count,
            "names_offset": HEADER.itemsize,
            "names_bytes": len(layout.names),
            "map_offset": SLOT.itemsize,
            "frame_offset": layout.frame_offset,
            "writer_pid": os.getpid(),
            "state": OPEN,
            "heartbeat_ns": now_ns(),
        }
        for name, value in fields.items():
            self.head[name][0] = value

    def beat(self) -> None:
        """Shows readers that the writer is alive."""
        self.head["heartbeat_ns"][0] = now_ns()

    def end(self, state: int) -> None:
        """Tells readers why no more results come."""
        self.beat()
        self.head["state"][0] = state

    def close(self) -> None:
        """Releases the memory. A process that still maps it keeps it."""
        del self.head, self.slots
        self._map.close()
        os.close(self.number)
