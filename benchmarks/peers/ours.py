"""edgeseg itself, on one of its backends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ...runtime.backends import backend_class
from ...runtime.errors import EdgesegError
from ...runtime.segmenter import Segmenter
from .base import ClassMap, Frame, Peer, Setting


class EdgesegPeer(Peer):
    """The segmenter as its users call it; the backend is the name's second half."""

    does = "bytes resized into the network's input, coarse logits out, exact decode"

    def __init__(self, name: str, setting: Setting) -> None:
        super().__init__(name, setting)
        backend = backend_name(name)
        self._segmenter = Segmenter(setting.bundle, setting.variant, backend, threads=setting.threads)
        runs = self._segmenter.backend
        # A backend may compute in less than the variant is stored in, and then says so.
        self.precision = str(getattr(runs, "computes_in", runs.precision))
        self.limit = f"{backend} {self.precision}"

    @classmethod
    def why_unavailable(cls, name: str) -> str:
        """Why the backend cannot run here; empty where it can."""
        try:
            runs = backend_class(backend_name(name))
            return runs.why_unavailable(runs.default_device)
        except EdgesegError as error:
            return str(error)

    def __call__(self, frame_bgr: Frame) -> ClassMap:
        return self._segmenter(frame_bgr).classes

    def _bare(self, picture_bgr: npt.NDArray[Any]) -> Callable[[], object]:
        frame_nhwc = np.ascontiguousarray(picture_bgr)[None]
        return lambda: self._segmenter.backend.infer(frame_nhwc)


def backend_name(name: str) -> str:
    """The backend of a contender of ours: ``edgeseg-onnxruntime`` -> ``onnxruntime``."""
    return name.partition("-")[2]
