"""The aerial world: a procedural place seen from a drone, with exact labels. It needs only the core install."""

from __future__ import annotations

from .dataset import AerialRequest, write_dataset
from .flight import AerialFlight
from .labels import AERIAL_LABELS
from .source import AerialSource
from .world import AerialWorld

__all__ = ["AERIAL_LABELS", "AerialFlight", "AerialRequest", "AerialSource", "AerialWorld", "write_dataset"]
