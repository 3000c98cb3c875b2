"""GeoTIFFs: every layout read as it is, class maps at the same place on earth, and what is refused."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from edgeseg import LabelMap, Segmenter
from edgeseg.apps.tiling import Tiling, geotiff, open_class_map, open_image, segment_image
from edgeseg.apps.tiling.segment import TilingReport
from edgeseg.apps.tiling.sources import WholeImage
from edgeseg.core.errors import MissingDependencyError, OutputError, SourceError
from edgeseg.core.labels import VOID

rasterio = pytest.importorskip("rasterio")

PLACE = rasterio.transform.from_origin(500_000, 5_400_000, 0.05, 0.05)
OpenSegmenter = Callable[..., Segmenter]


def write(path: Path, bands: np.ndarray, mask: np.ndarray | None = None, **options: object) -> Path:
    """Writes bands, [B, H, W], as a TIFF at a place on earth."""
    count, height, width = bands.shape
    options = {"crs": "EPSG:32633", "transform": PLACE, **options}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with (
            rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
            rasterio.open(
                path,
                "w",
                driver="GTiff",
                dtype=bands.dtype,
                count=count,
                height=height,
                width=width,
                **options,
            ) as file,
        ):
            file.write(bands)
            if mask is not None:
                file.write_mask(mask)
    return path


@pytest.fixture
def bands(image_of: Callable[..., np.ndarray]) -> np.ndarray:
    return np.moveaxis(image_of((150, 230))[..., ::-1], 2, 0)  # [3, H, W] RGB


TILED = {"tiled": True, "blockxsize": 64, "blockysize": 64}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compress": "lzw", "blockysize": 7},
        {"compress": "deflate", **TILED},
        {"compress": "deflate", "predictor": 2, "interleave": "band", **TILED},
        {"compress": "jpeg", "photometric": "ycbcr", "interleave": "pixel", "jpeg_quality": 95, **TILED},
        {"BIGTIFF": "YES", **TILED},
        {"crs": None, "transform": None},
    ],
    ids=str,
)
def test_windows_are_what_the_file_holds(
    tmp_path: Path, bands: np.ndarray, options: dict[str, object]
) -> None:
    path = write(tmp_path / "a.tif", bands, **options)
    with rasterio.open(path) as file:
        whole_bgr = np.moveaxis(file.read(), 0, 2)[..., ::-1]
    assert np.abs(whole_bgr.astype(int) - np.moveaxis(bands, 0, 2)[..., ::-1]).mean() < 6  # JPEG's loss
    with open_image(path, (64, 64)) as image:
        assert image.size_hw == (150, 230)
        for top, left, height, width in ((0, 0, 150, 230), (13, 60, 80, 70), (149, 229, 1, 1)):
            window, valid = image.read(top, left, height, width)
            np.testing.assert_array_equal(window, whole_bgr[top : top + height, left : left + width])
            assert window.flags.c_contiguous
            assert valid is None


def test_grey_palette_and_other_orders_of_bands(tmp_path: Path, bands: np.ndarray) -> None:
    grey = write(tmp_path / "grey.tif", bands[:1])
    with open_image(grey) as image:
        np.testing.assert_array_equal(
            image.read(0, 0, 150, 230)[0], np.repeat(bands[0][..., None], 3, axis=2)
        )
    indexed = write(tmp_path / "indexed.tif", bands[:1], photometric="palette")
    with rasterio.open(indexed, "r+") as file:
        file.write_colormap(1, {index: (index, 255 - index, 7, 255) for index in range(256)})
    with open_image(indexed) as image:
        bgr = np.stack([np.full_like(bands[0], 7), 255 - bands[0], bands[0]], axis=2)
        np.testing.assert_array_equal(image.read(0, 0, 150, 230)[0], bgr)
    turned = write(
        tmp_path / "turned.tif", np.concatenate([bands[::-1], bands[:1]]), photometric="minisblack"
    )
    with rasterio.open(turned, "r+") as file:
        names = ("blue", "green", "red", "undefined")
        file.colorinterp = [rasterio.enums.ColorInterp[name] for name in names]
    with open_image(turned) as image:
        window, valid = image.read(0, 0, 150, 230)
        np.testing.assert_array_equal(window, np.moveaxis(bands[::-1], 0, 2))
        assert valid is None


@pytest.mark.parametrize("kind", ["alpha", "nodata", "mask"])
def test_what_has_no_data_is_not_valid(tmp_path: Path, bands: np.ndarray, kind: str) -> None:
    hole = np.zeros((150, 230), bool)
    hole[20:90, 100:] = True
    bands = np.maximum(bands, 1)
    if kind == "alpha":
        alpha = np.where(hole, 0, 255).astype(np.uint8)[None]
        path = write(tmp_path / "a.tif", np.concatenate([bands, alpha]), photometric="rgb", alpha="yes")
    elif kind == "nodata":
        path = write(tmp_path / "a.tif", np.where(hole, 0, bands).astype(np.uint8), nodata=0)
    else:
        path = write(tmp_path / "a.tif", bands, mask=~hole)
    with open_image(path) as image:
        window, valid = image.read(10, 50, 100, 150)
    assert valid is not None
    np.testing.assert_array_equal(valid, ~hole[10:110, 50:200])
    np.testing.assert_array_equal(window[valid], np.moveaxis(bands[::-1], 0, 2)[10:110, 50:200][valid])


def segment(
    segmenter: Segmenter, source: Path, out: Path, overlap: int = 8, force: bool = False
) -> TilingReport:
    tiling = Tiling.of(segmenter.bundle, None, overlap)
    with (
        open_image(source, tiling.tile_hw) as image,
        open_class_map(out, image, segmenter.labels, force) as class_map,
    ):
        return segment_image(segmenter, image, class_map, tiling)


def test_the_class_map_lies_where_the_image_lies(
    tmp_path: Path, open_segmenter: OpenSegmenter, tiled: Callable[..., tuple[np.ndarray, TilingReport]],
    image_of: Callable[..., np.ndarray],
) -> None:  # fmt: skip
    segmenter, image_bgr = open_segmenter(), np.maximum(image_of((700, 530)), 1)
    image_bgr[100:300, 50:250] = 0
    path = write(tmp_path / "a.tif", np.moveaxis(image_bgr[..., ::-1], 2, 0), nodata=0, **TILED)
    report = segment(segmenter, path, tmp_path / "out" / "classes.tif")
    assert report.empty_tiles > 0
    with rasterio.open(tmp_path / "out" / "classes.tif") as file:
        assert (file.crs.to_epsg(), file.transform, file.nodata) == (32633, PLACE, VOID)
        assert (file.dtypes, file.block_shapes, file.compression.name) == (
            ("uint8",),
            [(256, 256)],
            "deflate",
        )
        palette = segmenter.labels.palette_rgb()
        assert [file.colormap(1)[index][:3] for index in range(3)] == [
            tuple(rgb) for rgb in palette[:3].tolist()
        ]
        assert file.colormap(1)[VOID][:3] == tuple(palette[VOID].tolist())
        assert file.tags(1)["class_2"] == "bright"
        classes = file.read(1)
    alpha = np.where((image_bgr == 0).all(axis=2), 0, 255).astype(np.uint8)
    expected, _ = tiled(segmenter, WholeImage(np.dstack([image_bgr, alpha])), None, 8)
    np.testing.assert_array_equal(classes, expected)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["classes.tif"]


def test_ground_control_points_are_kept(
    tmp_path: Path, bands: np.ndarray, open_segmenter: OpenSegmenter
) -> None:
    points = [
        rasterio.control.GroundControlPoint(r, c, 10 + c / 1e3, 50 - r / 1e3)
        for r, c in ((0, 0), (0, 99), (99, 0))
    ]
    path = write(tmp_path / "a.tif", bands, crs="EPSG:4326", transform=None, gcps=points)
    segment(open_segmenter(), path, tmp_path / "classes.tif")
    with rasterio.open(tmp_path / "classes.tif") as file:
        kept, crs = file.gcps
    assert crs.to_epsg() == 4326
    assert [(p.row, p.col, p.x, p.y) for p in kept] == [(p.row, p.col, p.x, p.y) for p in points]


def test_gdals_cache_is_bounded_and_given_back(tmp_path: Path, bands: np.ndarray) -> None:
    from rasterio.env import get_gdal_config

    path = write(tmp_path / "a.tif", bands, compress="lzw", blockysize=7)
    before = get_gdal_config("GDAL_CACHEMAX")
    with open_image(path, (64, 64)):
        assert get_gdal_config("GDAL_CACHEMAX") == (64 // 7 + 2) * 7 * 230 * 3 + (16 << 20)
    assert get_gdal_config("GDAL_CACHEMAX") == before


def test_what_cannot_be_read_is_refused(
    tmp_path: Path, bands: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path) -> str:
        with pytest.raises(SourceError) as error:
            open_image(path)
        assert "\n" not in str(error.value)
        return str(error.value)

    deep = write(tmp_path / "deep.tif", bands.astype(np.uint16) * 200)
    assert "deep.tif has pixels of uint16; expected 8 bits in each band" in refused(deep)
    many = write(tmp_path / "many.tif", np.concatenate([bands, bands]))
    assert "many.tif has 6 bands; expected 1 to 4" in refused(many)
    (tmp_path / "none.tif").write_bytes(b"II*\0")
    assert "cannot open" in refused(tmp_path / "none.tif")
    monkeypatch.setattr(geotiff, "_MAX_BLOCK_BYTES", 60_000)
    solid = write(tmp_path / "solid.tif", bands, compress="lzw", blockysize=150)
    assert "stored in blocks of 230 x 150 pixels" in refused(solid)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_name_that_gdal_cannot_take_is_said(tmp_path: Path, bands: np.ndarray, labels: LabelMap) -> None:
    named = tmp_path / os.fsdecode(b"t\xff.tif")
    write(tmp_path / "a.tif", bands).rename(named)
    with pytest.raises(SourceError, match="the name is not UTF-8, and GDAL"):
        open_image(named)
    with open_image(write(tmp_path / "b.tif", bands)) as image:
        with pytest.raises(OutputError, match="the name is not UTF-8, and GDAL"):
            open_class_map(tmp_path / os.fsdecode(b"c\xff.tif"), image, labels)
        assert len(list(tmp_path.iterdir())) == 2


def test_a_truncated_file_ends_the_run_and_leaves_nothing(
    tmp_path: Path, open_segmenter: OpenSegmenter, image_of: Callable[..., np.ndarray]
) -> None:
    path = write(tmp_path / "a.tif", np.moveaxis(image_of((300, 300)), 2, 0), compress="deflate", **TILED)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(SourceError, match=r"a\.tif is damaged or truncated near row \d+, column \d+: "):
        segment(open_segmenter(), path, tmp_path / "classes.tif")
    assert [p.name for p in tmp_path.iterdir()] == ["a.tif"]


def test_the_name_of_the_class_map_must_fit(tmp_path: Path, bands: np.ndarray, labels: LabelMap) -> None:
    with open_image(write(tmp_path / "a.tif", bands)) as image:
        with pytest.raises(
            OutputError, match=r"the class map of .*a\.tif is a tif file; got .*b\.png: name it so"
        ):
            open_class_map(tmp_path / "b.png", image, labels)
        with pytest.raises(OutputError, match=r"a\.tif exists; give --force"):
            open_class_map(tmp_path / "a.tif", image, labels)


LIMITED = """
import resource, signal, sys
from pathlib import Path
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from edgeseg import LabelMap
from edgeseg.core.errors import OutputError
from edgeseg.apps.tiling import open_class_map, open_image
import numpy as np
labels = LabelMap.generic(250)
with open_image(sys.argv[1]) as image:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
    try:
        with open_class_map(sys.argv[2], image, labels) as class_map:
            noise = np.random.default_rng(0)
            for _ in range(image.size_hw[0] // 50):
                class_map.write(noise.integers(0, 250, (50, image.size_hw[1]), np.uint8))
    except OutputError as error:
        sys.exit(f"refused: {error}")
"""


@pytest.mark.parametrize("limit", [300, 60_000, 599_000])
def test_a_full_disk_leaves_nothing(tmp_path: Path, limit: int) -> None:
    """A limit on a file's size is what a full disk looks like. Of the last, only the end is missing."""
    source = write(tmp_path / "a.tif", np.zeros((3, 1000, 600), np.uint8), compress="lzw")
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, source, tmp_path / "out.tif", str(limit)],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert "refused: cannot write" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]


def test_a_block_that_is_lost_without_a_word_is_found(
    tmp_path: Path, bands: np.ndarray, labels: LabelMap
) -> None:
    """GDAL may keep to itself that it could not write."""

    class Forgetful:
        def __init__(self, dataset: object) -> None:
            self._dataset = dataset

        def write(self, *args: object, **options: object) -> None: ...

        def close(self) -> None:
            self._dataset.close()

    with open_image(write(tmp_path / "a.tif", bands)) as image:
        class_map = open_class_map(tmp_path / "b.tif", image, labels)
        class_map._dataset = Forgetful(class_map._dataset)
        class_map.write(np.ones((150, 230), np.uint8))
        with pytest.raises(OutputError, match=r"b\.tif: it reads back otherwise, as when the disk is full"):
            class_map.close(commit=True)
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]


def test_a_class_map_that_lacks_rows_is_not_kept(tmp_path: Path, bands: np.ndarray, labels: LabelMap) -> None:
    with open_image(write(tmp_path / "a.tif", bands)) as image:
        class_map = open_class_map(tmp_path / "b.tif", image, labels)
        class_map.write(np.ones((149, 230), np.uint8))
        with pytest.raises(OutputError, match=r"b\.tif was given 149 of 150 rows, and is not kept"):
            class_map.close(commit=True)
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]


@pytest.fixture
def without_rasterio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rasterio", None)


@pytest.mark.usefixtures("without_rasterio")
def test_without_rasterio_a_small_plain_tiff_is_read_whole(tmp_path: Path, bands: np.ndarray) -> None:
    image_bgr = np.moveaxis(bands[::-1], 0, 2)
    cv2.imwrite(str(tmp_path / "a.tif"), image_bgr)
    with open_image(tmp_path / "a.tif") as image:
        assert isinstance(image, WholeImage)
        np.testing.assert_array_equal(image.read(0, 0, 150, 230)[0], image_bgr)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, "is georeferenced"),
        ({"crs": None, "transform": None, "nodata": 0}, "marks pixels without data"),
        ({"crs": None, "transform": None, "BIGTIFF": "YES"}, "is a BigTIFF"),
        ({"crs": None, "transform": None, "SPARSE_OK": True}, "has 68 megapixels"),
    ],
)
def test_without_rasterio_other_tiffs_say_what_to_install(
    tmp_path: Path,
    bands: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, object],
    reason: str,
) -> None:
    if "SPARSE_OK" in options:
        path = tmp_path / "a.tif"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rasterio.open(
                path, "w", driver="GTiff", dtype="uint8", count=3, height=8200, width=8300, **options
            ).close()
    else:
        path = write(tmp_path / "a.tif", bands, **options)
    monkeypatch.setitem(sys.modules, "rasterio", None)
    with pytest.raises(MissingDependencyError) as error:
        open_image(path)
    assert str(error.value) == (
        f'{path}, which {reason}, needs rasterio, which is not installed: pip install "edgeseg[ortho]"'
    )
