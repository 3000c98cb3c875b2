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
from .bundle import Bundle
from .decode import decode, decode_margin, is_finite
from .errors import BackendError
from .labels import VOID, LabelMap
from .preprocess import Frame, Preprocessor
from .result import Segmentation


@dataclass(frozen=True)
class Inference:
    """A frame's logits on their way from :meth:`Segmenter.infer` to :meth:`Segmenter.decode`.

    Attributes:
        logits: float32 [C, h, w].
        frame_size_hw: height and width of the frame in pixels.
        frame_id: the frame's running number.
        captured_at: ``time.monotonic()`` in seconds when the frame was captured.
        timings_ms: milliseconds of ``preprocess`` and ``inference``.
    """

    logits: npt.NDArray[np.float32]
    frame_size_hw: tuple[int, int]
    frame_id: int
    captured_at: float
    timings_ms: Mapping[str, float]


class Segmenter:
    """Segments frames of any size with one variant of a bundle.

    Example:
        >>> with Segmenter("bundle/lraspp") as seg:  # doctest: +SKIP
        ...     result = seg(frame_bgr)  # result.classes: uint8 [H, W], the frame's own size

    Args:
        bundle: the bundle's folder, or the bundle.
        variant: which precision; the bundle's default where None.
        backend: a registered backend's name.
        device: what the backend runs on.
        threads: CPU threads for one frame; the backend's own choice where None.

    Raises:
        BundleError: the bundle is missing, altered or unknown in form, or has no such variant.
        BackendError: the backend or device is unknown or absent, or cannot load the graph.
    """

    def __init__(
        self,
        bundle: str | Path | Bundle,
        variant: str | None = None,
        backend: str = "onnxruntime",
        device: str = "cpu",
        threads: int | None = None,
    ) -> None:
        self.bundle = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)
        self.variant = self.bundle.variant(variant)
        size_hw = self.bundle.input_size_hw
        self.backend = backend_class(backend)(self.variant, size_hw, device, threads)
        self._preprocess = Preprocessor(size_hw)
        self._next_id = 0

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
        return self.decode(self.infer(frame_bgr, captured_at, frame_id), margin)

    def infer(
        self, frame_bgr: Frame, captured_at: float | None = None, frame_id: int | None = None
    ) -> Inference:
        """The first half: resizes the frame and runs the network. One thread at a time.

        Args and errors are those of :meth:`__call__`.
        """
        start = time.monotonic()
        frame_nhwc = self._preprocess(frame_bgr)
        resized = time.monotonic()
        logits = self.backend.infer(frame_nhwc)[0]  # [C, h, w]
        inferred = time.monotonic()
        if logits.shape != (len(self.labels), *self.bundle.output_size_hw):
            raise BackendError(
                f"the graph gave logits of shape {list(logits.shape)}, but {self.bundle.path} promises"
                f" {[len(self.labels), *self.bundle.output_size_hw]}; export the bundle again"
            )
        if frame_id is None:
            frame_id, self._next_id = self._next_id, self._next_id + 1
        return Inference(
            logits=logits,
            frame_size_hw=(frame_bgr.shape[0], frame_bgr.shape[1]),
            frame_id=frame_id,
            captured_at=start if captured_at is None else captured_at,
            timings_ms={"preprocess": (resized - start) * 1e3, "inference": (inferred - resized) * 1e3},
        )

    def decode(self, inference: Inference, margin: bool = False) -> Segmentation:
        """The second half: from logits to the class map. May run in another thread than :meth:`infer`.

        Logits that are not finite give a result that is not valid, all void, with the reason ``not-finite``.
        """
        start = time.monotonic()
        size_hw = inference.frame_size_hw
        valid = is_finite(inference.logits)
        margins = None
        if valid:
            classes = decode(inference.logits, size_hw)
            margins = decode_margin(inference.logits, size_hw) if margin else None
        else:
            classes = np.full(size_hw, VOID, np.uint8)
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
