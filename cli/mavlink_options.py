"""The options of ``edgeseg run`` for the link to an autopilot."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..apps.run.request import MavlinkRequest
from ..core.errors import UsageError
from ..embedding.mavlink.address import parse_address
from ..embedding.mavlink.landing_target import AUTOPILOTS


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the link."""
    group = parser.add_argument_group("autopilot")
    group.add_argument(
        "--mavlink",
        metavar="ADDRESS",
        help="the autopilot, at udpout:HOST:PORT, udpin:HOST:PORT or serial:/dev/DEVICE?baud=RATE: take the vehicle's"
        " pose from it, and tell it what is found",
    )
    group.add_argument(
        "--autopilot", choices=AUTOPILOTS, help=f"with --mavlink: its kind; default: {AUTOPILOTS[0]}"
    )
    group.add_argument(
        "--mavlink-system",
        type=int,
        metavar="N",
        help="with --mavlink: the vehicle's system id; default: that of the first autopilot that is heard",
    )
    group.add_argument(
        "--mavlink-key",
        type=Path,
        metavar="FILE",
        help="with --mavlink: sign with this key of 32 bytes, and take only what is signed with it",
    )


def mavlink_request(args: argparse.Namespace) -> MavlinkRequest | None:
    """Makes the request from the options; None if no link is asked for.

    Raises:
        UsageError: an option is invalid, or lacks ``--mavlink``.
    """
    if args.mavlink is None:
        for name in ("autopilot", "mavlink_system", "mavlink_key"):
            if getattr(args, name) is not None:
                raise UsageError(
                    f"--{name.replace('_', '-')} goes with --mavlink alone; give --mavlink too, or leave it out"
                )
        return None
    system = args.mavlink_system
    if system is not None and not 1 <= system <= 255:
        raise UsageError(f"--mavlink-system {system}: expected 1 to 255")
    autopilot = args.autopilot or AUTOPILOTS[0]
    return MavlinkRequest(parse_address(args.mavlink), autopilot, system, args.mavlink_key)
