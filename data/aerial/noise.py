"""Seamless noise tiles: the raw material of every surface."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Gray = npt.NDArray[np.uint8]
Ramp = npt.NDArray[np.uint8]

TILE_PX = 1024


def _spectral(rng: np.random.Generator, exponent: float, low_cut: float, size: int = TILE_PX) -> Gray:
    """Returns noise with amplitude 1 / f^exponent: periodic, because it is made of whole waves."""
    white = np.fft.rfft2(rng.standard_normal((size, size), np.float32))
    fy = np.fft.fftfreq(size)[:, None] * size
    fx = np.fft.rfftfreq(size)[None, :] * size
    radius = np.maximum(np.hypot(fy, fx), 1.0)
    shaped = white * np.where(radius < low_cut, 0.0, radius**-exponent)
    field = np.fft.irfft2(shaped, s=(size, size))
    return np.asarray(np.clip(128 + field * (42.0 / field.std()), 0, 255), np.uint8)


@dataclass(frozen=True)
class NoiseBank:
    """Three square tiles of uint8 noise, mean 128 and standard deviation 42, each continuous across its seams.

    Attributes:
        cloud: soft and large: patches of dry and lush, stains.
        mottle: all scales alike: soil, foliage, old asphalt.
        grain: the finest: blades, gravel.
    """

    cloud: Gray
    mottle: Gray
    grain: Gray

    @classmethod
    def make(cls, rng: np.random.Generator) -> NoiseBank:
        """Draws the tiles, in about 0.3 s."""
        return cls(_spectral(rng, 1.8, 1), _spectral(rng, 1.0, 4), _spectral(rng, 0.35, 40))

    def crop(self, tile: Gray, x0: int, y0: int, width: int, height: int) -> Gray:
        """Returns the part of a tile, repeated endlessly, under a window of the map."""
        rows = np.arange(y0, y0 + height) % TILE_PX
        columns = np.arange(x0, x0 + width) % TILE_PX
        return tile.take(rows, axis=0).take(columns, axis=1)


def enlarge(tile: Gray, size: int) -> Gray:
    """Enlarges a periodic tile to ``size`` x ``size``; the result is periodic too."""
    pad = 4
    factor = size // tile.shape[0]
    padded = cv2.copyMakeBorder(tile, pad, pad, pad, pad, cv2.BORDER_WRAP)
    big = cv2.resize(padded, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(big[pad * factor : pad * factor + size, pad * factor : pad * factor + size])


def ramp(*colours_bgr: tuple[float, float, float]) -> Ramp:
    """Returns a colour table uint8 [256, 1, 3] that goes evenly through the given BGR colours."""
    stops = np.linspace(0, 255, len(colours_bgr))
    table = np.stack(
        [np.interp(np.arange(256), stops, [c[k] for c in colours_bgr]) for k in range(3)], axis=-1
    )
    return np.clip(np.rint(table), 0, 255).astype(np.uint8)[:, None, :]


def spread(centre_bgr: tuple[float, float, float], contrast: float) -> Ramp:
    """Returns a ramp from darker to lighter than one colour; ``contrast`` 0.3 is from -30 % to +30 %."""
    dark, light = 1 - contrast, 1 + contrast
    b, g, r = centre_bgr
    return ramp((b * dark, g * dark, r * dark), (b, g, r), (b * light, g * light, r * light))
