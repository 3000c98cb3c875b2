"""The schemes of sources that stand above the runtime register themselves here, so that it need not know them."""

from __future__ import annotations

from .errors import SourceError
from .registry import Registry

SCHEMES: Registry[str] = Registry("source scheme", SourceError)
"""``scheme:REST`` opens ``package.module:Class`` with ``REST``."""

TRIAL_SOURCE = "aerial:7"
"""Its frames are what ``--backend auto`` tries candidates on: registered with the package, and always the same."""
