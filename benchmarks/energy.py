"""Energy, if the platform reports it: RAPL on PCs, the power monitors of tegrastats on a Jetson."""

from __future__ import annotations

import threading
import time
from pathlib import Path

_RAPL = "sys/class/powercap"
_INA = "sys/bus/i2c/drivers/ina3221"
_SAMPLE_SECONDS = 0.02
_TOTAL_RAILS = ("VDD_IN",)


class RaplMeter:
    """Intel's and AMD's running average power limit: the packages' energy counters.

    Args:
        zones: folders with an ``energy_uj``.
    """

    source = "RAPL, processor packages"

    def __init__(self, zones: list[Path]) -> None:
        self._zones = zones
        self._last = [self._read(zone) for zone in zones]
        self._spans = [int((zone / "max_energy_range_uj").read_text()) for zone in zones]
        self._total_uj = 0

    def joules(self) -> float:
        """Returns the energy since the meter was made. It allows for counters that start again from zero."""
        for index, zone in enumerate(self._zones):
            now = self._read(zone)
            self._total_uj += (now - self._last[index]) % (self._spans[index] + 1)
            self._last[index] = now
        return self._total_uj / 1e6

    def close(self) -> None:
        """Does nothing: there is nothing open."""

    @staticmethod
    def _read(zone: Path) -> int:
        return int((zone / "energy_uj").read_text())


class InaMeter:
    """A Jetson's INA3221: power of the whole board, sampled and summed.

    Args:
        rail: folder of the monitor, and the channel's number.
    """

    source = "INA3221, board"

    def __init__(self, rail: tuple[Path, int]) -> None:
        folder, channel = rail
        self._files = folder / f"in{channel}_input", folder / f"curr{channel}_input"
        self._total_j = 0.0
        self._ending = threading.Event()
        self._watts()  # so that an unreadable monitor is found before anything is measured
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def joules(self) -> float:
        """Returns the energy since the meter was made."""
        return self._total_j

    def close(self) -> None:
        """Ends the sampling."""
        self._ending.set()
        self._thread.join()

    def _sample(self) -> None:
        last = time.monotonic()
        while not self._ending.wait(_SAMPLE_SECONDS):
            now = time.monotonic()
            self._total_j += self._watts() * (now - last)
            last = now

    def _watts(self) -> float:
        millivolts, milliamperes = (int(file.read_text()) for file in self._files)
        return millivolts * milliamperes / 1e6


def find_meter(root: Path = Path("/")) -> tuple[RaplMeter | InaMeter | None, str]:
    """Returns the machine's energy meter and its subject, or None and the reason why there is none.

    Args:
        root: the root of the file system.
    """
    zones = [zone for zone in sorted((root / _RAPL).glob("*-rapl:*")) if zone.name.count(":") == 1]
    rail = _board_rail(root)
    try:
        if zones:
            rapl = RaplMeter(zones)
            return rapl, rapl.source
        if rail is not None:
            ina = InaMeter(rail)
            return ina, ina.source
    except PermissionError as error:
        return None, f"not measured: only root may read {error.filename}"
    except (OSError, ValueError) as error:
        return None, f"not measured: {error}"
    return None, "not measured: this machine has neither RAPL nor a Jetson's power monitors"


def _board_rail(root: Path) -> tuple[Path, int] | None:
    for label in sorted((root / _INA).glob("*/hwmon/hwmon*/in*_label")):
        if label.read_text().strip() in _TOTAL_RAILS:
            return label.parent, int(label.name.removeprefix("in").removesuffix("_label"))
    return None
