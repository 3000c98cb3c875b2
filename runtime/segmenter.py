"""The segmenter, which makes the class map of a frame."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ..core.arrays import Frame
from ..core.callbacks import OnMessage
from ..core.errors import BackendError, DataError, EdgesegError
from ..core.labels import VOID, LabelMap
from .backends import AUTO, backend_class
from .bundle import Bundle
from .clock import CLOCK_SLACK_SECONDS, now
from .cpu import Threads
from .decode import Decoder
from .forks import Owned, stays_with_this_process
from .preprocess import resize_into
from .recycle import ArrayPool
from .result import Segmentation
from .steps import Inference, PreparedFrame


class Segmenter:
    """Segments frames of any size with one variant of a bundle.

    Example:
        >>> with Segmenter("bundle/lraspp") as seg:  # doctest: +SKIP
        ...     result = seg(frame_bgr)  # result.classes: uint8 [H, W], the frame's own size

    A call has three steps, which a pipeline runs in one thread each: :meth:`prepare`, :meth:`infer`, :meth:`decode`.
    After a few frames it allocates nothing: it resizes into memory that the backend reads, and writes results into
    the memory of earlier ones that nothing refers to any more.

    Threads: any thread may call a segmenter, and :meth:`close` it. It segments one frame after another; other callers
    wait. Results belong to the caller. Each step also lets one thread in at a time. But callers of single steps share
    memory: a frame that later ones have overwritten is refused.

    Processes: it belongs to the process that opened it. In a forked child :meth:`close` does nothing, and a call
    raises BackendError. Fork before you open it, or start processes with ``spawn``.

    Attributes:
        bundle: the bundle.
        variant: the variant that runs.
        backend: the backend that runs it.
        FRAMES_KEPT: the number of prepared frames that are kept if :meth:`keep_frames` did not ask for more.

    Args:
        bundle: the bundle's folder, or the bundle.
        variant: the variant's name; if None, the bundle's default, or the first variant made for the device.
        backend: a registered backend's name, or ``auto`` for the fastest one here with correct class maps.
        device: the backend's device; None for the backend's own choice.
        threads: CPU threads for one frame: a number, or different numbers for inference and decode; if None, the
            backend's own choice for inference, and one for the decode.
        on_message: called with a line of text before slow work, such as building an engine.

    Raises:
        BundleError: the bundle is missing, altered or of an unknown form, or has no such variant.
        BackendError: the backend or device is unknown or absent, or cannot load the graph.
    """

    # In a pipeline, one is in preparation, one waits and one is in inference; one is spare.
    FRAMES_KEPT: ClassVar[int] = 4

    def __init__(
        self,
        bundle: str | Path | Bundle,
        variant: str | None = None,
        backend: str = "onnxruntime",
        device: str | None = None,
        threads: int | Threads | None = None,
        on_message: OnMessage = lambda line: None,
    ) -> None:
        self.bundle = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)
        threads = threads if isinstance(threads, Threads) else Threads(threads)
        self._threads, self._on_message = threads, on_message
        if backend == AUTO:
            from .backends.auto.choose import choose  # it is much code, and seldom used

            chosen = choose(self.bundle, variant, device, threads.inference, on_message)
            backend, device, variant = chosen.backend, chosen.device, chosen.variant.name
        runs = backend_class(backend)
        device = device or runs.default_device
        self.variant = (
            runs.default_variant(self.bundle, device) if variant is None else self.bundle.variant(variant)
        )
        stays_with_this_process(self, _IN_A_CHILD)
        size_hw = self.bundle.input_size_hw
        self._next_id = self._prepared = self._inferred = 0
        self._calling, self._preparing = threading.Lock(), threading.Lock()
        self._inferring, self._decoding = threading.Lock(), threading.Lock()
        self._decoder = Decoder(threads.decode or threads.inference or 1)
        self._class_maps, self._margins = ArrayPool(), ArrayPool()
        self.backend = runs(self.variant, size_hw, device, threads.inference, on_message)
        if self.backend.logits_chw is not None:
            try:
                self._check_logits(self.backend.logits_chw)
            except BackendError:
                self.backend.close()
                raise
        self._frames_kept = 0
        self.keep_frames(self.FRAMES_KEPT)
        self._batches: dict[int, npt.NDArray[np.uint8]] = {}

    @property
    def labels(self) -> LabelMap:
        """The classes, in order of their ids."""
        return self.bundle.labels

    def __call__(
        self,
        frame_bgr: Frame,
        captured_at: float | None = None,
        frame_id: int | None = None,
        margin: bool = False,
    ) -> Segmentation:
        """Segments one frame. Any thread may call it; it segments one frame after another.

        Args:
            frame_bgr: uint8 [H, W, 3], any size.
            captured_at: ``edgeseg.now()`` in seconds when it was captured; None for now. With ``time.monotonic()`` the
                result looks too old if the machine has slept; ``time.time()`` is refused.
            frame_id: the source's number of the frame; if None, counted from 0.
            margin: True to compute each pixel's margin too, which takes a few times as long as the class map.

        Raises:
            DataError: the frame is not such an array, or was captured later than now.
            BackendError: inference failed.
        """
        with self._calling:
            return self.decode(
                self.infer(self.prepare(frame_bgr, captured_at, frame_id), logits=margin), margin
            )

    def prepare(
        self, frame_bgr: Frame, captured_at: float | None = None, frame_id: int | None = None
    ) -> PreparedFrame:
        """Resizes a frame into memory that the backend reads: the first step.

        Args:
            frame_bgr, captured_at, frame_id: as for :meth:`__call__`.

        Raises:
            DataError: as for :meth:`__call__`.
        """
        start = now()
        if captured_at is not None and not captured_at - start <= CLOCK_SLACK_SECONDS:
            raise DataError(
                f"a frame was captured at {captured_at:.3f}, and it is {start:.3f} now; captured_at is a moment of"
                " edgeseg.now()"
            )
        with self._preparing:
            number, frame_nhwc = self._prepared, next(self._inputs)
            self._prepared += 1
            resize_into(frame_bgr, frame_nhwc[0])
            if frame_id is None:
                frame_id, self._next_id = self._next_id, self._next_id + 1
        return PreparedFrame(
            frame_nhwc,
            frame_size_hw=(frame_bgr.shape[0], frame_bgr.shape[1]),
            frame_id=frame_id,
            captured_at=start if captured_at is None else captured_at,
            preprocess_ms=(now() - start) * 1e3,
            number=number,
        )

    def infer(self, prepared: PreparedFrame, logits: bool = False) -> Inference:
        """Runs the network: the second step.

        If the backend decodes to exactly the frame's size, only the class map leaves the device.

        Args:
            prepared: a prepared frame.
            logits: True to return the logits even if the backend decodes.

        Raises:
            BackendError: inference failed, or later frames have overwritten the prepared one.
        """
        return self.infer_batch([prepared], logits)[0]

    def infer_batch(self, prepared: Sequence[PreparedFrame], logits: bool = False) -> list[Inference]:
        """Runs the network on several frames at once, of one source or of many. Otherwise like :meth:`infer`.

        Args:
            prepared: prepared frames, at most as many as are kept.
            logits: True to return the logits even if the backend decodes.
        """
        with self._inferring:
            return self._infer(prepared, logits)

    def _infer(self, prepared: Sequence[PreparedFrame], logits: bool) -> list[Inference]:
        start = now()
        number, self._inferred = self._inferred, self._inferred + 1
        frames_nhwc = self._together(prepared)
        sizes_hw = {frame.frame_size_hw for frame in prepared}
        all_logits = maps = None
        if sizes_hw == {self.backend.classes_size_hw}:
            maps = self.backend.infer_classes(frames_nhwc, logits)
            all_logits = maps.logits
        else:
            all_logits = self.backend.infer(frames_nhwc)
        for frame in prepared:
            if frame.number is not None and self._prepared - frame.number > self._frames_kept:
                raise _overwritten("a prepared frame", self._frames_kept, "infer", "keep_frames() keeps more")
        inference_ms = (now() - start) * 1e3
        if all_logits is not None:
            self._check_logits(all_logits.shape[1:])
        return [
            Inference(
                logits=None if all_logits is None else all_logits[place],
                frame_size_hw=frame.frame_size_hw,
                frame_id=frame.frame_id,
                captured_at=frame.captured_at,
                timings_ms={"preprocess": frame.preprocess_ms, "inference": inference_ms},
                classes=None if maps is None else maps.classes[place],
                finite=None if maps is None else bool(maps.finite[place]),
                number=number,
            )
            for place, frame in enumerate(prepared)
        ]

    def decode(self, inference: Inference, margin: bool = False) -> Segmentation:
        """Makes the class map from the logits: the third step.

        Logits that are not finite give a result that is not valid, all void, with the reason ``not-finite``.

        Raises:
            BackendError: a margin is asked for, but the frame was inferred without ``logits``; or later frames have
                overwritten the logits.
        """
        with self._decoding:
            return self._decode(inference, margin)

    def _decode(self, inference: Inference, margin: bool) -> Segmentation:
        start = now()
        size_hw, logits = inference.frame_size_hw, inference.logits
        if logits is None and (margin or inference.classes is None):
            raise BackendError("a margin needs the logits; ask for them: infer(prepared, logits=True)")
        classes = self._class_maps.take(size_hw, np.uint8)
        margins = None
        if inference.classes is not None:
            valid = bool(inference.finite)
            np.copyto(classes, inference.classes)  # the result outlives the backend's memory
        else:
            assert logits is not None
            valid = self._decoder(logits, classes)
        if not valid:
            classes.fill(VOID)
        elif margin and logits is not None:
            margins = self._margins.take(size_hw, np.float32)
            self._decoder.margin(logits, margins)
        self.check_kept(inference)
        return Segmentation(
            classes=classes,
            frame_id=inference.frame_id,
            captured_at=inference.captured_at,
            valid=valid,
            reason="" if valid else "not-finite",
            timings_ms={**inference.timings_ms, "decode": (now() - start) * 1e3},
            margin=margins,
        )

    def check_kept(self, inference: Inference) -> None:
        """Checks that the arrays of an inference still belong to its frame.

        Raises:
            BackendError: later frames, of any thread, have overwritten them.
        """
        kept = self.backend.RESULTS_KEPT
        if inference.number is not None and self._inferred - inference.number > kept:
            raise _overwritten("what was inferred", kept, "decode", "copy what is to be kept longer")

    def keep_frames(self, count: int) -> None:
        """Keeps at least ``count`` prepared frames, for batches and for more threads."""
        with self._preparing:
            if count > self._frames_kept:
                self._frames_kept = count
                self._inputs = itertools.cycle([self.backend.new_input() for _ in range(count)])

    def again(self, variant: str | None = None) -> Segmenter:
        """Opens another segmenter like this one, on the same backend and device.

        Args:
            variant: another variant of the bundle; None for this segmenter's.

        Raises:
            BackendError, BundleError: as for this class.
        """
        backend = self.backend
        return Segmenter(
            self.bundle,
            variant or self.variant.name,
            backend.name,
            backend.device,
            self._threads,
            self._on_message,
        )

    def warmup(self) -> None:
        """Runs the network once, so that the first frame is not delayed by work that is done only once."""
        self.backend.warmup()

    def close(self) -> None:
        """Frees the backend's memory. Any thread may call it; a frame in progress then succeeds or fails."""
        self._decoder.close()
        self.backend.close()

    def __enter__(self) -> Segmenter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _together(self, prepared: Sequence[PreparedFrame]) -> npt.NDArray[np.uint8]:
        """Returns all frames in one array, [N, h, w, 3]. A single frame is not copied."""
        count = len(prepared)
        if count == 1:
            return prepared[0].frame_nhwc
        if count not in self._batches:
            self._batches[count] = self.backend.new_input(count)
        return np.concatenate([frame.frame_nhwc for frame in prepared], out=self._batches[count])

    def _check_logits(self, shape: tuple[int, ...]) -> None:
        promised = (len(self.labels), *self.bundle.output_size_hw)
        if shape != promised:
            raise BackendError(
                f"the graph gave logits of shape {list(shape)}, but {self.bundle.path} promises"
                f" {list(promised)}; export the bundle again"
            )


def _overwritten(what: str, kept: int, step: str, more: str) -> BackendError:
    return BackendError(
        f"{what} has been overwritten by later ones: {kept} are kept. {step.capitalize()} each before so many more,"
        f" or {more}"
    )


def _unlock(segmenter: Segmenter, error: EdgesegError) -> None:
    """Replaces the locks in a forked child, because threads that do not exist there may hold them."""
    segmenter._calling, segmenter._preparing = threading.Lock(), threading.Lock()
    segmenter._inferring, segmenter._decoding = threading.Lock(), threading.Lock()


_IN_A_CHILD = Owned(
    "the segmenter",
    BackendError,
    refuses=("prepare", "infer", "infer_batch", "decode", "keep_frames", "warmup"),
    ignores=(),
    in_child=_unlock,
)
