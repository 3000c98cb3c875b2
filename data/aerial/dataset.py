"""The aerial world as a data set in VOC layout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2

from ...core.arrays import Frame
from ...core.errors import UsageError
from ...core.palette_png import encode
from ..staging import new_dataset
from .flight import STILL_HEIGHTS_M, AerialFlight
from .labels import AERIAL_LABELS

STILLS_PER_WORLD = 25
"""The number of views of one place before the next place is built."""

LEAST_HEIGHT_M, MOST_HEIGHT_M = 1.0, 200.0

_SPLIT_SEEDS = {"train": 0, "val": 500_000}
_SEEDS_PER_SET = 1_000_000


@dataclass(frozen=True)
class AerialRequest:
    """A request for a data set of the aerial world.

    Attributes:
        count: the total number of views, at least 2.
        seed: 0 or more; different seeds also give different places.
        size_hw: height and width of the views.
        val_fraction: share of the views that go to val, above 0 and below 1; each split gets at least one.
        heights_m: the lowest and the highest camera.

    Raises:
        UsageError: a count, seed, fraction or height is out of range.
    """

    count: int
    seed: int
    size_hw: tuple[int, int] = (512, 512)
    val_fraction: float = 0.1
    heights_m: tuple[float, float] = STILL_HEIGHTS_M

    def __post_init__(self) -> None:
        if self.count < 2 or self.seed < 0 or not 0 < self.val_fraction < 1 or min(self.size_hw) < 32:
            height, width = self.size_hw
            raise UsageError(
                f"cannot write {self.count} views of {height}x{width} with seed {self.seed}, "
                f"{self.val_fraction} of them val: expected 2 views or more of at least 32x32, "
                "a seed of 0 or more and a fraction between 0 and 1"
            )
        low, high = self.heights_m
        if not LEAST_HEIGHT_M <= low <= high <= MOST_HEIGHT_M:
            raise UsageError(
                f"cannot show the world from {low:g} to {high:g} m: expected the lower height first, and both from "
                f"{LEAST_HEIGHT_M:g} to {MOST_HEIGHT_M:g} m"
            )

    @property
    def counts(self) -> dict[str, int]:
        """The number of views of each split."""
        val_count = min(max(round(self.count * self.val_fraction), 1), self.count - 1)
        return {"train": self.count - val_count, "val": val_count}


def write_dataset(
    out: Path,
    request: AerialRequest,
    *,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Writes labelled views: JPEGImages, SegmentationClass, ImageSets/Segmentation, labelmap.txt.

    Train and val show different places. The folder appears whole or not at all.

    Args:
        out: folder to create.
        request: the views to write.
        force: replace ``out`` if it exists.
        progress: called after each view with the number of finished views and the number of all.

    Raises:
        OutputError: ``out`` may not be written, exists without ``force``, is not a data set, or is being written by
            another process.
    """
    with new_dataset(out, force) as building:
        _write(building, request, progress or (lambda done, of: None))


def _write(root: Path, request: AerialRequest, progress: Callable[[int, int], None]) -> None:
    images, masks, sets = (
        root / "JPEGImages",
        root / "SegmentationClass",
        root / "ImageSets" / "Segmentation",
    )
    AERIAL_LABELS.write(root / "labelmap.txt")
    palette = AERIAL_LABELS.palette_rgb()
    done = 0
    for split, count in request.counts.items():
        names = []
        for k in range(count):
            place, view = divmod(k, STILLS_PER_WORLD)
            if view == 0:
                first = request.seed * _SEEDS_PER_SET + _SPLIT_SEEDS[split]
                flight = AerialFlight(first + place, request.size_hw)
            frame, mask = flight.still(view, request.heights_m)
            name = f"{split}_{place:04d}_{view:02d}"
            _write_pair(images / f"{name}.jpg", frame, masks / f"{name}.png", encode(mask, palette))
            names.append(name)
            done += 1
            progress(done, request.count)
        (sets / f"{split}.txt").write_text("\n".join(names) + "\n", encoding="utf-8")


def _write_pair(image: Path, frame: Frame, mask: Path, png: bytes) -> None:
    ok, jpeg = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 95])
    if not ok:
        raise OSError(f"OpenCV could not encode {image.name}")
    image.write_bytes(jpeg.tobytes())
    mask.write_bytes(png)
