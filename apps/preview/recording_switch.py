"""The switch of a recording, which the page turns on and off during the run."""

from __future__ import annotations

from typing import Protocol


class RecordingSwitch(Protocol):
    """Starts and stops takes of a recording."""

    @property
    def active(self) -> bool:
        """True while it records."""

    def start(self) -> str:
        """Begins a take, and returns its folder.

        Raises:
            OutputError: it cannot be begun.
        """

    def stop(self) -> str:
        """Ends the take, and returns its folder.

        Raises:
            OutputError: it is not whole.
        """
