"""The contract of every inference backend."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ..bundle import Variant
from ..errors import BackendError


class Backend(ABC):
    """Runs one variant of a bundle on one device.

    A backend holds device memory from its construction until :meth:`close`, or the end of its ``with`` block.
    It serves one thread at a time.

    Attributes:
        name: of the backend.
        device: what it runs on.
        precision: of the variant: ``fp32``, ``fp16`` or ``int8``.

    Args:
        variant: what to run.
        input_size_hw: height and width of the graph's input.
        device: one of the devices that the backend knows.
        threads: CPU threads for one frame; the backend's own choice where None.

    Raises:
        BackendError: the device is unknown or absent, or the graph cannot be loaded.
    """

    name: ClassVar[str]

    def __init__(
        self,
        variant: Variant,
        input_size_hw: tuple[int, int],
        device: str = "cpu",
        threads: int | None = None,
    ) -> None:
        reason = self.why_unavailable(device)
        if reason:
            raise BackendError(reason)
        if threads is not None and threads < 1:
            raise BackendError(f"{self.name} was asked for {threads} threads; expected at least 1")
        self.device = device
        self.precision = variant.precision
        self._input_size_hw = input_size_hw
        self._closed = False

    @classmethod
    @abstractmethod
    def why_unavailable(cls, device: str) -> str:
        """Why the backend cannot run on a device here, and what to do; empty where it can."""

    def infer(self, frame_nhwc: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Runs the network.

        Args:
            frame_nhwc: uint8 [N, H, W, 3], BGR, at the graph's input size.

        Returns:
            Logits, float32 [N, C, h, w].

        Raises:
            BackendError: the frame has another shape or type, the backend is closed, or inference failed.
        """
        if self._closed:
            raise BackendError(f"{self.name} is closed; open the segmenter again to infer")
        expected = (*self._input_size_hw, 3)
        if frame_nhwc.dtype != np.uint8 or frame_nhwc.shape[1:] != expected:
            height, width = self._input_size_hw
            raise BackendError(
                f"{self.name} takes uint8 [N, {height}, {width}, 3];"
                f" got {frame_nhwc.dtype} {list(frame_nhwc.shape)}"
            )
        logits = self._infer(frame_nhwc)
        if logits.dtype != np.float32 or logits.ndim != 4 or len(logits) != len(frame_nhwc):
            raise BackendError(
                f"the graph gave {logits.dtype} {list(logits.shape)}; expected float32 logits [N, C, h, w]"
            )
        return logits

    def warmup(self) -> None:
        """Runs one black frame, so that the first real one does not pay for what is done once."""
        self.infer(np.zeros((1, *self._input_size_hw, 3), np.uint8))

    def close(self) -> None:
        """Lets the device memory go. Closing twice is harmless."""
        if not self._closed:
            self._closed = True
            self._close()

    def __enter__(self) -> Backend:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def _infer(self, frame_nhwc: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]: ...

    @abstractmethod
    def _close(self) -> None: ...
