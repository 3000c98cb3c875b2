"""The board's temperatures and throttling, read from ``/sys``.

It uses no tool and no library, and nothing here raises: a sensor that cannot be read now is left out.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ...runtime.status import Board

_RESCAN_SECONDS = 60.0
_HOLD_SECONDS = 10.0
"""A rise of a counter is reported for so long: otherwise it would show in only one of many readings."""

_MOST_SENSORS = 32
_MOST_BYTES = 4096
_MOST_DIGITS = 20
_PLAUSIBLE_CELSIUS = (-60.0, 200.0)
_LOWERED = 0.98
_RASPBERRY_BITS = {0: "under-voltage", 1: "cpu frequency capped", 2: "throttled", 3: "soft temperature limit"}
_RASPBERRY = "sys/devices/platform/soc/soc:firmware/get_throttled"
_COUNTERS = {
    "sys/devices/system/cpu/cpu*/thermal_throttle/core_throttle_count": "cpu throttled by its temperature",
    "sys/devices/system/cpu/cpu*/thermal_throttle/package_throttle_count": "cpu throttled by its temperature",
    "sys/class/hwmon/hwmon*/oc*_event_cnt": "throttled by over-current",
}


class _Clock:
    """The allowed and the full frequency of a processor or GPU."""

    def __init__(self, name: str, limit: Path, full_hz: float, hz_per_unit: float) -> None:
        self.name = name
        self.limit = limit
        self.full_hz = full_hz
        self.hz_per_unit = hz_per_unit
        self.usual_hz = 0.0


class BoardReader:
    """Reads the sensors repeatedly. Remembers their paths, the counters' values and the usual frequencies.

    Not for several threads at once.

    Args:
        root: start of the file system; for tests.
        clock: gives seconds; for tests.
    """

    def __init__(self, root: Path = Path("/"), clock: Callable[[], float] = time.monotonic) -> None:
        self._root = root
        self._clock = clock
        self._scanned_at: float | None = None
        self._temperatures: dict[str, Path] = {}
        self._cooling: list[tuple[str, Path]] = []
        self._clocks: dict[Path, _Clock] = {}
        self._counters: dict[Path, str] = {}
        self._counts: dict[Path, int] = {}
        self._risen_at: dict[str, float] = {}

    def read(self) -> Board:
        """Reads the sensors. Takes some tens of microseconds for each."""
        now = self._clock()
        if self._scanned_at is None or now - self._scanned_at >= _RESCAN_SECONDS:
            self._scanned_at = now
            self._scan()
        temperatures = {}
        for name, path in self._temperatures.items():
            value = _number(path)
            if value is not None and _PLAUSIBLE_CELSIUS[0] <= value / 1000 <= _PLAUSIBLE_CELSIUS[1]:
                temperatures[name] = value / 1000
        return Board(temperatures, tuple(dict.fromkeys(self._throttled(now))))

    def _throttled(self, now: float) -> list[str]:
        cooled = {kind for kind, path in self._cooling if (_number(path) or 0) > 0}
        found = []
        for clock in self._clocks.values():
            limit = _number(clock.limit)
            if limit is None or limit <= 0:
                continue
            limit_hz = limit * clock.hz_per_unit
            clock.usual_hz = max(clock.usual_hz, limit_hz)
            # A power mode lowers the limit for good. Only a later fall, or active cooling, is throttling.
            ceiling_hz = clock.full_hz if clock.name in cooled else clock.usual_hz
            if limit_hz < _LOWERED * ceiling_hz:
                found.append(f"{clock.name} at {limit_hz / 1e9:.1f} of {ceiling_hz / 1e9:.1f} GHz")
        reported = {text.split()[0] for text in found}
        found += [f"{name} slowed down to cool it" for name in sorted(cooled - reported)]
        for path, text in self._counters.items():
            count = _number(path)
            if count is None:
                continue
            if count > self._counts.setdefault(path, int(count)):
                self._risen_at[text] = now
            self._counts[path] = int(count)
        found += [text for text, at in self._risen_at.items() if now - at < _HOLD_SECONDS]
        bits = _number(self._root / _RASPBERRY, base=16)
        if bits is not None and bits >= 0:
            found += [text for bit, text in _RASPBERRY_BITS.items() if int(bits) >> bit & 1]
        return found

    def _scan(self) -> None:
        self._temperatures = self._find_temperatures()
        self._cooling = list(self._find_cooling())
        self._counters = {path: text for form, text in _COUNTERS.items() for path in self._glob(form)}
        found = [*self._find_cpus(), *self._find_gpus()]
        self._clocks = {clock.limit: self._clocks.get(clock.limit, clock) for clock in found}

    def _find_temperatures(self) -> dict[str, Path]:
        found: list[tuple[str, Path]] = []
        zones = set()
        for zone in self._glob("sys/class/thermal/thermal_zone*"):
            name = _slug(_text(zone / "type") or zone.name)
            zones.add(name)
            found.append((name, zone / "temp"))
        for chip in self._glob("sys/class/hwmon/hwmon*"):
            chip_name = _slug(_text(chip / "name") or chip.name)
            if chip_name in zones:  # the kernel shows each thermal zone here once more
                continue
            labelled = [
                (path, _text(path.with_name(path.name.replace("_input", "_label"))))
                for path in sorted(_children(chip, re.compile(r"temp\d+_input")), key=_by_number)
            ]
            whole = [(path, label) for path, label in labelled if not re.match(r"Core \d+", label)]
            found += [(_slug(f"{chip_name} {label}"), path) for path, label in whole or labelled]
        names: dict[str, Path] = {}
        for name, path in found[:_MOST_SENSORS]:
            number, unique = 1, name
            while unique in names:
                number += 1
                unique = f"{name}-{number}"
            names[unique] = path
        return names

    def _find_cooling(self) -> Sequence[tuple[str, Path]]:
        found = []
        for device in self._glob("sys/class/thermal/cooling_device*"):
            kind = (_text(device / "type") or "").lower()
            # Fans cool too, without throttling.
            if kind == "processor" or "cpufreq" in kind or kind.startswith("cpu"):
                found.append(("cpu", device / "cur_state"))
            elif "devfreq" in kind or "gpu" in kind:
                found.append(("gpu", device / "cur_state"))
        return found

    def _find_cpus(self) -> Sequence[_Clock]:
        found = []
        for policy in self._glob("sys/devices/system/cpu/cpufreq/policy*"):
            full = _number(policy / "cpuinfo_max_freq")
            if full is not None and full > 0:
                found.append(_Clock("cpu", policy / "scaling_max_freq", full * 1e3, 1e3))
        return found

    def _find_gpus(self) -> Sequence[_Clock]:
        found = []
        for device in self._glob("sys/class/devfreq/*"):
            if not re.search(r"gpu|gv11b|ga10b|gb10b|mali|v3d", device.name):
                continue
            steps = [
                int(word)
                for word in (_text(device / "available_frequencies") or "").split()
                if word.isdecimal() and len(word) <= _MOST_DIGITS
            ]
            if steps:
                found.append(_Clock("gpu", device / "max_freq", float(max(steps)), 1.0))
        return found

    def _glob(self, pattern: str) -> list[Path]:
        folder, _, last = pattern.rpartition("/")
        parents = self._glob(folder) if "*" in folder else [self._root / folder]
        if "*" not in last:
            return [parent / last for parent in parents if (parent / last).exists()]
        form = re.compile(".*".join(re.escape(part) for part in last.split("*")))
        return [path for parent in parents for path in sorted(_children(parent, form), key=_by_number)]


def _children(folder: Path, form: re.Pattern[str]) -> list[Path]:
    try:
        return [folder / name for name in os.listdir(folder) if form.fullmatch(name)]
    except OSError:
        return []


def _by_number(path: Path) -> tuple[int, str]:
    digits = re.search(r"\d+", path.name)
    return (int(digits[0]) if digits else 0, path.name)


def _text(path: Path) -> str:
    """The text of a small file; empty if it cannot be read, as with drivers of sleeping parts."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return ""
    try:
        return os.read(descriptor, _MOST_BYTES).decode("utf-8", "replace").replace("\0", "").strip()
    except OSError:
        return ""
    finally:
        os.close(descriptor)


def _number(path: Path, base: int = 10) -> int | None:
    text = _text(path)
    if len(text) > _MOST_DIGITS:
        return None
    try:
        return int(text, base)
    except ValueError:
        return None


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "sensor"
