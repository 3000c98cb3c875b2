"""Palette PNGs, the form of PASCAL VOC's masks: one byte a pixel and a colour table. OpenCV cannot write them."""

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
    encoder = Encoder((mask.shape[0], mask.shape[1]), palette_rgb)
    return encoder.rows(mask) + encoder.end()


class Encoder:
    """Encodes a mask that arrives a few rows at a time, from top to bottom.

    Args:
        size_hw: height and width of the mask, each at least 1.
        palette_rgb: uint8 [256, 3], the colour of each id.
    """

    def __init__(self, size_hw: tuple[int, int], palette_rgb: npt.NDArray[np.uint8]) -> None:
        height, width = size_hw
        self._head = (
            _SIGNATURE
            + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0))
            + _chunk(b"PLTE", palette_rgb.tobytes())
        )
        self._deflate = zlib.compressobj(_COMPRESSION)

    def rows(self, mask: npt.NDArray[np.uint8]) -> bytes:
        """The file's next bytes, for the next rows: uint8 [rows, W]."""
        lines = np.zeros((mask.shape[0], mask.shape[1] + 1), np.uint8)  # each begins with its filter: 0, none
        lines[:, 1:] = mask
        return self._flushed(self._deflate.compress(lines.data))

    def end(self) -> bytes:
        """The file's last bytes, after the last rows."""
        return self._flushed(self._deflate.flush()) + _chunk(b"IEND", b"")

    def _flushed(self, data: bytes) -> bytes:
        head, self._head = self._head, b""
        return head + (_chunk(b"IDAT", data) if data else b"")


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
