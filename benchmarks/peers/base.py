"""The contract of every contender: one way to come from a camera's frame to its class map."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import numpy.typing as npt

from ...runtime.bundle import Bundle

Frame = npt.NDArray[np.uint8]
ClassMap = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Setting:
    """What all contenders are given alike.

    Attributes:
        bundle: the bundle's folder.
        variant: that edgeseg runs; its peers run the float graph or the checkpoint.
        checkpoint: the weights, for PyTorch.
        graphs: the folder with the float graphs that :mod:`edgeseg.benchmarks.peers.graphs` writes.
        input_size_hw: height and width of the network's input.
        frame_size_hw: height and width of the frames, and of the class maps.
        mean_rgb, std_rgb: normalization of images scaled to 0..1.
        threads: CPU threads for one frame.
    """

    bundle: str
    variant: str
    checkpoint: str
    graphs: str
    input_size_hw: tuple[int, int]
    frame_size_hw: tuple[int, int]
    mean_rgb: tuple[float, float, float]
    std_rgb: tuple[float, float, float]
    threads: int

    @classmethod
    def of(
        cls, bundle: Bundle, variant: str | None, frame_size_hw: tuple[int, int], threads: int, graphs: Path
    ) -> Setting:
        """The setting of a bundle; ``variant`` is the bundle's default where None."""
        entry = bundle.manifest["input"]
        return cls(
            bundle=str(bundle.path.resolve()),
            variant=bundle.variant(variant).name,
            checkpoint=str(bundle.checkpoint_path.resolve()),
            graphs=str(graphs.resolve()),
            input_size_hw=bundle.input_size_hw,
            frame_size_hw=frame_size_hw,
            mean_rgb=tuple(entry["mean_rgb"]),
            std_rgb=tuple(entry["std_rgb"]),
            threads=threads,
        )

    def to_json(self) -> dict[str, Any]:
        """For another process."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Setting:
        """The setting that :meth:`to_json` gave."""
        restored: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**restored)


class Peer(ABC):
    """One contender, ready to take frames once it is made.

    Attributes:
        does: how it works, in words.
        modules: what must be installed.
        same_map: it decodes at the frame's size, as the definition says. Otherwise at the network's, and enlarges.
        precision: what the network computes in.
        limit: names the bare network that no contender on the same provider can be faster than.

    Args:
        name: that it is registered under.
        setting: what all contenders are given alike.
    """

    does: ClassVar[str]
    modules: ClassVar[tuple[str, ...]] = ()
    same_map: ClassVar[bool] = True
    precision: str
    limit: str

    def __init__(self, name: str, setting: Setting) -> None:
        self.name = name
        self.setting = setting

    @classmethod
    def why_unavailable(cls, name: str) -> str:
        """Why this contender cannot run here; empty where it can. It imports nothing heavy."""
        absent = [module for module in cls.modules if find_spec(module) is None]
        return f"{', '.join(absent)} is not installed" if absent else ""

    @abstractmethod
    def __call__(self, frame_bgr: Frame) -> ClassMap:
        """From a frame to its class map: uint8 [H, W, 3] -> uint8 [H, W]."""

    def bare(self, frame_bgr: Frame) -> Callable[[], object]:
        """The bare network on a frame that is prepared already: no preprocessing, and the coarse logits left alone."""
        return self._bare(
            cv2.resize(frame_bgr, self.setting.input_size_hw[::-1], interpolation=cv2.INTER_LINEAR)
        )

    @abstractmethod
    def _bare(self, picture_bgr: npt.NDArray[Any]) -> Callable[[], object]: ...


def resized(classes: npt.NDArray[Any], size_hw: tuple[int, int]) -> ClassMap:
    """Enlarges a class map, uint8 [h, w], to a frame's size by nearest neighbour."""
    return np.asarray(cv2.resize(classes, size_hw[::-1], interpolation=cv2.INTER_NEAREST), np.uint8)
