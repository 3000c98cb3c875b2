"""The command line's options for live sources."""

from __future__ import annotations

import argparse

from ..core.errors import UsageError
from ..runtime.sources.live import LiveOptions

_DEFAULT = LiveOptions()


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of live sources: cameras and servers."""
    group = parser.add_argument_group("cameras and servers")
    group.add_argument(
        "--give-up-after",
        type=float,
        metavar="SECONDS",
        help="end the run if a lost camera or server has not come back after this time; default: never",
    )
    group.add_argument(
        "--wait-for-source",
        action="store_true",
        help="start even if a camera or server is not there yet, and wait for it",
    )
    group.add_argument(
        "--open-timeout",
        type=float,
        default=_DEFAULT.open_timeout_s,
        metavar="SECONDS",
        help="the longest time to open a camera or server; default: %(default)g",
    )
    group.add_argument(
        "--read-timeout",
        type=float,
        default=_DEFAULT.read_timeout_s,
        metavar="SECONDS",
        help="a source that gives no frame for this time counts as lost; default: %(default)g",
    )


def live_options(args: argparse.Namespace) -> LiveOptions:
    """Reads the options of live sources.

    Raises:
        UsageError: a time is not a positive number.
    """
    for option in ("give_up_after", "open_timeout", "read_timeout"):
        seconds = getattr(args, option)
        # NaN fails every comparison, so it is refused too.
        if seconds is not None and not 0 < seconds < float("inf"):
            name = option.replace("_", "-")
            raise UsageError(f"--{name} {seconds:g}: expected seconds, more than 0")
    return LiveOptions(
        open_timeout_s=args.open_timeout,
        read_timeout_s=args.read_timeout,
        give_up_after_s=args.give_up_after,
        wait_for_source=args.wait_for_source,
    )
