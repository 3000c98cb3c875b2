"""The switch of a recording, which the page turns on and off while the run goes on."""

from __future__ import annotations

from typing import Protocol


class RecordingSwitch(Protocol):
    """Starts and stops takes of a recording."""

    @property
    def active(self) -> bool:
        """True while it records."""

    def start(self) -> str:
        """Begins a take; says where it will be kept.

        Raises:
            OutputError: it cannot be begun.
        """

    def stop(self) -> str:
        """Ends the take; says where it is kept.

        Raises:
            OutputError: it is not whole.
        """
