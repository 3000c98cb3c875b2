"""The registry of schemes of sources outside the runtime, so that the runtime need not know them."""

from __future__ import annotations

from .errors import SourceError
from .registry import Registry

SCHEMES: Registry[str] = Registry("source scheme", SourceError)
"""``scheme:REST`` opens ``package.module:Class`` with ``REST``."""

TRIAL_SOURCE = "aerial:7"
"""The source for trials of ``--backend auto``. It is registered with the package, and its frames never change."""
