"""The check that the ``export`` extra is installed; its error names the command to install it."""

from __future__ import annotations

from importlib.util import find_spec

from ..core.errors import MissingDependencyError

_MODULES = ("torch", "torchvision", "onnx", "onnxscript", "safetensors", "PIL", "rich")


def require_export_extra(purpose: str) -> None:
    """Raises ``MissingDependencyError`` if a package that ``export/`` imports is not installed."""
    for module in _MODULES:
        if find_spec(module) is None:
            raise MissingDependencyError(module, "export", purpose)
