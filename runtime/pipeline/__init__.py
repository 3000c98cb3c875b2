"""The run: threads that hand frames on, from sources to sinks, and what they measured."""

from __future__ import annotations

from .pipeline import Pipeline
from .report import RunReport
from .streams import Stream

__all__ = ["Pipeline", "RunReport", "Stream"]
