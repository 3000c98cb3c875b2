"""The pipeline: threads that pass frames from sources to sinks, and the measurements of a run."""

from __future__ import annotations

from .options import PipelineOptions
from .pipeline import Pipeline
from .report import RunReport
from .streams import Stream

__all__ = ["Pipeline", "PipelineOptions", "RunReport", "Stream"]
