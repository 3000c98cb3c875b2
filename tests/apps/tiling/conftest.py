"""A network whose every logit sees its own few pixels alone, at two input sizes: as tiles, and the image whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from edgeseg import Segmenter
from edgeseg.apps.tiling import Tiling, open_class_map, segment_image
from edgeseg.apps.tiling.segment import TilingReport
from edgeseg.apps.tiling.sources import WindowedImage
from edgeseg.apps.tiling.targets import ClassMapFile
from onnx import helper, numpy_helper

from ...support import bundles

OpenSegmenter = Callable[..., Segmenter]


def _look_around(model: onnx.ModelProto, reach: int) -> onnx.ModelProto:
    """Averages logits over their neighbours up to ``reach`` away, with zeros beyond the border, and leans to grey."""
    side = 2 * reach + 1
    kernel = np.full((3, 1, side, side), 1 / side**2, np.float32)
    model.graph.node[-1].output[0] = "own"
    pads = [reach] * 4
    model.graph.node.append(
        helper.make_node("Conv", ["own", "around", "lean"], ["logits"], group=3, pads=pads)
    )
    model.graph.initializer.append(numpy_helper.from_array(np.array([0, 0.03, 0], np.float32), "lean"))
    model.graph.initializer.append(numpy_helper.from_array(kernel, "around"))
    onnx.checker.check_model(model, full_check=True)
    return model


@pytest.fixture(scope="module")
def open_segmenter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenSegmenter]:
    """Opens a network that labels by brightness, ``open_segmenter(size_hw, stride, reach)``, once a module."""
    opened: dict[tuple[object, ...], Segmenter] = {}
    with ExitStack() as stack:

        def open_it(size_hw: tuple[int, int] = (32, 48), stride: int = 4, reach: int = 0) -> Segmenter:
            key = (size_hw, stride, reach)
            if key not in opened:
                model = bundles.brightness_graph(size_hw, stride)
                if reach:
                    model = _look_around(model, reach)
                folder = tmp_path_factory.mktemp("bundle")
                bundles.write_bundle(folder, model, size_hw, stride)
                opened[key] = stack.enter_context(Segmenter(folder, threads=1))
            return opened[key]

        yield open_it


class InMemory(ClassMapFile):
    """A class map that is not written to disk."""

    def __init__(self, size_hw: tuple[int, int]) -> None:
        self.path = Path("memory")
        self.size_hw = size_hw
        self.strips: list[np.ndarray] = []
        self._rows = 0

    @property
    def classes(self) -> np.ndarray:
        return np.concatenate(self.strips)

    def _write(self, classes: np.ndarray) -> None:
        self.strips.append(classes.copy())

    def _finish(self, commit: bool) -> None: ...


@pytest.fixture
def tiled() -> Callable[..., tuple[np.ndarray, TilingReport]]:
    """Segments an image in memory: ``classes, report = tiled(segmenter, image, tile, overlap)``."""

    def run(
        segmenter: Segmenter, image: WindowedImage, tile: object = None, overlap: int = 0
    ) -> tuple[np.ndarray, TilingReport]:
        class_map = InMemory(image.size_hw)
        tiling = Tiling.of(segmenter.bundle, tile, overlap)  # type: ignore[arg-type]
        report = segment_image(segmenter, image, class_map, tiling)
        assert class_map.classes.shape == image.size_hw
        assert class_map.classes.dtype == np.uint8
        counts = np.bincount(class_map.classes.ravel(), minlength=256)
        np.testing.assert_array_equal(report.pixels_of, counts)
        return class_map.classes, report

    return run


@pytest.fixture
def tiled_to(tmp_path: Path) -> Callable[..., TilingReport]:
    """Segments an image to a file: ``tiled_to(path, segmenter, image, tile, overlap)``."""

    def run(
        path: Path, segmenter: Segmenter, image: WindowedImage, tile: object = None, overlap: int = 0
    ) -> TilingReport:
        tiling = Tiling.of(segmenter.bundle, tile, overlap)  # type: ignore[arg-type]
        with open_class_map(path, image, segmenter.labels) as class_map:
            return segment_image(segmenter, image, class_map, tiling)

    return run


def make_image(size_hw: tuple[int, int], seed: int = 0) -> np.ndarray:
    """An image with large and small things in it, uint8 [H, W, 3]."""
    generator = np.random.default_rng(seed)
    image = np.zeros((*size_hw, 3), np.float32)
    for cell in (37, 11, 3):
        grid = generator.uniform(0, 255, (size_hw[0] // cell + 2, size_hw[1] // cell + 2, 3)).astype(
            np.float32
        )
        image += cv2.resize(grid, size_hw[::-1], interpolation=cv2.INTER_CUBIC)
    return np.clip(128 + 2.5 * (image - image.mean()) / 3, 0, 255).astype(np.uint8)


@pytest.fixture
def image_of() -> Callable[..., np.ndarray]:
    return make_image
