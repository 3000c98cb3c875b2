"""A sink that gives results to a function of the embedding program."""

from __future__ import annotations

from collections.abc import Callable

from ...core.errors import UsageError
from .base import Output, Sink

_MOST_FAILURES = 5


class CallbackSink(Sink):
    """Calls a function with each output, in a thread of its own, one call at a time.

    An exception of the function is counted and reported. After five in a row it is called no more, and inference goes
    on. It may raise :class:`~edgeseg.runtime.sinks.base.StopRequested` to end the run. It must not write into the
    output's arrays, and may keep them for any time.

    Example:
        >>> sink = CallbackSink(lambda output: print(output.result.valid, output.shares), beats=True)

    Args:
        function: takes an :class:`~edgeseg.runtime.sinks.base.Output`; its ``result`` is the ``Segmentation``.
        name: for display.
        lossless: call it with every frame of a source that is not live.
        beats: also call it, several times a second, while there is no new frame: see ``Output.beat``.

    Raises:
        UsageError: ``function`` cannot be called.
    """

    most_failures = _MOST_FAILURES
    ephemeral = True
    is_acted_on = True

    def __init__(
        self,
        function: Callable[[Output], object],
        name: str = "callback",
        lossless: bool = True,
        beats: bool = False,
    ) -> None:
        if not callable(function):
            raise UsageError(f"CallbackSink takes a function of one output, got {type(function).__name__}")
        self.name = name
        self.lossless = lossless
        self.beats = beats
        self._function = function

    def write(self, output: Output) -> None:
        """Calls the function."""
        self._function(output)

    def close(self, commit: bool) -> None:
        """Does nothing: the function belongs to the embedding program."""
