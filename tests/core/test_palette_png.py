from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from edgeseg.core.labels import voc_labels
from edgeseg.core.palette_png import Encoder, encode
from PIL import Image


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 300), (73, 55)])
def test_another_reader_gets_the_ids_and_the_colours(size_hw: tuple[int, int]) -> None:
    mask = np.random.default_rng(0).integers(0, 256, size_hw, np.uint8)
    palette_rgb = voc_labels().palette_rgb()
    data = encode(mask, palette_rgb)
    image = Image.open(io.BytesIO(data))
    image.verify()
    image = Image.open(io.BytesIO(data))
    assert image.mode == "P"
    np.testing.assert_array_equal(np.asarray(image), mask)
    np.testing.assert_array_equal(np.asarray(image.convert("RGB")), palette_rgb[mask])
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(bgr[..., ::-1], palette_rgb[mask])


def test_rows_that_come_a_few_at_a_time_are_the_same_image() -> None:
    mask = np.random.default_rng(1).integers(0, 256, (500, 300), np.uint8)
    encoder = Encoder((500, 300), voc_labels().palette_rgb())
    parts = [encoder.rows(mask[top : top + 90]) for top in range(0, 500, 90)]
    image = Image.open(io.BytesIO(b"".join([*parts, encoder.end()])))
    np.testing.assert_array_equal(np.asarray(image), mask)
