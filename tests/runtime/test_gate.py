"""An object that several threads share: one at a time uses it, and closing it neither crashes nor waits."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from edgeseg.apps.tiling.segment import TilingReport, _add, _Tile
from edgeseg.core.errors import BackendError, UsageError
from edgeseg.core.source import Source
from edgeseg.runtime.decode import Decoder, decode
from edgeseg.runtime.gate import Gate
from edgeseg.runtime.pipeline import Pipeline
from edgeseg.runtime.segmenter import Segmenter
from edgeseg.runtime.sources.live import Interruption, LiveOptions, LiveSource

pytestmark = pytest.mark.timeout(60)

THREADS, CALLS, SECONDS = 8, 30, 20


@pytest.fixture
def segmenter(bundle_folder: Path) -> Iterator[Segmenter]:
    with Segmenter(bundle_folder, threads=1) as seg:
        yield seg


def images(count: int) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [
        cv2.resize(random.integers(0, 256, (6, 8, 3), np.uint8), (160, 120), interpolation=cv2.INTER_NEAREST)
        for _ in range(count)
    ]


def side_by_side(work: Callable[[int], int]) -> int:
    """The sum of what a function gives in each of the threads, which begin at once."""
    begin = threading.Barrier(THREADS)

    def begin_and_work(number: int) -> int:
        begin.wait(SECONDS)
        return work(number)

    with ThreadPoolExecutor(THREADS) as pool:
        return sum(pool.map(begin_and_work, range(THREADS)))


class TestGate:
    class Owner:
        def __init__(self) -> None:
            self.closed = 0
            self.gate = Gate(self.close)

        def close(self) -> None:
            self.closed += 1

    def test_it_closes_at_once_where_nobody_is_inside(self) -> None:
        owner = self.Owner()
        owner.gate.shut()
        owner.gate.shut()
        assert owner.gate.is_shut
        assert owner.closed == 1

    def test_who_is_inside_closes_as_he_leaves(self) -> None:
        owner = self.Owner()
        with owner.gate:
            owner.gate.shut()
            assert owner.gate.is_shut
            assert owner.closed == 0
        assert owner.closed == 1
        with owner.gate:
            pass
        assert owner.closed == 1

    def test_it_closes_after_a_failure_too(self) -> None:
        owner = self.Owner()

        def fail() -> None:
            with owner.gate:
                owner.gate.shut()
                raise ValueError("inside")

        with pytest.raises(ValueError, match="inside"):
            fail()
        assert owner.closed == 1

    def test_one_thread_at_a_time_is_inside(self) -> None:
        owner, inside, most = self.Owner(), [0], [0]

        def enter(number: int) -> int:
            for _ in range(CALLS):
                with owner.gate:
                    inside[0] += 1
                    most[0] = max(most[0], inside[0])
                    inside[0] -= 1
            return 0

        side_by_side(enter)
        assert most == [1]

    def test_it_does_not_keep_its_owner_alive(self) -> None:
        gc.disable()
        try:
            owner = self.Owner()
            gone = weakref.ref(owner)
            del owner
            assert gone() is None
        finally:
            gc.enable()


class TestSegmenter:
    @pytest.mark.parametrize("margin", [False, True])
    def test_each_of_eight_threads_gets_the_mask_of_its_own_frame(
        self, segmenter: Segmenter, margin: bool
    ) -> None:
        frames = images(THREADS)
        expected = [segmenter(frame).classes.copy() for frame in frames]
        assert len({classes.tobytes() for classes in expected}) == THREADS

        def wrong(number: int) -> int:
            results = [segmenter(frames[number], margin=margin) for _ in range(CALLS)]
            return sum(not np.array_equal(result.classes, expected[number]) for result in results)

        assert side_by_side(wrong) == 0

    def test_a_prepared_frame_that_was_overwritten_is_refused(self, segmenter: Segmenter) -> None:
        first, *others = images(Segmenter.FRAMES_KEPT + 1)
        prepared = segmenter.prepare(first)
        for frame in others[:-1]:
            segmenter.prepare(frame)
        assert segmenter.infer(prepared).frame_id == 0
        segmenter.prepare(others[-1])
        with pytest.raises(
            BackendError,
            match=r"a prepared frame has been overwritten by later ones: 4 are kept\. Infer each before",
        ):
            segmenter.infer(prepared)

    def test_keep_frames_keeps_more(self, segmenter: Segmenter) -> None:
        segmenter.keep_frames(9)
        frames = images(9)
        prepared = [segmenter.prepare(frame) for frame in frames]
        results = [segmenter.decode(each).classes for each in segmenter.infer_batch(prepared)]
        expected = [segmenter(frame).classes for frame in frames]
        assert np.array_equal(results, expected)

    def test_logits_that_were_overwritten_are_refused(self, segmenter: Segmenter) -> None:
        (frame,) = images(1)
        kept = segmenter.backend.RESULTS_KEPT
        inference = segmenter.infer(segmenter.prepare(frame))
        for _ in range(kept - 1):
            segmenter.infer(segmenter.prepare(frame))
        assert segmenter.decode(inference).valid
        for _ in range(2):
            segmenter.infer(segmenter.prepare(frame))
        with pytest.raises(
            BackendError, match=r"what was inferred has been overwritten by later ones: 4 are kept"
        ):
            segmenter.decode(inference)

    def test_the_steps_in_eight_threads_never_give_another_frames_mask(self, segmenter: Segmenter) -> None:
        frames = images(THREADS)
        expected = [segmenter(frame).classes.copy() for frame in frames]
        refused: list[str] = []

        def wrong(number: int) -> int:
            count = 0
            for _ in range(CALLS):
                try:
                    result = segmenter.decode(segmenter.infer(segmenter.prepare(frames[number])))
                except BackendError as error:
                    refused.append(str(error))
                    continue
                count += not np.array_equal(result.classes, expected[number])
            return count

        assert side_by_side(wrong) == 0
        assert all("has been overwritten by later ones" in each for each in refused)
        assert wrong(0) == 0

    def test_to_close_it_in_a_call_neither_crashes_nor_waits(
        self, segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        infer, inside, go_on = segmenter.backend._infer, threading.Event(), threading.Event()

        def wait_and_infer(frame_nhwc: np.ndarray) -> np.ndarray:
            inside.set()
            assert go_on.wait(SECONDS)
            return infer(frame_nhwc)

        monkeypatch.setattr(segmenter.backend, "_infer", wait_and_infer)
        (frame,) = images(1)
        with ThreadPoolExecutor(1) as pool:
            call = pool.submit(segmenter, frame)
            assert inside.wait(SECONDS)
            segmenter.close()
            assert segmenter.backend._session is not None  # it is being used
            go_on.set()
            assert call.result(SECONDS).valid
        assert segmenter.backend._session is None
        with pytest.raises(BackendError, match="is closed"):
            segmenter(frame)


def test_a_tile_whose_logits_others_have_overwritten_is_refused(segmenter: Segmenter) -> None:
    class Shared:
        """A mosaic, while whose sums are made others use the segmenter."""

        def add(self, *arguments: object) -> None:
            for frame in images(Segmenter.FRAMES_KEPT + 1):
                segmenter(frame)

    tile = _Tile(0, 0, (32, 48), segmenter.backend.new_input(), None)
    with pytest.raises(BackendError, match="what was inferred has been overwritten"):
        _add(segmenter, tile, Shared(), np.ones((1, 1), np.float32), TilingReport((32, 48), 1))  # type: ignore[arg-type]


def test_a_decoder_serves_eight_threads() -> None:
    random = np.random.default_rng(0)
    logits = [random.standard_normal((4, 12, 16), np.float32) for _ in range(THREADS)]
    expected = [decode(each, (90, 120)) for each in logits]
    decoder = Decoder(2)

    def wrong(number: int) -> int:
        classes, count = np.empty((90, 120), np.uint8), 0
        for _ in range(CALLS):
            decoder(logits[number], classes)
            count += not np.array_equal(classes, expected[number])
            decoder.close()
        return count

    assert side_by_side(wrong) == 0


def test_a_source_is_closed_once_its_reader_has_left() -> None:
    class Inner(Source):
        name, live = "inner", True

        def __init__(self) -> None:
            self.inside, self.asked, self.closed_inside = threading.Event(), threading.Event(), None

        def read(self) -> np.ndarray | None:
            self.inside.set()
            assert self.asked.wait(SECONDS)
            self.inside.clear()
            return None

        def interrupt(self) -> None:
            self.asked.set()

        def close(self) -> None:
            self.closed_inside = self.inside.is_set()

    inner = Inner()
    source = LiveSource("camera", lambda interruption: inner, LiveOptions(), Interruption())
    with ThreadPoolExecutor(1) as pool:
        frame = pool.submit(source.read)
        assert inner.inside.wait(SECONDS)
        source.close()
        assert frame.result(SECONDS) is None
    assert inner.closed_inside is False
    assert source.read() is None


def test_a_pipeline_runs_once(segmenter: Segmenter) -> None:
    class Empty(Source):
        name = "none"

        def read(self) -> np.ndarray | None:
            return None

        def close(self) -> None:
            pass

    pipeline = Pipeline(Empty(), segmenter)
    pipeline.run()
    with pytest.raises(UsageError, match="a pipeline runs once; make another for another run"):
        pipeline.run()
