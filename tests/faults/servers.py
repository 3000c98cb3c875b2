"""The servers of moving images that the suite misuses: those of edgeseg's own tests."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from .outcome import NotHereError

_FOLDER = Path(__file__).resolve().parents[1] / "support" / "servers"


def mjpeg_server(**settings: Any) -> Any:
    """An HTTP server of Motion JPEG on loopback; ``settings`` as its attributes."""
    return _started("mjpeg", "MjpegServer", settings)


def rtsp_server(**settings: Any) -> Any:
    """An RTSP server on loopback; likewise."""
    return _started("rtsp", "RtspServer", settings)


def thin_link(port: int, chunk: int = 1448) -> Any:
    """A relay before the server at a port, which may be made thin or stand still while it runs.

    Args:
        port: of the server on loopback.
        chunk: bytes that it sends at once, where it is thin.
    """
    return _load("thin").ThinLink(port, None, chunk)


def two_sizes() -> bytes:
    """H.264 of one size, then of another."""
    return (_FOLDER / "two-sizes.h264").read_bytes()


def _started(module: str, name: str, settings: dict[str, Any]) -> Any:
    server = getattr(_load(module), name)()
    for key, value in settings.items():
        setattr(server, key, value)
    return server


@cache
def _load(name: str) -> ModuleType:
    path = _FOLDER / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"edgeseg_test_server_{name}", path)
    if spec is None or spec.loader is None or not path.exists():
        raise NotHereError(
            f"there is no {path}: the fault suite runs in a checkout, which has the tests' servers"
        )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
