"""The link of a run to an autopilot."""

from __future__ import annotations

from ...core.errors import UsageError
from ...embedding.mavlink.link import MavlinkLink, MavlinkOptions
from ...embedding.mavlink.signing_key import read_key
from ...embedding.mavlink.sink import MavlinkSink
from ...runtime.sinks.base import Sink
from .request import MavlinkRequest


def open_link(request: MavlinkRequest | None, sources: int) -> MavlinkLink | None:
    """Opens the link; None if none is asked for. It tells from then on that nothing is valid yet.

    Args:
        request: what is asked for; None for no link.
        sources: their number.

    Raises:
        UsageError: there are several sources, or the key's file cannot be used.
        MissingDependencyError: pymavlink is not installed.
        OutputError: the address cannot be opened.
    """
    if request is None:
        return None
    if sources > 1:
        raise UsageError(f"--mavlink goes with one --source alone, and there are {sources}")
    key = None if request.key is None else read_key(request.key)
    return MavlinkLink(MavlinkOptions(request.address, request.autopilot, request.system, key))


def add_sink(link: MavlinkLink | None, sinks: list[list[Sink]]) -> None:
    """Adds the link's sink to those of the source, if there is a link."""
    if link is not None:
        sinks[0].append(MavlinkSink(link))
