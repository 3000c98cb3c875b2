"""The reference: the network in PyTorch, from the bundle's own checkpoint, in float32, without folding."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ...models.base import SegmentationNetwork
from ...models.checkpoint import load_checkpoint
from ...runtime.backends.base import Backend
from ...runtime.bundle import Bundle, Variant


class TorchBackend(Backend):
    """Runs a checkpoint in PyTorch on the CPU, by the contract of every backend.

    Args:
        variant: its file is a checkpoint.
        input_size_hw: height and width of the frames.
        device: ``cpu``.
        threads: sets PyTorch's number of threads, for the whole process.

    Attributes:
        continuous: as the network's.

    Raises:
        BackendError: another device was asked for.
        BundleError: the checkpoint has been altered since its bundle was opened.
        CheckpointError: the checkpoint cannot be read or does not fit its architecture.
    """

    name = "torch"

    def __init__(
        self,
        variant: Variant,
        input_size_hw: tuple[int, int],
        device: str = "cpu",
        threads: int | None = None,
    ) -> None:
        super().__init__(variant, input_size_hw, device, threads)
        if threads is not None:
            torch.set_num_threads(threads)
        checkpoint = load_checkpoint(variant.path, variant.read())
        network = checkpoint.build()
        self._network: SegmentationNetwork | None = network
        self.continuous = network.continuous
        self._mean = torch.tensor(checkpoint.info.mean).view(1, 3, 1, 1)
        self._std = torch.tensor(checkpoint.info.std).view(1, 3, 1, 1)

    @classmethod
    def of_bundle(cls, bundle: Bundle) -> TorchBackend:
        """Returns the reference of a bundle."""
        sha256 = str(bundle.manifest["weights"]["sha256"])
        variant = Variant(
            "torch", bundle.checkpoint_path, sha256, precision="fp32", target="any", parity=None
        )
        return cls(variant, bundle.input_size_hw)

    @classmethod
    def why_unavailable(cls, device: str) -> str:
        """Returns the reason why it cannot run on a device; empty if it can."""
        return "" if device == "cpu" else f"the torch reference runs on cpu alone, not on {device!r}"

    def _infer(self, frame_nhwc: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        assert self._network is not None
        with torch.inference_mode():
            logits: npt.NDArray[np.float32] = self._network.coarse(self._normalize(frame_nhwc)).numpy()
        return logits

    def _normalize(self, frame_nhwc: npt.NDArray[np.uint8]) -> Tensor:
        rgb = torch.from_numpy(np.ascontiguousarray(frame_nhwc[..., ::-1]))
        return (rgb.permute(0, 3, 1, 2).float() / 255 - self._mean) / self._std  # [N, 3, H, W]

    def _close(self) -> None:
        self._network = None
