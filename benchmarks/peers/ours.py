"""The contender edgeseg, on each of its backends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ...core.arrays import ClassMap, Frame
from ...core.errors import EdgesegError
from ...runtime.backends import backend_class
from ...runtime.segmenter import Segmenter
from .base import Peer, Setting

SPIN = "-spin"
_SUFFIXES = ("-f32", SPIN)
"""Endings of a device's name: float32 even if it would choose a lower precision; threads that wait actively."""


class EdgesegPeer(Peer):
    """The segmenter as its users call it; the second part of the name is the backend."""

    does = "bytes resized into the network's input, coarse logits out, exact decode"

    def __init__(self, name: str, setting: Setting) -> None:
        super().__init__(name, setting)
        backend, device = place(name)
        self._segmenter = Segmenter(setting.bundle, setting.variant, backend, device, setting.threads)
        self.precision = self._segmenter.backend.precision
        spinning = "spinning " if device.endswith(SPIN) else ""
        self.limit = f"{backend} {spinning}{self.precision}"

    @classmethod
    def why_unavailable(cls, name: str) -> str:
        """Returns the reason why the backend cannot run here; empty if it can."""
        try:
            backend, device = place(name)
            return backend_class(backend).why_unavailable(device)
        except EdgesegError as error:
            return str(error)

    def __call__(self, frame_bgr: Frame) -> ClassMap:
        return self._segmenter(frame_bgr).classes

    def _bare(self, image_bgr: npt.NDArray[Any]) -> Callable[[], object]:
        frame_nhwc = np.ascontiguousarray(image_bgr)[None]
        return lambda: self._segmenter.backend.infer(frame_nhwc)


def place(name: str) -> tuple[str, str]:
    """Returns backend and device of one of our contenders: ``edgeseg-openvino-f32`` -> ``openvino``, ``cpu-f32``.

    Raises:
        BackendError: there is no such backend.
    """
    backend = name.partition("-")[2]
    suffix = next((suffix for suffix in _SUFFIXES if backend.endswith(suffix)), "")
    backend = backend.removesuffix(suffix)
    return backend, backend_class(backend).default_device + suffix
