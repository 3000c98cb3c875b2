"""Sources of frames, opened by the name that the user typed after ``--source``."""

from __future__ import annotations

import glob
import numbers
import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from ...core.errors import SourceError
from ...core.files import check_regular
from ...core.registry import load
from ...core.schemes import SCHEMES
from ...core.source import Source
from .live import Interruption, LiveOptions, LiveSource, WaitingSource
from .uri import IMAGE_SUFFIXES, SourceUri, forms, parse, shown

_LIVE = {
    "v4l2": "edgeseg.runtime.sources.camera:CameraSource",
    "csi": "edgeseg.runtime.sources.gstreamer:CsiSource",
    "gst": "edgeseg.runtime.sources.gstreamer:GStreamerSource",
    "rtsp": "edgeseg.runtime.sources.rtsp:RtspSource",
    "rtsps": "edgeseg.runtime.sources.rtsp:RtspSource",
    "http": "edgeseg.runtime.sources.http.mjpeg:MjpegSource",
    "https": "edgeseg.runtime.sources.http.mjpeg:MjpegSource",
}


def register(scheme: str, target: str) -> None:
    """Adds a scheme: ``scheme:REST`` opens ``target`` with ``REST``.

    A source that is ``live`` is opened again whenever its ``read`` raises ``SourceError``, like a camera. A
    :class:`~edgeseg.runtime.sources.live.WaitingSource` gets the deadlines too.

    Args:
        scheme: letters and digits, at least two.
        target: ``package.module:Class`` of a :class:`edgeseg.Source`.

    Raises:
        SourceError: the scheme is taken.
    """
    if scheme in _LIVE:
        raise SourceError(f"a source scheme named {scheme!r} is registered already, as {_LIVE[scheme]}")
    SCHEMES.register(scheme, target)


def open_source(
    uri: str | int | os.PathLike[str],
    live: LiveOptions | None = None,
    stopping: threading.Event | None = None,
) -> Source:
    """Opens a source. Any thread may call it; :class:`.Source` names the calls that other threads may make afterwards.

    Args:
        uri: a camera's number or device (``/dev/video0``), a video file, an image, a folder or glob of images, a URL of
            :mod:`edgeseg.runtime.sources.uri`, or a registered ``scheme:REST`` such as ``aerial:7``.
        live: the times to wait for a camera or server.
        stopping: once set, all waits for a camera or server end: its ``read`` returns None.

    Raises:
        SourceError: there is no such source, or it cannot be read; the message names what was searched for.
    """
    options, parsed = live or LiveOptions(), parse(_text_of(uri), SCHEMES)
    interruption = Interruption(stopping)
    if parsed.scheme in _LIVE:
        opener = partial(_open_live, parsed, options)
        return LiveSource(parsed.public_name, opener, options, interruption)
    if parsed.scheme in SCHEMES:
        return _open_registered(parsed, options, interruption)
    if parsed.scheme == "images":
        return _open_images(parsed.rest)
    if not os.path.lexists(parsed.rest):
        raise SourceError(f"there is no {shown(parsed.rest)}: expected {forms(SCHEMES)}")
    try:
        check_regular(parsed.rest)
    except OSError as error:
        raise SourceError(f"cannot read {shown(parsed.rest)}: {error.strerror}") from error
    from .video.source import VideoSource

    return VideoSource(Path(parsed.rest), loop=parsed.options.get("loop") == "1")


def _text_of(uri: object) -> str:
    if isinstance(uri, os.PathLike):
        uri = os.fspath(uri)
    if isinstance(uri, str):
        return uri
    if isinstance(uri, numbers.Integral) and not isinstance(uri, bool):
        index = int(uri)
        if index >= 0:
            return str(index)
        raise SourceError(f"there is no camera {index}; expected a number from 0 on")
    kind = type(uri).__name__
    raise SourceError(f"a source is a text, a path or a camera's number, not of type {kind}")


def _open_live(uri: SourceUri, options: LiveOptions, interruption: Interruption) -> Source:
    source: Source = load(_LIVE[uri.scheme])(uri, options, interruption)
    return source


def _open_registered(uri: SourceUri, options: LiveOptions, interruption: Interruption) -> Source:
    """Opens a source of a registered scheme; a live one is opened again when lost."""
    target = load(SCHEMES.entry(uri.scheme))
    if not (isinstance(target, type) and issubclass(target, Source)):
        raise SourceError(
            f"{uri.scheme}: opens {SCHEMES.entry(uri.scheme)}, which is no source; derive it from edgeseg.Source"
        )
    if not target.live:
        return _made(target, uri)
    if issubclass(target, WaitingSource):
        return LiveSource(uri.public_name, partial(target, uri, options), options, interruption)
    return LiveSource(uri.public_name, lambda interruption: _made(target, uri), options, interruption)


def _made(target: Callable[[str], Source], uri: SourceUri) -> Source:
    return target(uri.rest)


def _open_images(path: str) -> Source:
    from .images import ImagesSource

    if os.path.isdir(path):
        suitable = (p for p in Path(path).iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
        return ImagesSource([p for p in suitable if not p.is_dir()], name=path)
    if os.path.exists(path):
        return ImagesSource([Path(path)], name=path)
    if any(character in path for character in "*?["):
        found = (Path(p) for p in glob.glob(path, recursive=True))
        return ImagesSource([p for p in found if not p.is_dir()], name=shown(path))
    raise SourceError(f"there is no {shown(path)}: expected {forms(SCHEMES)}")
