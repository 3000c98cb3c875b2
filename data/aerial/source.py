"""The aerial world as a video source: ``aerial:SEED``."""

from __future__ import annotations

from urllib.parse import parse_qsl

from ...core.arrays import Frame
from ...core.errors import SourceError
from ...core.source import Source
from .camera import FIELD_OF_VIEW_DEG
from .flight import FPS, AerialFlight

_FORM = 'expected "aerial:SEED" or "aerial:SEED?size=HxW&frames=N&fps=F", as in "aerial:7?size=512x512"'
_SIDE_PX = (32, 4096)


class AerialSource(Source):
    """A source that gives a flight over the aerial world, like a camera.

    Args:
        spec: the text after ``aerial:``, such as ``"7"`` or ``"7?size=512x512&frames=100&fps=25"``. Without ``frames``
            the flight has no end. ``fps`` is the rate that the source reports and uses.

    Attributes:
        name: ``aerial:`` and the spec.
        fps: frames per second.
        size_hw: height and width of the frames.
        frame_pose: of the drone; its time begins at 0 with the first frame.

    Raises:
        SourceError: the spec is malformed.

    Example:
        >>> with AerialSource("7?frames=2") as source:
        ...     frame_bgr = source.read()
    """

    knows_pose = True
    horizontal_fov_deg = FIELD_OF_VIEW_DEG

    def __init__(self, spec: str) -> None:
        self.name = f"aerial:{spec}"
        seed_text, _, query = spec.partition("?")
        if not (seed_text.isascii() and seed_text.isdigit()):
            raise self._error(f"the seed {seed_text!r} is not a whole number of 0 or more")
        options = {"size": "512x512", "frames": "", "fps": str(FPS)}
        try:
            pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True) if query else []
        except ValueError as error:
            raise self._error(f"cannot read the options {query!r}") from error
        for key, value in pairs:
            if key not in options:
                raise self._error(f"unknown option {key!r}")
            options[key] = value
        self.size_hw = self._size(options["size"])
        self.fps = self._fps(options["fps"])
        self._left = self._frames(options["frames"]) if any(key == "frames" for key, _ in pairs) else None
        self._flight: AerialFlight | None = AerialFlight(int(seed_text), self.size_hw, fps=self.fps)
        self._next = 0

    def _error(self, what: str) -> SourceError:
        return SourceError(f"{self.name}: {what}; {_FORM}")

    def _size(self, text: str) -> tuple[int, int]:
        parts = text.split("x")
        if len(parts) != 2 or not all(part.isascii() and part.isdigit() for part in parts):
            raise self._error(f"the size {text!r} is not of the form HxW")
        height, width = int(parts[0]), int(parts[1])
        if not all(_SIDE_PX[0] <= side <= _SIDE_PX[1] for side in (height, width)):
            raise self._error(f"the size {text} has a side outside {_SIDE_PX[0]} to {_SIDE_PX[1]} pixels")
        return height, width

    def _frames(self, text: str) -> int:
        if not (text.isascii() and text.isdigit() and int(text) > 0):
            raise self._error(f"frames={text} is not a whole number of 1 or more")
        return int(text)

    def _fps(self, text: str) -> float:
        try:
            fps = float(text)
        except ValueError as error:
            raise self._error(f"fps={text} is not a number") from error
        if not 1 <= fps <= 240:
            raise self._error(f"fps={text} is outside 1 to 240")
        return fps

    def read(self) -> Frame | None:
        """Returns the next frame, uint8 [H, W, 3] BGR, or None after the last. The first builds the world (seconds)."""
        if self._flight is None or (self._left is not None and self._next >= self._left):
            return None
        frame, _ = self._flight.frame(self._next)
        at = self._next / self._flight.fps
        self.frame_pose = self._flight.pose(at).of_vehicle(at)
        self._next += 1
        return frame

    def close(self) -> None:
        """Releases the world; further reads return None."""
        self._flight = None
