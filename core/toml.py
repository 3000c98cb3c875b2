"""TOML, read by Python itself, or on Python 3.10 by the package that its reader came from."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from .errors import EdgesegError, UsageError


def parse_toml(text: str, what: str, error: type[EdgesegError] = UsageError) -> dict[str, Any]:
    """Parses TOML.

    Args:
        text: the document.
        what: its description in messages, such as ``--config camera.toml``.
        error: the kind of error to raise for a document that is not TOML.

    Raises:
        EdgesegError: of the kind ``error``: it is not TOML, is nested too deep, or has numbers too long to read.
        UsageError: Python 3.10 lacks the package ``tomli``.
    """
    name = "tomllib" if sys.version_info >= (3, 11) else "tomli"
    try:
        tomllib = importlib.import_module(name)
    except ImportError as problem:
        raise UsageError(f"{what} needs {name}, which is not installed: pip install {name}") from problem
    try:
        values: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise error(f"{what}: not TOML: {problem}") from problem
    except (RecursionError, ValueError) as problem:
        raise error(f"{what}: not TOML that can be read: nested too deep or numbers too long") from problem
    return values
