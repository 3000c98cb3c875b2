"""Switches between the suite and the process that it sabotages: files in a folder, on while they are there."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

VARIABLE = "EDGESEG_FAULTS"
"""Names the folder in the environment of a sabotaged process."""


class Switches:
    """Switches in a folder. Looking at one takes some microseconds.

    Args:
        folder: that is there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def of_environment(cls) -> Switches:
        """Those that this process was started with."""
        return cls(Path(os.environ[VARIABLE]))

    def on(self, name: str, value: float = 1.0) -> None:
        """Switches a fault on; the value says how much of it."""
        partial = self._folder / f".{name}"
        partial.write_text(str(value))
        os.replace(partial, self._folder / name)

    def off(self, name: str) -> None:
        """Switches a fault off."""
        (self._folder / name).unlink(missing_ok=True)

    def value(self, name: str) -> float:
        """The strength of a fault; 0 if it is off."""
        try:
            return float((self._folder / name).read_text())
        except FileNotFoundError:
            return 0.0

    def hang(self, name: str) -> None:
        """If a switch is on, reports it and never returns from the C library, where Python cannot stop a thread."""
        if self.value(name):
            self.on(reached(name))
            ctypes.CDLL(None).sleep(100_000)

    def is_reached(self, name: str) -> bool:
        """True if something hangs because of a switch."""
        return bool(self.value(reached(name)))


def reached(name: str) -> str:
    """The switch that says that another has been looked at while it was on."""
    return f"{name}.reached"
