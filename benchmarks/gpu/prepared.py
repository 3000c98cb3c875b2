"""The prepared input of the proof: bundles, frames and PyTorch's results, from any machine.

A folder contains ``prepared.json``; ``frames/`` and ``masks/``, as PNG; and a folder for each network, with its bundle,
the logits of the PyTorch reference (``reference.npz``) and the network as an exported program (``program.pt2``).
PyTorch runs that program without the packages of the network's definition. ``packages/`` has the pure Python packages
that are needed to read a bundle.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ...core.arrays import Frame
from ...core.errors import BundleError, DataError
from ...runtime.bundle import Bundle, Variant
from ...runtime.checked_files import read_checked

SCHEMA = 1
FILE_NAME = "prepared.json"
FRAMES, MASKS, PACKAGES = "frames", "masks", "packages"
BUNDLE, REFERENCE, PROGRAM = "bundle", "reference.npz", "program.pt2"
PURE_PACKAGES = ("fastjsonschema", "packaging")


@dataclass(frozen=True)
class PreparedNetwork:
    """One network.

    Attributes:
        name: in the registry.
        folder: has its bundle and reference.
        sha256: of the files beside the bundle, by name.
        notes: the parts that were left out, and the reasons.
    """

    name: str
    folder: Path
    sha256: Mapping[str, str]
    notes: tuple[str, ...]

    def bundle(self) -> Bundle:
        """Opens the bundle.

        Raises:
            BundleError: it is missing or altered.
        """
        return Bundle.load(self.folder / BUNDLE)

    def reference_logits(self) -> npt.NDArray[np.float32]:
        """Reads PyTorch's logits, computed in float32 on a CPU: float32 [frames, C, h, w].

        Raises:
            BundleError: the file is missing or altered.
        """
        path = self.folder / REFERENCE
        read_checked(path, self.sha256.get(REFERENCE, ""))
        with np.load(path) as file:
            logits: npt.NDArray[np.float32] = file["logits"]
        return logits

    def program(self) -> Path | None:
        """Returns the file of the exported program; None if there is none.

        Raises:
            BundleError: it is missing or altered.
        """
        if PROGRAM not in self.sha256:
            return None
        read_checked(self.folder / PROGRAM, self.sha256[PROGRAM])
        return self.folder / PROGRAM


@dataclass(frozen=True)
class PreparedFolder:
    """A prepared folder.

    Attributes:
        folder: its path.
        source: the origin of the frames.
        truth_names: the classes of the masks, in order of their ids.
        made_with: the versions of the packages that made it, by package.
        networks: by name, in order.
    """

    folder: Path
    source: str
    truth_names: tuple[str, ...]
    made_with: Mapping[str, str]
    networks: Mapping[str, PreparedNetwork]

    @classmethod
    def load(cls, folder: Path) -> PreparedFolder:
        """Opens a folder.

        Raises:
            DataError: it is not a prepared folder, or has another form.
        """
        use_packages(folder)
        path = folder / FILE_NAME
        try:
            entry: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if entry["schema"] != SCHEMA:
                raise DataError(f"{path} is of schema {entry['schema']}, expected {SCHEMA}; prepare it again")
            networks = {
                name: PreparedNetwork(name, folder / name, each["sha256"], tuple(each["notes"]))
                for name, each in entry["networks"].items()
            }
            return cls(folder, entry["source"], tuple(entry["truth"]), entry["made_with"], networks)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{folder} is not prepared ({error!r}); make it with python -m edgeseg.benchmarks.gpu --prepare DIR"
            ) from error

    def frames(self) -> list[Frame]:
        """Reads the frames, uint8 [H, W, 3], all of one size.

        Raises:
            DataError: one is missing or broken.
        """
        return [_read(path, cv2.IMREAD_COLOR) for path in self._files(FRAMES)]

    def masks(self) -> list[Frame]:
        """Reads the frames' label masks, uint8 [H, W]; 255 is void.

        Raises:
            DataError: one is missing or broken.
        """
        return [_read(path, cv2.IMREAD_GRAYSCALE) for path in self._files(MASKS)]

    def _files(self, kind: str) -> list[Path]:
        found = sorted((self.folder / kind).glob("*.png"))
        if not found:
            raise DataError(f"{self.folder / kind} has no images; prepare it again")
        return found


def use_packages(folder: Path) -> None:
    """Makes the pure Python packages of a prepared folder importable, if they are not installed."""
    if all(find_spec(name) is not None for name in PURE_PACKAGES):
        return
    sys.path.append(str(folder.resolve() / PACKAGES))
    importlib.invalidate_caches()


def variant_of(bundle: Bundle, precision: str) -> Variant:
    """Returns the bundle's variant of a precision that TensorRT accepts.

    Raises:
        BundleError: there is none.
    """
    for variant in bundle.variants.values():
        if variant.precision == precision and variant.target in ("any", "tensorrt"):
            return variant
    raise BundleError(f"the bundle has no {precision} for TensorRT")


def _read(path: Path, how: int) -> Frame:
    image = cv2.imread(str(path), how)
    if image is None:
        raise DataError(f"{path} cannot be read; prepare it again")
    return np.asarray(image, np.uint8)
