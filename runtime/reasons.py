"""The reasons: one word for each cause that makes a result not valid.

A :class:`~edgeseg.runtime.result.Segmentation` that is not valid has one of these words as its ``reason``. They are
part of the interface of events, metrics and shared memory: words are added, never changed.
"""

from __future__ import annotations

STALE = "stale"
FROZEN = "frozen"
DARK = "dark"
SATURATED = "saturated"
CORRUPT = "corrupt"
RESOLUTION_CHANGED = "resolution-changed"
NOT_FINITE = "not-finite"
SOURCE_LOST = "source-lost"
BACKEND_FAILED = "backend-failed"
FRAMES_MISSING = "frames-missing"

MEANING = {
    STALE: "the newest frame is older than --max-age allows",
    FROZEN: "the camera has repeated one frame for too long",
    DARK: "the frame is black",
    SATURATED: "the frame is white",
    CORRUPT: "the frame did not arrive whole",
    RESOLUTION_CHANGED: "the stream's size has changed and is being followed",
    NOT_FINITE: "the network gave numbers that are not finite",
    SOURCE_LOST: "the source is not there; it is being opened again",
    BACKEND_FAILED: "inference failed or does not answer",
    FRAMES_MISSING: "the film lacks frames here, as where it is damaged",
}
"""The meaning of each reason, as text."""

CODES = {reason: code for code, reason in enumerate(MEANING, 1)}
"""A number for each reason, for binary interfaces; 0 is valid."""
