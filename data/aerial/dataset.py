"""The aerial world as a data set in VOC layout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2

from ...core.errors import UsageError
from ...core.palette_png import encode
from ..staging import new_dataset
from .camera import Frame
from .flight import AerialFlight
from .labels import AERIAL_LABELS

STILLS_PER_WORLD = 25
"""The number of views of one place before the next place is built."""

_SPLIT_SEEDS = {"train": 0, "val": 500_000}
_SEEDS_PER_SET = 1_000_000


def write_dataset(
    out: Path,
    count: int,
    seed: int,
    size_hw: tuple[int, int] = (512, 512),
    val_fraction: float = 0.1,
    *,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Writes ``count`` labelled views: JPEGImages, SegmentationClass, ImageSets/Segmentation, labelmap.txt.

    Train and val show different places. The folder appears whole or not at all.

    Args:
        out: folder to create.
        count: the total number of views, at least 2.
        seed: 0 or more; different seeds also give different places.
        size_hw: height and width of the views.
        val_fraction: share of the views that go to val, above 0 and below 1; each split gets at least one.
        force: replace ``out`` if it exists.
        progress: called after each view with the number of finished views and ``count``.

    Raises:
        UsageError: a count, seed or fraction is out of range.
        OutputError: ``out`` may not be written, exists without ``force``, is not a data set, or is being written by
            another process.
    """
    if count < 2 or seed < 0 or not 0 < val_fraction < 1 or min(size_hw) < 32:
        raise UsageError(
            f"cannot write {count} views of {size_hw[0]}x{size_hw[1]} with seed {seed}, {val_fraction} of them val: "
            "expected 2 views or more of at least 32x32, a seed of 0 or more and a fraction between 0 and 1"
        )
    val_count = min(max(round(count * val_fraction), 1), count - 1)
    with new_dataset(out, force) as building:
        _write(
            building,
            {"train": count - val_count, "val": val_count},
            seed,
            size_hw,
            progress or (lambda done, of: None),
        )


def _write(
    root: Path,
    counts: dict[str, int],
    seed: int,
    size_hw: tuple[int, int],
    progress: Callable[[int, int], None],
) -> None:
    images, masks, sets = (
        root / "JPEGImages",
        root / "SegmentationClass",
        root / "ImageSets" / "Segmentation",
    )
    AERIAL_LABELS.write(root / "labelmap.txt")
    palette = AERIAL_LABELS.palette_rgb()
    done = 0
    for split, count in counts.items():
        names = []
        for k in range(count):
            place, view = divmod(k, STILLS_PER_WORLD)
            if view == 0:
                flight = AerialFlight(seed * _SEEDS_PER_SET + _SPLIT_SEEDS[split] + place, size_hw)
            frame, mask = flight.still(view)
            name = f"{split}_{place:04d}_{view:02d}"
            _write_pair(images / f"{name}.jpg", frame, masks / f"{name}.png", encode(mask, palette))
            names.append(name)
            done += 1
            progress(done, sum(counts.values()))
        (sets / f"{split}.txt").write_text("\n".join(names) + "\n", encoding="utf-8")


def _write_pair(image: Path, frame: Frame, mask: Path, png: bytes) -> None:
    ok, jpeg = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 95])
    if not ok:
        raise OSError(f"OpenCV could not encode {image.name}")
    image.write_bytes(jpeg.tobytes())
    mask.write_bytes(png)
