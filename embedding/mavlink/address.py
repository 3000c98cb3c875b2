"""The address of a link to an autopilot, as ``--mavlink`` takes it."""

from __future__ import annotations

import re
import termios
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl

from ...core.errors import UsageError

UDP_OUT, UDP_IN, SERIAL = "udpout", "udpin", "serial"
_FORMS = "udpout:HOST:PORT, udpin:HOST:PORT or serial:/dev/DEVICE?baud=RATE"
_UDP = re.compile(r"(udpout|udpin):(\[[0-9A-Fa-f:.]+\]|[^\s:/@\[\]?]+):(\d{1,5})")
_SERIAL = re.compile(r"serial:(/[^?\s]+)(?:\?(.*))?")
_BAUD = 57600


@dataclass(frozen=True)
class LinkAddress:
    """The address at which an autopilot is reached.

    Attributes:
        kind: ``udpout`` sends to an address, ``udpin`` waits at one for the autopilot, ``serial`` is a port.
        host: for UDP.
        port: for UDP.
        device: the serial port's path.
        baud: bits a second of the serial port.
    """

    kind: Literal["udpout", "udpin", "serial"]
    host: str = ""
    port: int = 0
    device: str = ""
    baud: int = _BAUD

    @property
    def name(self) -> str:
        """The address for display."""
        if self.kind == SERIAL:
            return f"serial:{self.device}?baud={self.baud}"
        return f"{self.kind}:{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def parse_address(text: str) -> LinkAddress:
    """Reads the value of ``--mavlink``; opens nothing.

    Raises:
        UsageError: it is none of the forms, or a number in it is out of range.
    """
    udp = _UDP.fullmatch(text)
    if udp is not None:
        if not 0 < int(udp[3]) < 65536:
            raise UsageError(f"--mavlink {text}: expected a port from 1 to 65535")
        kind: Literal["udpout", "udpin"] = "udpout" if udp[1] == UDP_OUT else "udpin"
        return LinkAddress(kind, udp[2].strip("[]"), int(udp[3]))
    serial = _SERIAL.fullmatch(text)
    if serial is None:
        raise UsageError(f"--mavlink {text}: expected {_FORMS}")
    options = dict(parse_qsl(serial[2] or "", keep_blank_values=True))
    unknown = sorted(options.keys() - {"baud"})
    if unknown or (serial[2] and not options):
        raise UsageError(f"--mavlink {text}: a serial port has the option baud alone, such as ?baud=921600")
    return LinkAddress("serial", device=serial[1], baud=_baud(text, options.get("baud", str(_BAUD))))


def speed_of(baud: int) -> int:
    """Returns the code that the terminal interface has for a rate.

    Raises:
        KeyError: it has none.
    """
    return _speeds()[baud]


def _speeds() -> dict[int, int]:
    named = ((name, code) for name, code in vars(termios).items() if re.fullmatch(r"B\d+", name))
    return {int(name[1:]): code for name, code in named if int(name[1:]) >= 9600}


def _baud(text: str, given: str) -> int:
    speeds = sorted(_speeds())
    if not (given.isascii() and given.isdigit() and int(given) in speeds):
        raise UsageError(f"--mavlink {text}: expected a baud rate of {', '.join(map(str, speeds))}")
    return int(given)
