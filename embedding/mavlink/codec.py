"""Messages to bytes and back, by pymavlink's dialect module, with signatures where there is a key."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Mapping
from typing import Any

from ...core.errors import MissingDependencyError
from .frames import MavlinkFrame, MavlinkReader

COMPONENT = 191
"""MAV_COMP_ID_ONBOARD_COMPUTER."""

_SIGNING_EPOCH = 1_420_070_400
"""MAVLink counts the time of signatures from the first of January 2015, in steps of 10 us."""
_STEPS_PER_SECOND = 100_000


def load_dialect() -> Any:
    """Imports the messages of MAVLink's common set.

    This module is of version 2 by itself; the variable MAVLINK20, which pymavlink's other modules read, is left alone.

    Raises:
        MissingDependencyError: pymavlink is not installed.
    """
    try:
        return importlib.import_module("pymavlink.dialects.v20.common")
    except ImportError as error:
        raise MissingDependencyError("pymavlink", "mavlink", "--mavlink") from error


class Codec:
    """Packs and reads messages.

    Args:
        key: 32 bytes; None to sign nothing and to take all. With a key, only what is signed with it is taken.
        wall_clock: gives the seconds since 1970, for the time of signatures.

    Attributes:
        refused: number of frames that were not decoded: their signature is missing or wrong, or their content is.

    Raises:
        MissingDependencyError: pymavlink is not installed.
    """

    def __init__(self, key: bytes | None = None, wall_clock: Callable[[], float] = time.time) -> None:
        self._dialect = load_dialect()
        self._mav = self._dialect.MAVLink(None, srcComponent=COMPONENT)
        self._wall_clock = wall_clock
        self.refused = 0
        if key is not None:
            signing = self._mav.signing
            signing.secret_key, signing.sign_outgoing = key, True
            signing.link_id = 0
            self._keep_time()

    def set_system(self, system: int) -> None:
        """Sends as a component of this system from now on."""
        self._mav.srcSystem = system

    def number_of(self, kind: str) -> int:
        """Returns the number of a message by its name."""
        return int(getattr(self._dialect, f"MAVLINK_MSG_ID_{kind}"))

    def reader(self) -> MavlinkReader:
        """Returns a reader of frames that knows the checksums of this dialect."""
        extras = {number: kind.crc_extra for number, kind in self._dialect.mavlink_map.items()}
        return MavlinkReader(extras, lambda data: int(self._dialect.x25crc(data).crc))

    def pack(self, kind: str, fields: Mapping[str, Any]) -> bytes:
        """Returns a message as one frame.

        Args:
            kind: the message's name, such as ``HEARTBEAT``.
            fields: by name.
        """
        message = getattr(self._dialect, f"MAVLink_{kind.lower()}_message")(**fields)
        self._keep_time()
        packet = bytes(message.pack(self._mav))
        self._mav.seq = (self._mav.seq + 1) % 256
        return packet

    def decode(self, frame: MavlinkFrame) -> Any | None:
        """Returns a frame's message, or None if it may not be taken."""
        try:
            return self._mav.decode(bytearray(frame.data))
        except self._dialect.MAVError:
            self.refused += 1
            return None

    def _keep_time(self) -> None:
        """Moves the time of signatures on. It never goes back, and received ones may have moved it further."""
        signing = self._mav.signing
        steps = int((self._wall_clock() - _SIGNING_EPOCH) * _STEPS_PER_SECOND)
        signing.timestamp = max(signing.timestamp, steps)
