"""GeoTIFFs through rasterio: read by windows, and written with the same georeference."""

from __future__ import annotations

import importlib
import warnings
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ...core.arrays import ClassMap
from ...core.errors import MissingDependencyError, OutputError, SourceError
from ...core.labels import VOID, LabelMap
from ...core.native_name import is_utf8
from .sources import WindowedImage, WindowPixels
from .targets import ClassMapFile

_CACHE = "GDAL_CACHEMAX"
_NOT_UTF8 = "the name is not UTF-8, and GDAL, which reads and writes GeoTIFFs, takes no other: rename it"
_BLOCK_PX = 256
_MAX_BLOCK_BYTES = 1 << 29
_SPARE_CACHE_BYTES = 16 << 20


def has_rasterio() -> bool:
    """True if rasterio is installed."""
    try:
        importlib.import_module("rasterio")
    except ImportError:
        return False
    return True


def _rasterio() -> Any:
    try:
        return importlib.import_module("rasterio")
    except ImportError as error:
        raise MissingDependencyError("rasterio", "ortho", "a GeoTIFF") from error


class GeoTiffImage(WindowedImage):
    """A TIFF of any size. Only windows of it are in memory.

    Bands are grey, palette, RGB, or RGB and a fourth, which is alpha or is ignored. A pixel is not valid if the
    file's nodata value, mask or alpha marks it as without data.

    Args:
        path: of the file.
        tile_hw: size of the windows. If they are read row by row, every block of the file is decoded about once.

    Raises:
        SourceError: it cannot be opened, or has unsupported bands.
        MissingDependencyError: rasterio is not installed.
    """

    def __init__(self, path: Path, tile_hw: tuple[int, int]) -> None:
        rasterio = _rasterio()
        self.name = str(path)
        if not is_utf8(self.name):
            raise SourceError(f"{path}: {_NOT_UTF8}")
        self._errors: Any = importlib.import_module("rasterio.errors")
        self._window: Any = importlib.import_module("rasterio.windows").Window
        with ExitStack() as stack:
            try:
                with _without_georeference_is_fine():
                    self.dataset: Any = stack.enter_context(rasterio.open(path, driver="GTiff"))
            except self._errors.RasterioError as error:
                raise SourceError(f"cannot open {path} as a TIFF: {_brief(error)}") from error
            self.size_hw = self.dataset.height, self.dataset.width
            self._check()
            self._bands_bgr = _bands_bgr(self.dataset)
            self._palette_bgr = self._palette()
            all_valid = importlib.import_module("rasterio.enums").MaskFlags.all_valid
            self._masked = any(all_valid not in flags for flags in self.dataset.mask_flag_enums)
            # GDAL's default is a share of the machine's memory. Leaving a rasterio.Env would not restore it.
            settings: Any = importlib.import_module("rasterio.env")
            before = settings.get_gdal_config(_CACHE)
            settings.set_gdal_config(_CACHE, self._cache_bytes(tile_hw))
            stack.callback(settings.set_gdal_config, _CACHE, before)
            self._stack = stack.pop_all()

    def read(self, top: int, left: int, height: int, width: int) -> WindowPixels:
        """Reads a window that lies inside the image.

        Raises:
            SourceError: the file is damaged there.
        """
        window = self._window(left, top, width, height)
        try:
            planes = self.dataset.read(self._bands_bgr, window=window)  # [3 or 1, H, W]
            valid = self.dataset.dataset_mask(window=window) > 0 if self._masked else None
        except self._errors.RasterioError as error:
            raise SourceError(
                f"{self.name} is damaged or truncated near row {top}, column {left}: {_brief(error)}"
            ) from error
        if self._palette_bgr is not None:
            return self._palette_bgr[planes[0]], valid
        return np.asarray(cv2.merge(list(planes) if len(planes) == 3 else [planes[0]] * 3), np.uint8), valid

    def close(self) -> None:
        """Closes the file, and restores the size of GDAL's cache."""
        self._stack.close()

    def _check(self) -> None:
        kinds = set(self.dataset.dtypes)
        if kinds != {"uint8"}:
            raise SourceError(
                f"{self.name} has pixels of {', '.join(sorted(kinds))}; expected 8 bits in each band, as from a camera:"
                " gdal_translate -ot Byte -scale makes them"
            )
        if self.dataset.count > 4:
            raise SourceError(
                f"{self.name} has {self.dataset.count} bands; expected 1 to 4:"
                " gdal_translate -b 1 -b 2 -b 3 takes the first three"
            )
        height, width = self.dataset.block_shapes[0]
        if height * width * self.dataset.count > _MAX_BLOCK_BYTES:
            raise SourceError(
                f"{self.name} is stored in blocks of {width} x {height} pixels, each of which must be read whole;"
                " gdal_translate -co TILED=YES makes smaller ones"
            )

    def _palette(self) -> npt.NDArray[np.uint8] | None:
        """The colours of a palette image, uint8 [256, 3] BGR; None if it has no palette."""
        if self.dataset.colorinterp[0].name != "palette":
            return None
        palette_bgr = np.zeros((256, 3), np.uint8)
        for index, rgba in self.dataset.colormap(1).items():
            palette_bgr[index] = rgba[2::-1]
        return palette_bgr

    def _cache_bytes(self, tile_hw: tuple[int, int]) -> int:
        """Memory for the blocks of one window; if blocks span the image, for those of one row of windows."""
        needed = int(self.dataset.count)
        for tile, side, block in zip(tile_hw, self.size_hw, self.dataset.block_shapes[0], strict=True):
            needed *= block * min(-(-tile // block) + 1, -(-side // block))
        return needed + _SPARE_CACHE_BYTES


class GeoTiffClassMap(ClassMapFile):
    """A tiled, deflated GeoTIFF: pixel value = class id, 255 = void = nodata, with the labels' colours.

    Args:
        path: of the file to be.
        image: gives the size and the georeference.
        labels: the classes, for the colours; their names become tags of the band.
        force: whether it may replace an existing file.

    Raises:
        OutputError: the file exists and ``force`` is false, or cannot be made.
    """

    def __init__(self, path: Path, image: GeoTiffImage, labels: LabelMap, force: bool = False) -> None:
        if not is_utf8(str(path)):
            raise OutputError(f"{path}: {_NOT_UTF8}")
        super().__init__(path, image.size_hw, force)
        self._errors = image._errors
        self._window = image._window
        self._open: Any = _rasterio().open
        # Rows are kept until they fill the file's blocks: a block that is written twice is stored twice.
        self._waiting = np.empty((_BLOCK_PX, self.size_hw[1]), np.uint8)
        self._filled = self._flushed = 0
        self._crc = 0
        source = image.dataset
        points, points_crs = source.gcps
        with self._failing(), _without_georeference_is_fine():
            self._dataset: Any = self._open(
                self._partial, "w", driver="GTiff", dtype="uint8", count=1, nodata=VOID,
                height=self.size_hw[0], width=self.size_hw[1], crs=source.crs, transform=source.transform,
                compress="deflate", photometric="palette", tiled=True, blockxsize=_BLOCK_PX,
                blockysize=_BLOCK_PX, BIGTIFF="IF_SAFER",
            )  # fmt: skip
            if points:
                self._dataset.gcps = points, points_crs
            palette = {index: (*rgb, 255) for index, rgb in enumerate(labels.palette_rgb().tolist())}
            self._dataset.write_colormap(1, palette)
            self._dataset.update_tags(
                1, **{f"class_{index}": name for index, name in enumerate(labels.names)}
            )
            if "AREA_OR_POINT" in source.tags():
                self._dataset.update_tags(AREA_OR_POINT=source.tags()["AREA_OR_POINT"])

    def _write(self, classes: ClassMap) -> None:
        self._crc = zlib.crc32(np.ascontiguousarray(classes).data, self._crc)
        while len(classes):
            taken = min(len(classes), _BLOCK_PX - self._filled)
            self._waiting[self._filled : self._filled + taken] = classes[:taken]
            self._filled += taken
            classes = classes[taken:]
            if self._filled == _BLOCK_PX:
                self._flush()

    def _flush(self) -> None:
        window = self._window(0, self._flushed, self.size_hw[1], self._filled)
        with self._failing():
            self._dataset.write(self._waiting[: self._filled], 1, window=window)
        self._flushed += self._filled
        self._filled = 0

    def _finish(self, commit: bool) -> None:
        if commit and self._filled:
            self._flush()
        with self._failing():
            self._dataset.close()
        if commit and self._crc != self._crc_on_disk():
            raise OutputError(f"cannot write {self.path}: it reads back otherwise, as when the disk is full")

    def _crc_on_disk(self) -> int:
        """Reads the file again for its checksum. GDAL writes blocks late, and does not report errors at the end."""
        crc = 0
        with self._failing(), _without_georeference_is_fine(), self._open(self._partial) as dataset:
            for top in range(0, self.size_hw[0], _BLOCK_PX):
                height = min(_BLOCK_PX, self.size_hw[0] - top)
                window = self._window(0, top, self.size_hw[1], height)
                crc = zlib.crc32(dataset.read(1, window=window, out=self._waiting[:height]).data, crc)
        return crc

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except self._errors.RasterioError as error:
            raise OutputError(f"cannot write {self.path}: {_brief(error)}") from error


def _bands_bgr(dataset: Any) -> list[int]:
    """The numbers of the blue, green and red bands, or of the only band."""
    if dataset.count < 3:
        return [1]
    colours = [colour.name for colour in dataset.colorinterp]
    if {"blue", "green", "red"} <= set(colours):
        return [colours.index(colour) + 1 for colour in ("blue", "green", "red")]
    return [3, 2, 1]


@contextmanager
def _without_georeference_is_fine() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", importlib.import_module("rasterio.errors").NotGeoreferencedWarning)
        yield


def _brief(error: BaseException) -> str:
    """The first line of GDAL's message, or else of rasterio's."""
    return str(error.__cause__ or error).strip().splitlines()[0]
