"""The CSI sensors in a Jetson's device tree."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_MODULES = "proc/device-tree/tegra-camera-platform/modules"


@dataclass(frozen=True)
class CsiSensor:
    """A CSI sensor.

    Attributes:
        number: Argus's ``sensor-id``, as in ``csi://0``.
        badge: the module's name, such as ``jakku_front_RBP194``.
        name: of its driver's node, such as ``imx219 9-0010``; empty if the tree has none.
    """

    number: int
    badge: str
    name: str


def list_sensors(root: Path = Path("/")) -> list[CsiSensor]:
    """Returns the sensors in the device tree, in the order of Argus's numbers.

    A sensor in the tree may be unplugged: the tree is chosen with ``jetson-io``.

    Args:
        root: of the file system.
    """
    modules = [
        path for path in (root / _MODULES).glob("module*") if path.name.removeprefix("module").isdigit()
    ]
    modules.sort(key=lambda path: int(path.name.removeprefix("module")))
    there = [path for path in modules if _text(path / "status") in ("", "okay", "ok")]
    return [
        CsiSensor(number, _text(path / "badge"), _text(path / "drivernode0" / "devname"))
        for number, path in enumerate(there)
    ]


def _text(path: Path) -> str:
    """Reads a property of the device tree, without the zero byte at its end."""
    try:
        return path.read_bytes().rstrip(b"\0").decode("utf-8", "replace")
    except OSError:
        return ""
