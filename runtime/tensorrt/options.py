"""The options that an engine is built with."""

from __future__ import annotations

from dataclasses import dataclass

from ...core.errors import UsageError

MAX_OPTIMIZATION_LEVEL = 5


@dataclass(frozen=True)
class BuildOptions:
    """The options of an engine's build; every field is part of its identity.

    Attributes:
        batch: the smallest and the largest number of frames in one call; equal for a static batch.
        frame_size_hw: height and width of the camera's frames: the engine decodes to them, so that one byte a pixel
            leaves the GPU. If None it gives only logits, which are decoded on the host to frames of any size.
        dla_core: run on this DLA core, and on the GPU what DLA cannot run; only on the GPU if None.
        workspace_bytes: device memory that the layers may use for scratch; TensorRT's own choice if None.
        optimization_level: 0 (quick to build) to 5 (quick to run); TensorRT's own choice if None.
        portable: run on any desktop or data-centre GPU from Ampere on, not only on this kind, at some cost in speed.
            TensorRT's *version* compatibility is not offered: such an engine embeds host code, which the runtime
            refuses to load.
        compute_capabilities: build for GPUs of these, such as ``8.6``, even if none is present; only TensorRT for RTX
            can.

    Raises:
        UsageError: a value is one that no TensorRT accepts.
    """

    batch: tuple[int, int] = (1, 1)
    frame_size_hw: tuple[int, int] | None = None
    dla_core: int | None = None
    workspace_bytes: int | None = None
    optimization_level: int | None = None
    portable: bool = False
    compute_capabilities: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        smallest, largest = self.batch
        if not 1 <= smallest <= largest:
            raise UsageError(f"batch {smallest}..{largest}: expected 1 or more, the smaller one first")
        if self.frame_size_hw is not None and min(self.frame_size_hw) < 1:
            height, width = self.frame_size_hw
            raise UsageError(f"frame size {height}x{width}: expected a height and width of 1 pixel or more")
        if self.dla_core is not None and self.dla_core < 0:
            raise UsageError(f"DLA core {self.dla_core}: expected 0 or more")
        if self.workspace_bytes is not None and self.workspace_bytes < 1:
            raise UsageError(f"workspace of {self.workspace_bytes} bytes: expected 1 or more")
        level = self.optimization_level
        if level is not None and not 0 <= level <= MAX_OPTIMIZATION_LEVEL:
            raise UsageError(f"optimization level {level}: expected 0 to {MAX_OPTIMIZATION_LEVEL}")

    @property
    def static(self) -> bool:
        """True if every call takes the same number of frames."""
        return self.batch[0] == self.batch[1]
