"""The segmenter: a frame in, its class map out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

from .backends import backend_class
from .backends.base import Say
from .bundle import Bundle
from .decode import decode, decode_margin, is_finite
from .errors import BackendError
from .labels import VOID, LabelMap
from .preprocess import Frame, Preprocessor
from .result import Segmentation


@dataclass(frozen=True)
class Inference:
    """What a frame has become on its way from :meth:`Segmenter.infer` to :meth:`Segmenter.decode`.

    The arrays may lie in the backend's own memory, which a later frame overwrites: decode, or copy.

    Attributes:
        logits: float32 [C, h, w]; None where the backend decoded and they were not asked for.
        frame_size_hw: height and width of the frame in pixels.
        frame_id: the frame's running number.
        captured_at: ``time.monotonic()`` in seconds when the frame was captured.
        timings_ms: milliseconds of ``preprocess`` and ``inference``.
        classes: uint8 [H, W], where the backend decoded to the frame's size; else None.
        finite: whether all logits are, where the backend decoded; else None, and the logits tell.
    """

    logits: npt.NDArray[np.float32] | None
    frame_size_hw: tuple[int, int]
    frame_id: int
    captured_at: float
    timings_ms: Mapping[str, float]
    classes: npt.NDArray[np.uint8] | None = None
    finite: bool | None = None


class Segmenter:
    """Segments frames of any size with one variant of a bundle.

    Example:
        >>> with Segmenter("bundle/lraspp") as seg:  # doctest: +SKIP
        ...     result = seg(frame_bgr)  # result.classes: uint8 [H, W], the frame's own size

    Args:
        bundle: the bundle's folder, or the bundle.
        variant: which precision; where None the bundle's default, or the first that is made for the device.
        backend: a registered backend's name.
        device: what the backend runs on; the backend's own choice where None.
        threads: CPU threads for one frame; the backend's own choice where None.
        say: is told what takes long, such as building an engine.

    Raises:
        BundleError: the bundle is missing, altered or unknown in form, or has no such variant.
        BackendError: the backend or device is unknown or absent, or cannot load the graph.
    """

    def __init__(
        self,
        bundle: str | Path | Bundle,
        variant: str | None = None,
        backend: str = "onnxruntime",
        device: str | None = None,
        threads: int | None = None,
        say: Say = lambda line: None,
    ) -> None:
        self.bundle = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)
        runs = backend_class(backend)
        device = device or runs.default_device
        self.variant = (
            self.bundle.variant_for(runs.targets(device)) if variant is None else self.bundle.variant(variant)
        )
        size_hw = self.bundle.input_size_hw
        self._preprocess = Preprocessor(size_hw)
        self._next_id = 0
        self.backend = runs(self.variant, size_hw, device, threads, say)
        if self.backend.logits_chw is not None:
            try:
                self._check_logits(self.backend.logits_chw)
            except BackendError:
                self.backend.close()
                raise

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
        """Segments one frame.

        Args:
            frame_bgr: uint8 [H, W, 3], any size.
            captured_at: ``time.monotonic()`` when it was captured; now where None.
            frame_id: the source's number of the frame; counted from 0 where None.
            margin: also give each pixel's margin, which costs as much as a naive decode.

        Raises:
            DataError: the frame is no such array.
            BackendError: inference failed.
        """
        return self.decode(self.infer(frame_bgr, captured_at, frame_id, logits=margin), margin)

    def infer(
        self,
        frame_bgr: Frame,
        captured_at: float | None = None,
        frame_id: int | None = None,
        logits: bool = False,
    ) -> Inference:
        """The first half: resizes the frame and runs the network. One thread at a time.

        Where the backend decodes to just the frame's size, only the class map leaves the device.

        Args:
            frame_bgr, captured_at, frame_id: as for :meth:`__call__`, and so are the errors.
            logits: give them even where the backend decodes.
        """
        start = time.monotonic()
        frame_nhwc = self._preprocess(frame_bgr)
        resized = time.monotonic()
        frame_size_hw = frame_bgr.shape[0], frame_bgr.shape[1]
        logits_chw = classes = finite = None
        if self.backend.classes_size_hw == frame_size_hw:
            maps = self.backend.infer_classes(frame_nhwc, logits)
            classes, finite = maps.classes[0], bool(maps.finite[0])
            logits_chw = None if maps.logits is None else maps.logits[0]
        else:
            logits_chw = self.backend.infer(frame_nhwc)[0]
        inferred = time.monotonic()
        if logits_chw is not None:
            self._check_logits(logits_chw.shape)
        if frame_id is None:
            frame_id, self._next_id = self._next_id, self._next_id + 1
        return Inference(
            logits=logits_chw,
            frame_size_hw=frame_size_hw,
            frame_id=frame_id,
            captured_at=start if captured_at is None else captured_at,
            timings_ms={"preprocess": (resized - start) * 1e3, "inference": (inferred - resized) * 1e3},
            classes=classes,
            finite=finite,
        )

    def decode(self, inference: Inference, margin: bool = False) -> Segmentation:
        """The second half: from logits to the class map. May run in another thread than :meth:`infer`.

        Logits that are not finite give a result that is not valid, all void, with the reason ``not-finite``.

        Raises:
            BackendError: a margin is asked for, and the logits were not when the frame was inferred.
        """
        start = time.monotonic()
        size_hw, logits = inference.frame_size_hw, inference.logits
        if logits is None and (margin or inference.classes is None):
            raise BackendError("a margin needs the logits; ask for them: infer(frame, logits=True)")
        valid = (
            is_finite(logits) if inference.finite is None and logits is not None else bool(inference.finite)
        )
        margins = None
        if not valid:
            classes = np.full(size_hw, VOID, np.uint8)
        elif inference.classes is not None:
            classes = inference.classes.copy()  # the result outlives the backend's memory
        else:
            assert logits is not None
            classes = decode(logits, size_hw)
        if valid and margin and logits is not None:
            margins = decode_margin(logits, size_hw)
        return Segmentation(
            classes=classes,
            frame_id=inference.frame_id,
            captured_at=inference.captured_at,
            valid=valid,
            reason="" if valid else "not-finite",
            timings_ms={**inference.timings_ms, "decode": (time.monotonic() - start) * 1e3},
            margin=margins,
        )

    def warmup(self) -> None:
        """Runs the network once, so that the first frame does not pay for what is done once."""
        self.backend.warmup()

    def close(self) -> None:
        """Lets the backend's memory go."""
        self.backend.close()

    def __enter__(self) -> Segmenter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_logits(self, shape: tuple[int, ...]) -> None:
        promised = (len(self.labels), *self.bundle.output_size_hw)
        if shape != promised:
            raise BackendError(
                f"the graph gave logits of shape {list(shape)}, but {self.bundle.path} promises"
                f" {list(promised)}; export the bundle again"
            )
