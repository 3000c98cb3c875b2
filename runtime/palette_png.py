"""Palette PNGs, as PASCAL VOC's masks are: one byte a pixel and a colour table. OpenCV writes none."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import numpy.typing as npt

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COMPRESSION = 3  # class maps are so regular that higher levels cost time and save little


def encode(mask: npt.NDArray[np.uint8], palette_rgb: npt.NDArray[np.uint8]) -> bytes:
    """Encodes class ids as an 8-bit palette PNG (PNG specification, colour type 3).

    Args:
        mask: uint8 [H, W], at least one pixel.
        palette_rgb: uint8 [256, 3], the colour of each id.

    Returns:
        The file's bytes.
    """
    height, width = mask.shape
    lines = np.zeros((height, width + 1), np.uint8)  # each line begins with its filter: 0, none
    lines[:, 1:] = mask
    return _SIGNATURE + b"".join(
        (
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            _chunk(b"PLTE", palette_rgb.tobytes()),
            _chunk(b"IDAT", zlib.compress(lines.tobytes(), _COMPRESSION)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
