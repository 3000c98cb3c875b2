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
        """Whether any records now."""
        return any(sink.active for sink in self._sinks)

    def start(self) -> str:
        """Begins a take of each; says where they will be kept.

        Raises:
            OutputError: one cannot be begun. None records then.
        """
        try:
            return ", ".join([sink.start() for sink in self._sinks])
        except BaseException:
            self.stop()
            raise

    def stop(self) -> str:
        """Ends the takes; says where they are kept.

        Raises:
            OutputError: the end of one cannot be written.
        """
        return ", ".join(place for sink in self._sinks if (place := sink.stop()))
