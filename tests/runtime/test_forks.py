"""A forked child leaves alone what its parent opened: it neither hangs nor touches it."""

from __future__ import annotations

import gc
import importlib.util
import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from edgeseg.apps.preview.options import PreviewOptions
from edgeseg.apps.preview.server import PreviewServer
from edgeseg.core.errors import OutputError
from edgeseg.core.labels import LabelMap
from edgeseg.core.source import Source
from edgeseg.runtime.decode import Decoder, decode
from edgeseg.runtime.forks import Owned, stays_with_this_process
from edgeseg.runtime.pipeline import Pipeline
from edgeseg.runtime.pipeline.trace import Trace
from edgeseg.runtime.result import Segmentation
from edgeseg.runtime.segmenter import Segmenter
from edgeseg.runtime.sinks.base import Output
from edgeseg.runtime.sinks.callback import CallbackSink
from edgeseg.runtime.sinks.shared_memory import SharedMemorySink
from edgeseg.runtime.sources import open_source
from edgeseg.runtime.sources.live import Interruption, LiveOptions, LiveSource
from edgeseg.runtime.sources.process.source import ChildCapture, ChildSource
from edgeseg.runtime.status import Status

from .forked import in_child

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.skipif(sys.platform != "linux", reason="forks beside threads are Linux's"),
]

FRAME = np.full((24, 36, 3), 90, np.uint8)
LABELS = LabelMap.generic(3)
ADVICE = "was opened before this process was forked; fork before it is opened, or start processes with spawn"

BACKENDS = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"{name} is not installed"),
    )
    for name in ("onnxruntime", "openvino")
]


@pytest.fixture(params=BACKENDS)
def segmenter(request: pytest.FixtureRequest, bundle_folder: Path) -> Iterator[Segmenter]:
    with Segmenter(bundle_folder, backend=request.param, threads=2) as seg:
        seg(FRAME)
        yield seg


class Two(Source):
    """Gives two frames."""

    name = "two"

    def __init__(self) -> None:
        self.left = 2

    def read(self) -> np.ndarray | None:
        self.left -= 1
        return FRAME if self.left >= 0 else None

    def close(self) -> None:
        pass


def output() -> Output:
    return Output(FRAME, Segmentation(np.ones((24, 36), np.uint8)), "", lambda: FRAME)


class TestSegmenter:
    def test_to_close_it_returns_at_once(self, segmenter: Segmenter) -> None:
        assert in_child(segmenter.close) == "None"
        assert segmenter(FRAME).valid

    def test_to_drop_it_returns_at_once(self, bundle_folder: Path, segmenter: Segmenter) -> None:
        held = [Segmenter(bundle_folder, backend=segmenter.backend.name, threads=2)]

        def drop() -> str:
            held.clear()
            gc.collect()
            return "dropped"

        assert in_child(drop) == "dropped"
        (kept,) = held
        assert kept(FRAME).valid
        kept.close()

    def test_to_call_it_raises_one_clear_line(self, segmenter: Segmenter) -> None:
        assert in_child(lambda: segmenter(FRAME)) == f"BackendError: the segmenter {ADVICE}"
        assert in_child(segmenter.warmup) == f"BackendError: the network {ADVICE}"
        frame_nhwc = np.zeros((1, *segmenter.bundle.input_size_hw, 3), np.uint8)
        assert in_child(lambda: segmenter.backend.infer(frame_nhwc)) == f"BackendError: the network {ADVICE}"
        assert segmenter(FRAME).valid

    def test_it_can_be_left_in_a_child_whose_parent_was_in_a_call(self, segmenter: Segmenter) -> None:
        with segmenter._calling, segmenter._preparing, segmenter._inferring, segmenter._decoding:
            assert in_child(lambda: segmenter(FRAME)) == f"BackendError: the segmenter {ADVICE}"
            assert in_child(segmenter.close) == "None"

    def test_a_child_opens_its_own_where_the_library_can(
        self, bundle_folder: Path, segmenter: Segmenter
    ) -> None:
        def segment() -> bool:
            with Segmenter(bundle_folder, backend=segmenter.backend.name, threads=2) as own:
                return own(FRAME).valid

        if segmenter.backend.name == "onnxruntime":
            assert in_child(segment) == "True"
        else:  # it would hang there, now and then
            assert in_child(segment) == (
                "BackendError: openvino was in use before this process was forked, and hangs in the child; fork before"
                " it is used, or start processes with spawn"
            )

    def test_a_grandchild_leaves_it_alone_too(self, segmenter: Segmenter) -> None:
        assert in_child(lambda: in_child(segmenter.close)) == "None"


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_child_that_ends_as_any_program_does_ends(bundle_folder: Path, backend: str) -> None:
    """Its interpreter takes everything down, and then the libraries do."""
    lines = (
        "import os, sys, numpy as np",
        "from edgeseg import Segmenter",
        f"seg = Segmenter({str(bundle_folder)!r}, backend={backend!r}, threads=2)",
        "seg(np.zeros((24, 36, 3), np.uint8))",
        "pid = os.fork()",
        "if not pid: sys.exit(7)",
        "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))",
    )
    # Its own thread, which a child has not, is no part of what is tried out.
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(("import os", "os.environ['ORT_DISABLE_TELEMETRY'] = '1'", *lines))],
        capture_output=True, text=True, timeout=40, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("7\n", "")


def test_a_decoder_has_threads_of_its_own_in_a_child() -> None:
    logits = np.random.default_rng(0).standard_normal((4, 300, 400), np.float32)
    expected = decode(logits, (600, 800))
    decoder, classes = Decoder(2), np.empty((600, 800), np.uint8)

    def decode_and_close() -> bool:
        decoder(logits, classes)
        decoder.close()
        return bool((classes == expected).all())

    decoder(logits, classes)
    with decoder._lock:
        assert in_child(decode_and_close) == "True"
    assert decode_and_close()


def test_a_pipeline_is_not_run_and_its_sinks_are_not_touched(bundle_folder: Path) -> None:
    with Segmenter(bundle_folder) as seg:
        told: list[Output] = []
        sink = CallbackSink(told.append)
        pipeline = Pipeline(Two(), seg, [sink])
        assert in_child(pipeline.run) == f"UsageError: the pipeline {ADVICE}"
        assert in_child(pipeline.status) == f"UsageError: the pipeline {ADVICE}"
        assert in_child(pipeline.stop) == "None"
        assert in_child(lambda: sink.write(output())) == f"OutputError: callback {ADVICE}"
        assert in_child(lambda: sink.close(commit=True)) == "None"
        assert pipeline.run().stats["frames"] == len(told) == 2


def test_shared_memory_is_neither_removed_nor_held(request: pytest.FixtureRequest) -> None:
    name = f"edgeseg-test-{id(request)}-fork"
    sink, path = SharedMemorySink(name, LABELS, (24, 36)), Path("/dev/shm") / name
    try:
        assert in_child(lambda: sink.close(commit=True)) == "None"
        assert in_child(lambda: sink.write(output())) == f"OutputError: shared memory {ADVICE}"
        assert path.exists()
        sink.write(output())

        def take_over() -> str:
            # The parent still has it: its lock holds, but no longer by this process's doing.
            SharedMemorySink(name, LABELS, (24, 36))
            return "taken"

        assert "another process writes to" in in_child(take_over)
    finally:
        sink.close(commit=True)
    assert not path.exists()


def test_a_capturing_process_stays_the_parents(fake_cameras: object) -> None:
    options = LiveOptions(open_timeout_s=30, read_timeout_s=20)
    with ChildSource("cam", ChildCapture("fake_captures:FakeCapture", {}), options, Interruption()) as source:
        first = source.read()
        assert first is not None
        assert in_child(source.close) == "None"
        assert in_child(source.read) == f"SourceError: the source {ADVICE}"
        # Of the pipe by which the capturing process learns of the parent's end, a child keeps no copy.
        assert in_child(lambda: Path(f"/proc/self/fd/{source._life_fd}").exists()) == "False"
        later = source.read()
        assert later is not None
        assert (later != first).any()


def test_a_live_source_is_not_opened_again_in_a_child() -> None:
    opened: list[int] = []

    def opener(interruption: Interruption) -> object:
        opened.append(1)
        return Two()

    source = LiveSource("camera", opener, LiveOptions())  # type: ignore[arg-type]
    assert in_child(source.read) == f"SourceError: camera {ADVICE}"
    assert in_child(lambda: (source.interrupt(), source.close(), len(opened))[-1]) == "1"
    assert source.read() is not None
    source.close()


def test_a_film_whose_decoder_has_threads_is_left_open(tmp_path: Path) -> None:
    writer = cv2.VideoWriter(str(tmp_path / "film.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 25, (320, 240))
    for number in range(12):
        writer.write(np.full((240, 320, 3), 20 * number, np.uint8))
    writer.release()
    with open_source(tmp_path / "film.mp4") as source:
        assert source.read() is not None
        assert in_child(source.close) == "None"
        assert in_child(source.read).endswith(ADVICE)
        assert sum(source.read() is not None for _ in range(12)) == 11


def test_a_trace_is_written_by_its_process_alone(tmp_path: Path) -> None:
    trace = Trace(tmp_path / "trace.json")
    trace.track("a", 1)

    def close() -> bool:
        trace.close()
        return (tmp_path / "trace.json").exists()

    assert in_child(close) == "False"
    trace.close()
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert len(events) == len({json.dumps(event) for event in events})


def test_the_preview_page_stays_the_parents() -> None:
    pytest.importorskip("uvicorn")
    server = PreviewServer(PreviewOptions(port=0), LABELS, on_message=lambda line: None)
    server.sink(0)
    server.start(Status)
    try:
        assert in_child(server.close) == "None"
        assert in_child(lambda: server._listener is None or server._listener.fileno()) == "-1"
        with urllib.request.urlopen(f"{server.url}healthz", timeout=20) as answer:
            assert answer.status in (200, 503)
    finally:
        server.close()


def test_what_was_let_go_before_is_no_matter() -> None:
    class Thing:
        closed = 0

        def close(self) -> None:
            self.closed += 1

        def use(self) -> str:
            return "used"

    kept, gone = Thing(), Thing()
    for thing in (kept, gone):
        stays_with_this_process(thing, Owned("the thing", OutputError, refuses=("use",)))
    del gone, thing
    gc.collect()
    assert in_child(lambda: (kept.close(), kept.closed)) == "(None, 0)"
    assert in_child(lambda: kept.use()) == f"OutputError: the thing {ADVICE}"
    kept.close()
    assert (kept.closed, kept.use()) == (1, "used")
    unhashable: Callable[[], object] = type("Unhashable", (Thing,), {"__eq__": lambda self, other: True})
    stays_with_this_process(unhashable(), Owned("the thing", OutputError))
