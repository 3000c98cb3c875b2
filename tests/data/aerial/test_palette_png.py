from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from edgeseg.data.aerial import AERIAL_LABELS
from edgeseg.data.aerial.palette_png import encode


@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (64, 33)])
def test_colours_read_back(shape: tuple[int, int]) -> None:
    mask = np.random.default_rng(0).choice(np.array([*range(8), 255], np.uint8), shape)
    palette = AERIAL_LABELS.palette_rgb()
    read = cv2.imdecode(np.frombuffer(encode(mask, palette), np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(read[..., ::-1], palette[mask])


def test_ids_read_back() -> None:
    image = pytest.importorskip("PIL.Image")

    mask = np.arange(256, dtype=np.uint8).reshape(8, 32)
    opened = image.open(io.BytesIO(encode(mask, AERIAL_LABELS.palette_rgb())))
    assert opened.mode == "P"
    np.testing.assert_array_equal(np.asarray(opened), mask)
