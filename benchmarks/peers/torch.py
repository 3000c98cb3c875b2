"""PyTorch on the CPU, as in its tuning guide: channels last, inference mode, bfloat16, and compiled."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import cv2
import numpy as np
import numpy.typing as npt

from ...core.arrays import ClassMap, Frame
from .base import Peer, Setting

if TYPE_CHECKING:
    from torch import Tensor


class Eager(Peer):
    """The checkpoint without changes."""

    does = "eager, channels last, logits upsampled to the frame, argmax"
    modules = ("torch", "safetensors")
    precision = "fp32"
    compiled: ClassVar[bool] = False

    def __init__(self, name: str, setting: Setting) -> None:
        super().__init__(name, setting)
        import torch

        from ...models.base import upsample_to
        from ...models.checkpoint import load_checkpoint

        torch.set_num_threads(setting.threads)
        network = load_checkpoint(Path(setting.checkpoint)).build().requires_grad_(False)
        network = network.to(memory_format=torch.channels_last)
        half = self.precision == "bf16"
        mean = torch.tensor(setting.mean_rgb).view(1, 3, 1, 1)
        std = torch.tensor(setting.std_rgb).view(1, 3, 1, 1)

        def normalized(image_rgb: Tensor) -> Tensor:
            # For an image [1, h, w, 3] this is a view in channels last, without a copy.
            return (image_rgb.permute(0, 3, 1, 2).float() / 255 - mean) / std  # [1, 3, h, w]

        def coarse(image: Tensor) -> Tensor:
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                return network.coarse(image).float()

        def classes(image_rgb: Tensor) -> Tensor:
            return upsample_to(coarse(normalized(image_rgb)), setting.frame_size_hw)[0].argmax(0).byte()

        self._torch, self._normalized = torch, normalized
        self._coarse: Any = coarse
        self._classes: Any = classes
        if self.compiled:
            _prepare_compiler(torch)
            self._coarse, self._classes = torch.compile(coarse), torch.compile(classes)
        self.limit = f"{'torch.compile' if self.compiled else 'torch'} {self.precision}"

    @classmethod
    def why_unavailable(cls, name: str) -> str:
        """Also returns a missing C++ compiler as the reason, because ``torch.compile`` needs one on the CPU."""
        missing = super().why_unavailable(name)
        if missing or not cls.compiled:
            return missing
        compiler = os.environ.get("CXX", "g++")
        return (
            ""
            if shutil.which(compiler)
            else f"torch.compile needs a C++ compiler, and there is no {compiler}"
        )

    def __call__(self, frame_bgr: Frame) -> ClassMap:
        image_bgr = cv2.resize(frame_bgr, self.setting.input_size_hw[::-1], interpolation=cv2.INTER_LINEAR)
        with self._torch.inference_mode():
            classes: ClassMap = self._classes(self._image(image_bgr)).numpy()
        return classes

    def _image(self, image_bgr: npt.NDArray[Any]) -> Tensor:
        image: Tensor = self._torch.from_numpy(cv2.cvtColor(image_bgr, cv2.COLOR_BGR2RGB)[None])
        return image

    def _bare(self, image_bgr: npt.NDArray[Any]) -> Callable[[], object]:
        image = self._normalized(self._image(np.ascontiguousarray(image_bgr)))

        def run() -> object:
            with self._torch.inference_mode():
                return self._coarse(image)

        return run


class EagerBfloat16(Eager):
    """The checkpoint with autocast to bfloat16, on processors that compute in it."""

    does = "eager, channels last, autocast to bfloat16, logits upsampled to the frame, argmax"
    precision = "bf16"

    @classmethod
    def why_unavailable(cls, name: str) -> str:
        """Also returns a processor that does not compute in bfloat16 as the reason."""
        return super().why_unavailable(name) or _why_no_bfloat16()


class Compiled(Eager):
    """Normalization, network, upsampling and argmax, compiled together with frozen weights."""

    does = "torch.compile from bytes to classes, weights frozen"
    compiled = True


class CompiledBfloat16(EagerBfloat16):
    """The compiled form with autocast to bfloat16."""

    does = "torch.compile from bytes to classes, weights frozen, autocast to bfloat16"
    compiled = True


def _prepare_compiler(torch: Any) -> None:
    import torch._inductor.config as inductor

    inductor.freezing = True  # type: ignore[assignment,unused-ignore]


def _why_no_bfloat16() -> str:
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return "/proc/cpuinfo does not tell whether this processor computes in bfloat16"
    names = ("avx512_bf16", "amx_bf16", "bf16")
    return "" if any(f" {name}" in flags for name in names) else "this processor does not compute in bfloat16"
