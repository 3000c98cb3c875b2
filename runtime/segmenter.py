"""The segmenter: a frame in, its class map out."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ..core.errors import BackendError, DataError, EdgesegError
from ..core.labels import VOID, LabelMap
from .backends import AUTO, backend_class
from .backends.base import Say
from .bundle import Bundle
from .clock import CLOCK_SLACK_SECONDS, now
from .decode import Decoder
from .forks import Owned, stays_with_this_process
from .preprocess import Frame, resize_into
from .recycle import ArrayPool
from .result import Segmentation
from .steps import Inference, Prepared


class Segmenter:
    """Segments frames of any size with one variant of a bundle.

    Example:
        >>> with Segmenter("bundle/lraspp") as seg:  # doctest: +SKIP
        ...     result = seg(frame_bgr)  # result.classes: uint8 [H, W], the frame's own size

    A call is three steps, which a pipeline runs in a thread each: :meth:`prepare`, :meth:`infer` and :meth:`decode`.
    Once it has seen a few frames it allocates nothing: it resizes into memory that the backend reads, and results are
    written where earlier ones were that nobody holds any more.

    Threads: any may call a segmenter, and :meth:`close` it. One frame is segmented after another; whoever comes
    meanwhile waits. Results are the caller's own. Each of the steps, too, lets one thread at a time in. But who takes
    the steps apart shares memory with all others that do: a frame that later ones have overwritten is refused.

    Processes: it belongs to the one that opened it. In a forked child :meth:`close` does nothing, and a call raises
    BackendError. Fork before it is opened, or start processes with ``spawn``.

    Attributes:
        FRAMES_KEPT: how many prepared frames stay as they are, where :meth:`keep_frames` asked for no more.

    Args:
        bundle: the bundle's folder, or the bundle.
        variant: which precision; where None the bundle's default, or the first that is made for the device.
        backend: a registered backend's name, or ``auto`` for the fastest here that gives the right masks.
        device: what the backend runs on; the backend's own choice where None.
        threads: CPU threads for one frame, in inference and decode; where None the backend's own choice, and one.
        say: is told what takes long, such as building an engine.
        decode_threads: for the decode alone, which in a pipeline has no more CPUs than inference leaves; as
            ``threads`` where None.

    Raises:
        BundleError: the bundle is missing, altered or unknown in form, or has no such variant.
        BackendError: the backend or device is unknown or absent, or cannot load the graph.
    """

    FRAMES_KEPT: ClassVar[int] = (
        4  # one each being prepared, waiting, and being inferred, as in a pipeline; one spare
    )

    def __init__(
        self,
        bundle: str | Path | Bundle,
        variant: str | None = None,
        backend: str = "onnxruntime",
        device: str | None = None,
        threads: int | None = None,
        say: Say = lambda line: None,
        decode_threads: int | None = None,
    ) -> None:
        self.bundle = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)
        self._threads, self._say, self._decode_threads = threads, say, decode_threads
        if backend == AUTO:
            from .backends.auto.choose import choose  # it is much code, and seldom wanted

            chosen = choose(self.bundle, variant, device, threads, say)
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
        self._decoder = Decoder(decode_threads or threads or 1)
        self._class_maps, self._margins = ArrayPool(), ArrayPool()
        self.backend = runs(self.variant, size_hw, device, threads, say)
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
        """Segments one frame. Any thread may call it; one frame is segmented after another.

        Args:
            frame_bgr: uint8 [H, W, 3], any size.
            captured_at: ``edgeseg.now()`` when it was captured; now where None. A moment of ``time.monotonic()`` makes
                the result look older than it is where the machine has slept; one of ``time.time()`` is refused.
            frame_id: the source's number of the frame; counted from 0 where None.
            margin: also give each pixel's margin, which takes a few times as long as the class map.

        Raises:
            DataError: the frame is no such array, or was captured later than now.
            BackendError: inference failed.
        """
        with self._calling:
            return self.decode(
                self.infer(self.prepare(frame_bgr, captured_at, frame_id), logits=margin), margin
            )

    def prepare(
        self, frame_bgr: Frame, captured_at: float | None = None, frame_id: int | None = None
    ) -> Prepared:
        """The first step: resizes a frame into memory that the backend reads.

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
        return Prepared(
            frame_nhwc,
            frame_size_hw=(frame_bgr.shape[0], frame_bgr.shape[1]),
            frame_id=frame_id,
            captured_at=start if captured_at is None else captured_at,
            preprocess_ms=(now() - start) * 1e3,
            number=number,
        )

    def infer(self, prepared: Prepared, logits: bool = False) -> Inference:
        """The second step: runs the network.

        Where the backend decodes to just the frame's size, only the class map leaves the device.

        Args:
            prepared: a frame.
            logits: give them even where the backend decodes.

        Raises:
            BackendError: inference failed, or later frames have overwritten the prepared one.
        """
        return self.infer_batch([prepared], logits)[0]

    def infer_batch(self, prepared: Sequence[Prepared], logits: bool = False) -> list[Inference]:
        """Runs the network on several frames at once, of one source or of many. Otherwise as :meth:`infer`.

        Args:
            prepared: frames, no more than are kept.
            logits: give them even where the backend decodes.
        """
        with self._inferring:
            return self._infer(prepared, logits)

    def _infer(self, prepared: Sequence[Prepared], logits: bool) -> list[Inference]:
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
        """The third step: from logits to the class map.

        Logits that are not finite give a result that is not valid, all void, with the reason ``not-finite``.

        Raises:
            BackendError: a margin is asked for, and the logits were not when the frame was inferred; or later frames
                have overwritten the logits.
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
        """Checks that the arrays that were just read are still those of their frame.

        Raises:
            BackendError: later frames, of any thread's, have overwritten them.
        """
        kept = self.backend.RESULTS_KEPT
        if inference.number is not None and self._inferred - inference.number > kept:
            raise _overwritten("what was inferred", kept, "decode", "copy what is to be kept longer")

    def keep_frames(self, count: int) -> None:
        """Lets at least so many prepared frames stay as they are, for batches and for more threads."""
        with self._preparing:
            if count > self._frames_kept:
                self._frames_kept = count
                self._inputs = itertools.cycle([self.backend.new_input() for _ in range(count)])

    def again(self, variant: str | None = None) -> Segmenter:
        """Opens another like this one, on the same backend and device.

        Args:
            variant: another precision of the bundle; this one's where None.

        Raises:
            BackendError, BundleError: as when this one was opened.
        """
        backend = self.backend
        return Segmenter(
            self.bundle,
            variant or self.variant.name,
            backend.name,
            backend.device,
            self._threads,
            self._say,
            self._decode_threads,
        )

    def warmup(self) -> None:
        """Runs the network once, so that the first frame does not pay for what is done once."""
        self.backend.warmup()

    def close(self) -> None:
        """Lets the backend's memory go. Any thread may call it: a frame that is under way ends well, or fails."""
        self._decoder.close()
        self.backend.close()

    def __enter__(self) -> Segmenter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _together(self, prepared: Sequence[Prepared]) -> npt.NDArray[np.uint8]:
        """One array of all frames, [N, h, w, 3]; a single one where it lies."""
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
    """In a forked child: threads that are not there may hold the locks."""
    segmenter._calling, segmenter._preparing = threading.Lock(), threading.Lock()
    segmenter._inferring, segmenter._decoding = threading.Lock(), threading.Lock()


_IN_A_CHILD = Owned(
    "the segmenter",
    BackendError,
    refuses=("prepare", "infer", "infer_batch", "decode", "keep_frames", "warmup"),
    ignores=(),
    in_child=_unlock,
)
