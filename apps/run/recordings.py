"""The recordings of all sources, behind one switch."""

from __future__ import annotations

from collections.abc import Sequence

from ..recording.sink import RecordingSink


class Recordings:
    """Starts and stops the recordings of several sources together.

    Args:
        sinks: one a source, at least one.
    """

    def __init__(self, sinks: Sequence[RecordingSink]) -> None:
        self._sinks = sinks

    @property
    def active(self) -> bool:
        """True if any recording is on."""
        return any(sink.active for sink in self._sinks)

    def start(self) -> str:
        """Begins a take of each source, and returns their folders.

        Raises:
            OutputError: one cannot be begun. Then all recordings are off.
        """
        try:
            return ", ".join([sink.start() for sink in self._sinks])
        except BaseException:
            self.stop()
            raise

    def stop(self) -> str:
        """Ends the takes, and returns their folders.

        Raises:
            OutputError: the end of one cannot be written.
        """
        return ", ".join(place for sink in self._sinks if (place := sink.stop()))
