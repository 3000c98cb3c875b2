"""The interface of every inference backend."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from types import TracebackType
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ...core.callbacks import OnMessage
from ...core.errors import BackendError
from ..bundle import Bundle, Variant
from ..forks import Owned, begins_to_use, stays_with_this_process, was_used_before_fork
from ..gate import Gate

_IN_A_CHILD = Owned(
    "the network",
    BackendError,
    refuses=("new_input",),
    ignores=(),
    in_child=lambda backend, error: backend._gate.bar(error),
)


@dataclass(frozen=True)
class ClassMaps:
    """The results of a backend that decodes on its device.

    Attributes:
        classes: uint8 [N, H, W], the class of each pixel; without meaning for a frame that is not ``finite``.
        finite: bool [N], True for each frame whose logits are all finite.
        logits: float32 [N, C, h, w], or None if they were not requested.
    """

    classes: npt.NDArray[np.uint8]
    finite: npt.NDArray[np.bool_]
    logits: npt.NDArray[np.float32] | None


class Backend(ABC):
    """Runs one variant of a bundle on one device.

    A backend holds device memory from its construction until :meth:`close`, or the end of its ``with`` block.

    Any thread may call :meth:`infer`, :meth:`infer_classes` and :meth:`close`. Frames are inferred one after another,
    and other callers wait meanwhile. Later frames, of any caller, overwrite the results; see :attr:`RESULTS_KEPT`.

    It belongs to the process that opened it. In a forked child :meth:`close` does nothing, and all else raises.

    Attributes:
        RESULTS_KEPT: the number of results that stay valid at once: a result is in the backend's own memory until this
            many more frames have been inferred. To keep it longer, copy it.
        name: of the backend.
        works_after_fork: True if it can be opened in a forked child whose parent has used it.
        default_device: the device it runs on if none is given.
        auto_devices: the devices that ``--backend auto`` tries it on, in this order.
        device: the device it runs on.
        precision: the format that numbers are rounded to: the variant's ``fp32``, ``fp16`` or ``int8``, or the device's
            if that is coarser, such as ``bf16``.
        classes_size_hw: height and width of the class maps of :meth:`infer_classes`; None if it has none.
        logits_chw: the shape of a frame's logits, if it is known before the first frame.

    Args:
        variant: the variant to run.
        input_size_hw: height and width of the graph's input.
        device: one of the devices that the backend knows.
        threads: CPU threads for one frame; the backend's own choice if None.
        on_message: called with a line about work that takes long, and about each difference from the request.

    Raises:
        BackendError: the device is unknown or absent, or the graph cannot be loaded.
    """

    RESULTS_KEPT: ClassVar[int] = 4  # in a pipeline one is decoded, one waits, one is inferred; one spare

    name: ClassVar[str]
    works_after_fork: ClassVar[bool] = False
    default_device: ClassVar[str] = "cpu"
    auto_devices: ClassVar[tuple[str, ...]] = ()
    classes_size_hw: tuple[int, int] | None = None
    logits_chw: tuple[int, int, int] | None = None

    def __init__(
        self,
        variant: Variant,
        input_size_hw: tuple[int, int],
        device: str = "cpu",
        threads: int | None = None,
        on_message: OnMessage = lambda line: None,
    ) -> None:
        if was_used_before_fork(self.name) and not self.works_after_fork:
            raise BackendError(
                f"{self.name} was in use before this process was forked, and hangs in the child; fork before it is"
                " used, or start processes with spawn"
            )
        begins_to_use(self.name)
        reason = self.why_unavailable(device)
        if reason:
            raise BackendError(reason)
        if threads is not None and threads < 1:
            raise BackendError(f"{self.name} was asked for {threads} threads; expected at least 1")
        self.device = device
        self.precision = variant.precision
        self._input_size_hw = input_size_hw
        self._gate = Gate(self._close)
        stays_with_this_process(self, _IN_A_CHILD)

    @classmethod
    @abstractmethod
    def why_unavailable(cls, device: str) -> str:
        """Returns the reason that the backend cannot run on a device here, and what to do; empty if it can."""

    @classmethod
    def targets(cls, device: str) -> tuple[str, ...]:
        """The targets of the variants that are made for a device; one of these runs if no variant is named."""
        return ("any",)

    @classmethod
    def default_variant(cls, bundle: Bundle, device: str) -> Variant:
        """The variant that runs on a device if none is named.

        Raises:
            BundleError: the bundle has none for it.
        """
        return bundle.variant_for(cls.targets(device))

    @classmethod
    def version(cls, device: str) -> str:
        """The version of the library and device, in one line; a change of it may change speed and rounding."""
        return ""

    def new_input(self, count: int = 1) -> npt.NDArray[np.uint8]:
        """Allocates memory for ``count`` frames, uint8 [count, H, W, 3], that :meth:`infer` reads without a copy.

        Any other array can be inferred too, possibly with a copy.
        """
        return np.zeros((count, *self._input_size_hw, 3), np.uint8)

    def infer(self, frame_nhwc: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Runs the network.

        Args:
            frame_nhwc: uint8 [N, H, W, 3], BGR, at the graph's input size.

        Returns:
            Logits, float32 [N, C, h, w].

        Raises:
            BackendError: the frame has another shape or type, the backend is closed, or inference failed.
        """
        with self._gate:
            self._check(frame_nhwc)
            logits = self._infer(frame_nhwc)
        if logits.dtype != np.float32 or logits.ndim != 4 or len(logits) != len(frame_nhwc):
            raise BackendError(
                f"the graph gave {logits.dtype} {list(logits.shape)}; expected float32 logits [N, C, h, w]"
            )
        return logits

    def infer_classes(self, frame_nhwc: npt.NDArray[np.uint8], logits: bool = False) -> ClassMaps:
        """Runs the network and decodes on the device; only for backends that have a ``classes_size_hw``.

        Args:
            frame_nhwc: uint8 [N, H, W, 3], BGR, at the graph's input size.
            logits: return them too.

        Raises:
            BackendError: as :meth:`infer`, or the backend does not decode.
        """
        with self._gate:
            self._check(frame_nhwc)
            if self.classes_size_hw is None:
                raise BackendError(f"{self.name} gives logits alone; decode them on the host")
            maps = self._infer_classes(frame_nhwc, logits)
        count = len(frame_nhwc)
        if maps.classes.dtype != np.uint8 or maps.classes.shape != (count, *self.classes_size_hw):
            raise BackendError(
                f"{self.name} gave {maps.classes.dtype} {list(maps.classes.shape)};"
                f" expected uint8 class maps {[count, *self.classes_size_hw]}"
            )
        return maps

    def warmup(self) -> None:
        """Runs one black frame, so that work done only once does not delay the first real frame."""
        frame_nhwc = np.zeros((1, *self._input_size_hw, 3), np.uint8)
        if self.classes_size_hw is None:
            self.infer(frame_nhwc)
        else:
            self.infer_classes(frame_nhwc)

    def close(self) -> None:
        """Frees the device memory, at once or when a running inference has ended; the call does not wait for it.

        Closing twice is harmless.
        """
        self._gate.shut()

    def __enter__(self) -> Backend:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check(self, frame_nhwc: npt.NDArray[np.uint8]) -> None:
        if self._gate.is_shut:
            raise BackendError(f"{self.name} is closed; open the segmenter again to infer")
        expected = (*self._input_size_hw, 3)
        if frame_nhwc.dtype != np.uint8 or frame_nhwc.shape[1:] != expected or not len(frame_nhwc):
            height, width = self._input_size_hw
            raise BackendError(
                f"{self.name} takes uint8 [N, {height}, {width}, 3];"
                f" got {frame_nhwc.dtype} {list(frame_nhwc.shape)}"
            )

    @abstractmethod
    def _infer(self, frame_nhwc: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]: ...

    def _infer_classes(self, frame_nhwc: npt.NDArray[np.uint8], logits: bool) -> ClassMaps:
        raise NotImplementedError

    @abstractmethod
    def _close(self) -> None: ...
