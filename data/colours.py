"""The colours of masks: a fast look-up, and lines to paste for colours that no class has."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..core.errors import DataError

Rgb = tuple[int, int, int]

_COLOURS = 1 << 24
_MOST_TOLD = 12
_NEAR = 40
"""Away from edges, a channel of a JPEG's pixel differs by less from the saved value."""
_FEW = 24
"""More unknown colours than this, most of them near a class's colour, are noise and not classes."""


class UnknownColoursError(DataError):
    """A mask holds colours that no class of the label map has.

    Args:
        path: of the mask.
        unknown: pixels of each such colour.
        known_rgb: uint8 [C, 3], the colours of the classes.

    Attributes:
        unknown: as given.
        lossy: whether they are noise around the colours of the classes.
    """

    def __init__(self, path: Path, unknown: Mapping[Rgb, int], known_rgb: npt.NDArray[np.uint8]) -> None:
        self.unknown = dict(unknown)
        self.lossy = len(unknown) > _FEW and _share_near(unknown, known_rgb) > 0.5
        super().__init__(self._told(path))

    def _told(self, path: Path) -> str:
        if self.lossy or len(self.unknown) > 255:
            return (
                f"{path} is a lossy mask: it holds {len(self.unknown)} colours that no class of the label map has, as "
                "a JPEG or a smooth resize leaves them; threshold it: give each pixel the nearest class's colour, as "
                "`edgeseg data import` does, and save it as a PNG"
            )
        first = next(iter(self.unknown))
        several = len(self.unknown) > 1
        what = f"{len(self.unknown)} colours that" if several else f"the colour {first}, which"
        shown = " ".join(lines_for(self.unknown)[:_MOST_TOLD])
        more = f" and {len(self.unknown) - _MOST_TOLD} more" if len(self.unknown) > _MOST_TOLD else ""
        return f"{path} holds {what} no class of the label map has; add to labelmap.txt: {shown}{more}"


def lines_for(colours: Mapping[Rgb, int]) -> list[str]:
    """Returns lines of a ``labelmap.txt`` for colours, those with most pixels first; the user replaces the names."""
    ordered = sorted(colours, key=lambda rgb: (-colours[rgb], rgb))
    return [f"colour_{r}_{g}_{b}:{r},{g},{b}::" for r, g, b in ordered]


def pack(colours_rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.int32]:
    """Packs the last axis, three channels, into one whole number each: red in bits 16 to 23, blue in 0 to 7."""
    packed = colours_rgb[..., 0].astype(np.int32)
    for channel in (1, 2):
        packed <<= 8
        packed |= colours_rgb[..., channel]
    return packed


def unpack(colour: int) -> Rgb:
    """Returns the channels of a colour from :func:`pack`."""
    return colour >> 16, (colour >> 8) & 255, colour & 255


def look_up(
    pixels_rgb: npt.NDArray[np.uint8], by_colour: Mapping[int, int]
) -> tuple[npt.NDArray[np.uint8], dict[Rgb, int]]:
    """Gives each pixel the id of its colour.

    Args:
        pixels_rgb: uint8 [H, W, 3].
        by_colour: ids 0 to 255, by colours as :func:`pack` returns them.

    Returns:
        The ids, uint8 [H, W], and the number of pixels of each colour without an id; those pixels get 255.
    """
    packed = pack(pixels_rgb)
    # One entry for each colour. The system gives zeros without writing them, so only used entries need memory.
    table = np.zeros(_COLOURS, np.uint16)
    for colour, class_id in by_colour.items():
        table[colour] = class_id + 1
    found = table[packed]
    missing = found == 0
    unknown: dict[Rgb, int] = {}
    if missing.any():
        colours, counts = np.unique(packed[missing], return_counts=True)
        unknown = {
            unpack(c): n
            for c, n in sorted(zip(colours.tolist(), counts.tolist(), strict=True), key=lambda x: -x[1])
        }
    found -= 1
    return found.astype(np.uint8), unknown


def nearest(pixels_rgb: npt.NDArray[np.uint8], known_rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Gives each pixel the position of the colour nearest to its own.

    Args:
        pixels_rgb: uint8 [H, W, 3].
        known_rgb: uint8 [C, 3], at most 255.

    Returns:
        Positions, uint8 [H, W].
    """
    packed = pack(pixels_rgb)
    colours, inverse = np.unique(packed, return_inverse=True)
    split = np.stack([colours >> 16, (colours >> 8) & 255, colours & 255], axis=1).astype(np.int32)
    best = np.zeros(len(colours), np.uint8)
    least = np.full(len(colours), np.iinfo(np.int32).max, np.int32)
    for position, known in enumerate(known_rgb.astype(np.int32)):
        distance = ((split - known) ** 2).sum(axis=1)
        closer = distance < least
        best[closer], least[closer] = position, distance[closer]
    return best[inverse].reshape(packed.shape)


def why_lossy(values: npt.NDArray[np.uint8], path: Path) -> str:
    """Returns a sentence if a grey mask is black and white with a JPEG's noise around them; else empty."""
    used = np.flatnonzero(np.bincount(values.ravel(), minlength=256))
    if len(used) < 4 or not is_two_valued(values):
        return ""
    return (
        f"{path} is a lossy mask: it holds {len(used)} values around 0 and 255, as a JPEG or a smooth resize leaves "
        "them; threshold it at 128, as `edgeseg data import` does, and save it as a PNG"
    )


def is_two_valued(values: npt.NDArray[np.uint8], *, noisy: bool = True) -> bool:
    """Returns True if nearly all pixels are black or white, within a JPEG's noise, and both are present.

    Args:
        values: uint8, any shape.
        noisy: whether there must be noise near white. Small ids beside 255, which is void, are not noise.
    """
    counts = np.bincount(values.ravel(), minlength=256)
    dark, light = int(counts[:_NEAR].sum()), int(counts[256 - _NEAR :].sum())
    noise = bool(counts[256 - _NEAR : 255].any()) or not noisy
    return bool(light and dark and noise and dark + light >= 0.95 * values.size)


def _share_near(unknown: Mapping[Rgb, int], known_rgb: npt.NDArray[np.uint8]) -> float:
    """Returns the share of unknown colours that are near a class's colour."""
    colours = np.array(list(unknown), np.int16)
    near = np.zeros(len(colours), bool)
    for known in known_rgb.astype(np.int16):
        near |= np.abs(colours - known).max(axis=1) <= _NEAR
    return float(near.mean())
