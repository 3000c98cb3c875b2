"""Where frames come from, opened by what the user typed after ``--source``."""

from __future__ import annotations

import glob
import importlib
import re
from pathlib import Path

from ..errors import SourceError
from .base import Source

_SCHEMES: dict[str, str] = {}
_FORMS = "a camera index, a video file, a folder or glob of pictures"


def register(scheme: str, target: str) -> None:
    """Adds a scheme: ``scheme:REST`` opens ``target`` with ``REST``.

    Args:
        scheme: letters and digits, at least two.
        target: ``package.module:Class`` of a :class:`~edgeseg.runtime.sources.base.Source`, or of a class that
            has the same attributes.

    Raises:
        SourceError: the scheme is taken.
    """
    if scheme in _SCHEMES:
        raise SourceError(f"the scheme {scheme!r} is registered already, as {_SCHEMES[scheme]}")
    _SCHEMES[scheme] = target


def open_source(uri: str) -> Source:
    """Opens a source.

    Args:
        uri: a camera index (``0``) or device (``/dev/video0``), a video file, a picture, a folder or glob of
            pictures, or a registered ``scheme:REST`` such as ``aerial:7``.

    Raises:
        SourceError: nothing of the kind is there or can be read; the message says what was looked for.
    """
    from .camera import CameraSource
    from .pictures import PICTURE_SUFFIXES, PicturesSource
    from .video import VideoSource

    if uri.isdigit() or re.fullmatch(r"/dev/video\d+", uri):
        return CameraSource(int(uri.removeprefix("/dev/video")))
    path = Path(uri)
    if path.is_dir():
        found = sorted(p for p in path.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES and p.is_file())
        return PicturesSource(found, name=uri)
    if path.exists():
        return (
            PicturesSource([path], name=uri) if path.suffix.lower() in PICTURE_SUFFIXES else VideoSource(path)
        )
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):", uri)
    if scheme is not None and scheme[1] in _SCHEMES:
        module_name, class_name = _SCHEMES[scheme[1]].split(":")
        source: Source = getattr(importlib.import_module(module_name), class_name)(uri[scheme.end() :])
        return source
    if any(character in uri for character in "*?["):
        return PicturesSource(sorted(Path(p) for p in glob.glob(uri, recursive=True)), name=uri)
    if scheme is not None:
        raise SourceError(
            f"unknown scheme {scheme[1]!r} in {uri}; known: {_known_schemes()}; or give {_FORMS}"
        )
    raise SourceError(f"there is no {uri}: expected {_FORMS}, or {_known_schemes()}")


def _known_schemes() -> str:
    return ", ".join(f"{scheme}:…" for scheme in _SCHEMES)


register("aerial", "edgeseg.data.aerial.source:AerialSource")
