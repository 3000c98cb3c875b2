"""The contract of every sink; a new one adds a maker to ``MAKERS``.

Those that replace or refuse what is there, and appear whole at the end, have a contract of their own in ``test_sinks``.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from edgeseg.apps.recording.sink import RecordingSink
from edgeseg.core.errors import EdgesegError, OutputError, UsageError
from edgeseg.core.labels import LabelMap
from edgeseg.runtime.sinks.base import Output, Sink, StopRequested
from edgeseg.runtime.sinks.callback import CallbackSink
from edgeseg.runtime.sinks.events import EventsSink
from edgeseg.runtime.sinks.mask_arrays import MaskArraysSink
from edgeseg.runtime.sinks.masks import LiveMasksSink, MasksSink
from edgeseg.runtime.sinks.shared_memory import SharedMemorySink
from edgeseg.runtime.sinks.video import SegmentedVideoSink, VideoSink
from edgeseg.runtime.status import Status

Maker = Callable[[Path, LabelMap], Sink]

MAKERS: dict[str, Maker] = {
    "video": lambda folder, labels: VideoSink(folder / "v.mp4", 10),
    "live video": lambda folder, labels: VideoSink(folder / "v.mp4", 10, in_real_time=True),
    "segments": lambda folder, labels: SegmentedVideoSink(folder / "v.mp4", 10, 0.2),
    "live segments": lambda folder, labels: SegmentedVideoSink(folder / "v.mp4", 10, 0.2, True, 10**6),
    "masks": lambda folder, labels: MasksSink(folder / "m", labels),
    "live masks": lambda folder, labels: LiveMasksSink(folder / "m", labels),
    "mask arrays": lambda folder, labels: MaskArraysSink(folder / "m", labels, 0.2),
    "events": lambda folder, labels: EventsSink(str(folder / "e.jsonl"), labels),
    "datagrams": lambda folder, labels: EventsSink("udp://127.0.0.1:9", labels),
    "shared memory": lambda folder, labels: SharedMemorySink(f"edgeseg-test-{os.getpid()}", labels, (8, 8)),
    "callback": lambda folder, labels: CallbackSink(lambda output: None, beats=True),
    "recording": lambda folder, labels: RecordingSink(folder / "r", labels, {}, 0.2),
}

CANNOT: dict[str, Maker] = {
    name: make for name, make in MAKERS.items() if name not in ("datagrams", "shared memory", "callback")
}
"""Those that write under a folder."""

every_sink = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


@every_sink
class TestContract:
    def test_it_takes_results_beats_and_news_and_closes(
        self,
        tmp_path: Path,
        labels: LabelMap,
        make: Maker,
        make_output: Callable[..., Output],
        make_status: Callable[..., Status],
    ) -> None:
        sink = make(tmp_path, labels)
        for number, size_hw in enumerate([(40, 60)] * 3 + [(41, 61)] * 2):
            sink.write(make_output(number, size_hw, at=100 + number / 10))
            sink.announce(make_status())
        sink.write(make_output(5, (41, 61), reason="dark", at=100.5))
        if sink.beats:
            sink.write(make_output(5, (41, 61), reason="source-lost", beat=True, at=100.6))
        sink.close(commit=True)
        assert not [path for path in tmp_path.rglob("*") if "partial" in path.name or "probe" in path.name]

    def test_a_run_that_failed_leaves_nothing_half_written(
        self, tmp_path: Path, labels: LabelMap, make: Maker, make_output: Callable[..., Output]
    ) -> None:
        sink = make(tmp_path, labels)
        sink.write(make_output(0, at=100.0))
        sink.close(commit=False)
        assert not [path for path in tmp_path.rglob("*") if "partial" in path.name]

    def test_it_does_not_write_into_what_it_is_given(
        self, tmp_path: Path, labels: LabelMap, make: Maker, make_output: Callable[..., Output]
    ) -> None:
        sink, output = make(tmp_path, labels), make_output(1, at=100.0)
        output.frame_bgr.flags.writeable = output.result.classes.flags.writeable = False
        sink.write(output)
        sink.close(commit=True)

    def test_it_says_what_it_is_and_how_often_it_may_fail(
        self, tmp_path: Path, labels: LabelMap, make: Maker
    ) -> None:
        sink = make(tmp_path, labels)
        assert sink.name
        assert sink.most_failures >= 1
        sink.close(commit=False)


@pytest.mark.parametrize("make", CANNOT.values(), ids=CANNOT)
def test_a_folder_that_cannot_be_written(tmp_path: Path, labels: LabelMap, make: Maker) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"Not a directory|File exists|is a file"):
        make(tmp_path / "file", labels)


ADDING = ("segments", "live masks", "mask arrays", "events", "recording")


@pytest.mark.parametrize("name", ADDING)
def test_what_an_earlier_run_wrote_stays(
    tmp_path: Path, labels: LabelMap, name: str, make_output: Callable[..., Output]
) -> None:
    before: dict[Path, bytes] = {}
    for _ in range(3):
        sink = MAKERS[name](tmp_path, labels)
        for number in range(3):
            sink.write(make_output(number, at=100 + number / 10))
        sink.close(commit=True)
        files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        assert all(files[path].startswith(data) for path, data in before.items())
        assert sum(map(len, files.values())) > sum(map(len, before.values()))
        before = files


@pytest.mark.parametrize("name", ["segments", "live masks", "mask arrays", "recording"])
def test_a_run_without_a_frame_leaves_nothing_to_mistake_for_one(
    tmp_path: Path, labels: LabelMap, name: str
) -> None:
    MAKERS[name](tmp_path, labels).close(commit=True)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] in ([], ["labelmap.txt"])


def test_a_callback_is_called_with_each_output_and_may_end_the_run(
    make_output: Callable[..., Output],
) -> None:
    taken: list[Output] = []
    sink = CallbackSink(taken.append, name="planner", beats=True)
    outputs = [make_output(0), make_output(1, reason="stale", beat=True)]
    for output in outputs:
        sink.write(output)
    assert taken == outputs
    assert (sink.name, sink.beats, sink.most_failures) == ("planner", True, 5)

    def end(output: Output) -> None:
        raise StopRequested

    with pytest.raises(StopRequested):
        CallbackSink(end).write(outputs[0])
    with pytest.raises(UsageError, match="takes a function of one output, got int"):
        CallbackSink(3)


def test_a_port_that_nobody_listens_at_is_no_failure(
    labels: LabelMap, make_output: Callable[..., Output], make_status: Callable[..., Status]
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    sink = EventsSink(f"udp://127.0.0.1:{port}", labels)
    for number in range(20):
        sink.write(make_output(number))
        sink.announce(make_status())
    sink.close(commit=True)


@pytest.mark.parametrize(
    "target",
    ["udp://127.0.0.1", "udp://user:secret@127.0.0.1:5", "tcp://127.0.0.1:5", "udp://h:0", "udp://h:99999", "udp://[::1"],
)  # fmt: skip
def test_a_target_of_events_that_cannot_be_tells_no_secret(labels: LabelMap, target: str) -> None:
    with pytest.raises(EdgesegError, match=r"expected -, a file, or udp://HOST:PORT") as caught:
        EventsSink(target, labels)
    assert "secret" not in str(caught.value)
