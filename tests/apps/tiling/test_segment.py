"""Tiled is the same as whole, seams and all; what has no data or no finite logits is void."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from edgeseg import Segmenter
from edgeseg.apps.tiling.segment import TilingReport
from edgeseg.apps.tiling.sources import WholeImage, WindowedImage, WindowPixels
from edgeseg.core.errors import BackendError, SourceError
from edgeseg.core.labels import VOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

Tiled = Callable[..., tuple[np.ndarray, TilingReport]]
OpenSegmenter = Callable[..., Segmenter]
ImageOf = Callable[..., np.ndarray]


def round_up(side: int, unit: int) -> int:
    return -(-side // unit) * unit


def assert_same_but_for_ties(
    classes: np.ndarray, segmenter: Segmenter, image_bgr: np.ndarray, tie: float = 1e-6
) -> None:
    """Compares with the network that sees the image whole. Logits are at most 1; averages round in the 7th digit."""
    result = segmenter(image_bgr, margin=True)
    assert result.margin is not None
    height, width = classes.shape
    differ = classes != result.classes[:height, :width]
    assert result.margin[:height, :width][differ].max(initial=0) <= tie
    assert differ.mean() < 1e-3
    assert len(np.unique(classes)) > 1 or classes.size < 4000


@settings(
    max_examples=40, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(
    height=st.integers(20, 200),
    width=st.integers(20, 200),
    overlap=st.integers(0, 27),
    stride=st.sampled_from([1, 2, 4]),
)
def test_tiled_is_the_same_as_whole(
    height: int,
    width: int,
    overlap: int,
    stride: int,
    open_segmenter: OpenSegmenter,
    tiled: Tiled,
    image_of: ImageOf,
) -> None:
    """Any size, any overlap: where the network's field is small, no pixel tells that there were tiles."""
    image_bgr = image_of((height, width), seed=height)
    classes, report = tiled(open_segmenter(stride=stride), WholeImage(image_bgr), None, overlap)
    below, right = round_up(height, stride) - height, round_up(width, stride) - width
    padded = cv2.copyMakeBorder(image_bgr, 0, below, 0, right, cv2.BORDER_REFLECT_101)
    if (
        height < 32 or width < 48
    ):  # the lattice of a small image goes on beyond its edge, where it is mirrored
        padded = cv2.copyMakeBorder(
            image_bgr, 0, max(below, 32 - height), 0, max(right, 48 - width), cv2.BORDER_REFLECT_101
        )
    whole = open_segmenter((padded.shape[0], padded.shape[1]), stride)
    assert_same_but_for_ties(classes, whole, padded)
    assert (report.empty_tiles, report.not_finite_tiles) == (0, 0)
    assert report.size_hw == (height, width)


@pytest.mark.parametrize(
    ("stride", "tile", "overlap"),
    [(4, 96, 0), (4, 96, 40), (4, 192, 16), (1, 96, 16), (1, 72, 0), (1, 72, 40), (1, 24, 0), (1, 24, 8)],
)
def test_tiles_may_be_larger_or_smaller_than_the_network(
    stride: int, tile: int, overlap: int, open_segmenter: OpenSegmenter, tiled: Tiled, image_of: ImageOf
) -> None:
    """Against the image stretched whole to the scale that the tiles have."""
    image_bgr = image_of((384, 576))
    classes, _ = tiled(open_segmenter(stride=stride), WholeImage(image_bgr), tile, overlap)
    whole = open_segmenter((384 * 48 // tile, 576 * 48 // tile), stride)
    result = whole(image_bgr)
    # Where pixels are stretched, a tile's outermost ones have no neighbour to be interpolated with.
    assert (classes != result.classes).mean() < (1e-4 if tile >= 96 else 0.03)


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 300), (300, 1), (2, 5), (33, 49)])
def test_small_and_thin_images(size_hw: tuple[int, int], open_segmenter: OpenSegmenter, tiled: Tiled) -> None:
    for value, class_id in ((40, 0), (128, 1), (215, 2)):
        classes, _ = tiled(open_segmenter(), WholeImage(np.full((*size_hw, 3), value, np.uint8)), 96, 8)
        np.testing.assert_array_equal(classes, class_id)


def test_an_image_of_one_tile_is_a_frame(
    open_segmenter: OpenSegmenter, tiled: Tiled, image_of: ImageOf
) -> None:
    image_bgr = image_of((64, 96))
    classes, report = tiled(open_segmenter(), WholeImage(image_bgr), 96, 8)
    assert report.tiles == 1
    np.testing.assert_array_equal(classes, open_segmenter()(image_bgr).classes)


def test_overlap_mends_the_seams_of_a_network_that_looks_around(
    open_segmenter: OpenSegmenter, tiled: Tiled
) -> None:
    """Zeros beyond a tile's border spoil its outermost logits; further in, tiled is the same as whole."""
    reach, stride = 2, 4
    down, along = np.ogrid[:320, :480]
    waves = np.sin(down / 13) + np.sin(along / 17)
    image_bgr = np.repeat((127.5 + 63 * waves).astype(np.uint8)[..., None], 3, axis=2)
    tiles, whole = open_segmenter((64, 96), stride, reach), open_segmenter((320, 480), stride, reach)
    truth = whole(image_bgr).classes
    shares = []
    for overlap in (0, 16, 32):
        classes, report = tiled(tiles, WholeImage(image_bgr), None, overlap)
        differ = classes != truth
        shares.append(differ.mean())
        axes = [(64, 320), (96, 480)]
        near = [np.zeros(length, bool) for _, length in axes]
        for (tile, length), close in zip(axes, near, strict=True):
            for start in sorted({*range(0, length - tile, tile - overlap), length - tile}):
                for edge in (start, start + tile):
                    if 0 < edge < length:  # the image's own edge is one for the whole network too
                        spoilt = (reach + 1) * stride
                        close[max(0, edge - spoilt) : edge + spoilt] = True
        apart = ~(near[0][:, None] | near[1])
        assert apart.mean() > 0.1
        np.testing.assert_array_equal(differ[apart], False)
        assert report.tiles == len(range(0, 320 - overlap, 64 - overlap)) * len(
            range(0, 480 - overlap, 96 - overlap)
        )
    assert shares[0] > 0.01, "without overlap there are seams, or this test shows nothing"
    assert shares[1] < shares[0] / 2
    assert shares[2] < shares[1]


class Counting:
    """A backend that counts its tiles, and breaks some."""

    def __init__(self, segmenter: Segmenter, broken: tuple[int, ...] = (), value: float = np.nan) -> None:
        self.calls = 0
        self.infer_whole = segmenter.backend.infer
        self._broken, self._value = broken, value

    def infer(self, frame_nhwc: np.ndarray) -> np.ndarray:
        logits = self.infer_whole(frame_nhwc).copy()
        if self.calls in self._broken:
            logits[0, 1, 3, 2] = self._value
        self.calls += 1
        return logits


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_tile_that_is_not_finite_is_void(
    value: float,
    open_segmenter: OpenSegmenter,
    tiled: Tiled,
    image_of: ImageOf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    segmenter, image = open_segmenter(), WholeImage(image_of((100, 150)))
    whole, _ = tiled(segmenter, image, None, 8)
    monkeypatch.setattr(segmenter.backend, "infer", Counting(segmenter, (5, 15), value).infer)
    classes, report = tiled(segmenter, image, None, 8)
    # Tiles of 32 x 48, 24 and 40 apart, the last of each kind ending with the lattice, 4 rows and 4 columns.
    assert (report.tiles, report.not_finite_tiles) == (16, 2)
    broken = np.zeros((100, 150), bool)
    broken[24:56, 40:88] = True
    broken[68:100, 104:150] = True
    np.testing.assert_array_equal(classes[broken], VOID)
    np.testing.assert_array_equal(classes[~broken], whole[~broken])
    summary = report.summary(segmenter.labels)
    assert summary["void_share"] == broken.mean()
    assert sum(summary["class_share"].values()) == pytest.approx(1 - broken.mean())


def test_pixels_without_data_are_void_and_empty_tiles_are_not_inferred(
    open_segmenter: OpenSegmenter, tiled: Tiled, image_of: ImageOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter, image_bgr = open_segmenter(), image_of((200, 300))
    whole, _ = tiled(segmenter, WholeImage(image_bgr), None, 8)
    alpha = np.full((200, 300), 255, np.uint8)
    alpha[:120, 90:] = 0
    alpha[150, 150] = 0
    counting = Counting(segmenter)
    monkeypatch.setattr(segmenter.backend, "infer", counting.infer)
    classes, report = tiled(segmenter, WholeImage(np.dstack([image_bgr, alpha])), None, 8)
    np.testing.assert_array_equal(classes == VOID, alpha == 0)
    np.testing.assert_array_equal(classes[alpha > 0], whole[alpha > 0])
    assert report.empty_tiles > 10
    assert counting.calls == report.tiles - report.empty_tiles


def test_an_image_without_any_data_is_all_void(open_segmenter: OpenSegmenter, tiled: Tiled) -> None:
    classes, report = tiled(open_segmenter(), WholeImage(np.zeros((70, 90, 4), np.uint8)), None, 8)
    np.testing.assert_array_equal(classes, VOID)
    assert report.empty_tiles == report.tiles


def test_logits_of_another_shape_are_refused(
    open_segmenter: OpenSegmenter, tiled: Tiled, image_of: ImageOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter = open_segmenter()
    monkeypatch.setattr(segmenter.backend, "infer", lambda frame: np.zeros((1, 3, 4, 6), np.float32))
    with pytest.raises(BackendError, match=r"logits of shape \[3, 4, 6\], but .* promises \[3, 8, 12\]"):
        tiled(segmenter, WholeImage(image_of((50, 50))))


class Endless(WindowedImage):
    """An image that is made where it is read."""

    def __init__(self, size_hw: tuple[int, int], fails_at: int | None = None) -> None:
        self.name = "endless"
        self.size_hw = size_hw
        self._fails_at = fails_at

    def read(self, top: int, left: int, height: int, width: int) -> WindowPixels:
        if self._fails_at is not None and top + height > self._fails_at:
            raise SourceError(f"endless is damaged near row {top}")
        down, along = np.ogrid[top : top + height, left : left + width]
        grey = ((down * 7 + along * 3) % 256).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2), None

    def close(self) -> None: ...


def test_memory_does_not_grow_with_the_images_height(
    open_segmenter: OpenSegmenter, tiled_to: Callable[..., TilingReport], tmp_path: Path
) -> None:
    segmenter = open_segmenter((128, 128))
    peaks = []
    for height in (300, 1500, 6000):
        tracemalloc.start()
        tiled_to(tmp_path / f"{height}.png", segmenter, Endless((height, 900)), None, 16)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # The class map alone would be 4 MB more; what two threads hold at once differs a little from run to run.
    assert peaks[2] < peaks[1] + 1e6


def test_a_run_that_fails_leaves_nothing(
    open_segmenter: OpenSegmenter, tiled_to: Callable[..., TilingReport], tmp_path: Path
) -> None:
    with pytest.raises(SourceError, match="damaged near row"):
        tiled_to(tmp_path / "classes.png", open_segmenter(), Endless((500, 200), fails_at=300), None, 8)
    assert list(tmp_path.iterdir()) == []
