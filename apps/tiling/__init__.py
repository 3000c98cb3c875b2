"""Segmentation of large images, such as orthophotos, tile by tile: an image in, its class map out.

An image may be larger than memory and than the network's field. The names below load on first use, so that the
command line's help loads quickly.

Example:
    >>> from edgeseg import Segmenter  # doctest: +SKIP
    >>> from edgeseg.apps.tiling import Tiling, open_image, open_class_map, segment_image  # doctest: +SKIP
    >>> with Segmenter("bundle/lraspp") as segmenter:  # doctest: +SKIP
    ...     tiling = Tiling.of(segmenter.bundle, tile_px=1024, overlap_px=128)
    ...     with open_image("ortho.tif", tiling.tile_hw) as image:
    ...         with open_class_map("classes.tif", image, segmenter.labels) as class_map:
    ...             report = segment_image(segmenter, image, class_map, tiling)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .plan import Tiling
    from .segment import TilingReport, segment_image
    from .sources import open_image
    from .targets import open_class_map

__all__ = ["Tiling", "TilingReport", "open_class_map", "open_image", "segment_image"]

_LAZY = {
    "Tiling": "plan",
    "TilingReport": "segment",
    "open_class_map": "targets",
    "open_image": "sources",
    "segment_image": "segment",
}


def __getattr__(name: str) -> object:
    if name in _LAZY:
        import importlib

        return getattr(importlib.import_module(f".{_LAZY[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
