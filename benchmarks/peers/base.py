"""The contract of every contender: one way from a camera's frame to its class map."""

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

from ...core.arrays import ClassMap, Frame
from ...runtime.bundle import Bundle


@dataclass(frozen=True)
class Setting:
    """The setting that is the same for all contenders.

    Attributes:
        bundle: the bundle's folder.
        variant: the variant for edgeseg; its peers run the float graph or the checkpoint.
        checkpoint: the weights, for PyTorch.
        graphs: the folder with the float graphs of :mod:`edgeseg.benchmarks.peers.graphs`.
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
        """Returns the setting of a bundle; ``variant`` is the bundle's default if None."""
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
        """Returns the setting as JSON for another process."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Setting:
        """Reads the output of :meth:`to_json`."""
        restored: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**restored)


class Peer(ABC):
    """One contender, ready for frames once it is made.

    Attributes:
        does: its method, in words.
        modules: the modules that must be installed.
        same_map: whether it decodes at the frame's size, by the definition. Otherwise it decodes at the network's size,
            and enlarges the map.
        precision: the number format of the network.
        limit: the name of the bare network, which is the lower bound in time for contenders on the same provider.

    Args:
        name: its registered name.
        setting: the same for all contenders.
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
        """Returns the reason why this contender cannot run here; empty if it can. It imports nothing heavy."""
        absent = [module for module in cls.modules if find_spec(module) is None]
        return f"{', '.join(absent)} is not installed" if absent else ""

    @abstractmethod
    def __call__(self, frame_bgr: Frame) -> ClassMap:
        """Computes a frame's class map: uint8 [H, W, 3] -> uint8 [H, W]."""

    def bare(self, frame_bgr: Frame) -> Callable[[], object]:
        """Returns a function that runs only the network on a prepared frame: no preprocessing, no decoding."""
        return self._bare(
            cv2.resize(frame_bgr, self.setting.input_size_hw[::-1], interpolation=cv2.INTER_LINEAR)
        )

    @abstractmethod
    def _bare(self, image_bgr: npt.NDArray[Any]) -> Callable[[], object]: ...


def resized(classes: npt.NDArray[Any], size_hw: tuple[int, int]) -> ClassMap:
    """Enlarges a class map, uint8 [h, w], to a frame's size by nearest neighbour."""
    return np.asarray(cv2.resize(classes, size_hw[::-1], interpolation=cv2.INTER_NEAREST), np.uint8)
