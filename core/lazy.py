"""Names of a package that load on first use, so that importing the package stays light."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping


def load_on_use(package: str, modules: Mapping[str, str]) -> Callable[[str], object]:
    """Returns the ``__getattr__`` of a package.

    Args:
        package: its ``__name__``.
        modules: for each name, the module below the package that defines it, such as ``runtime.bundle``.
    """

    def load(name: str) -> object:
        if name in modules:
            return getattr(importlib.import_module(f"{package}.{modules[name]}"), name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return load
