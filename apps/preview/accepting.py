"""Accepts connections: one at a time, so that open connections are served too, and only admitted ones."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from .connections import Connections

_PAUSE_SECONDS = 0.1


async def accept(
    listener: socket.socket, connections: Connections, make: Callable[[], asyncio.Protocol]
) -> None:
    """Accepts until it is cancelled.

    Args:
        listener: a socket that listens and does not block.
        connections: decides which are admitted.
        make: makes a connection's protocol.
    """
    loop = asyncio.get_running_loop()
    while True:
        try:
            client, peer = await loop.sock_accept(listener)
        except OSError:  # the process has no descriptor left, or the client has gone
            await asyncio.sleep(_PAUSE_SECONDS)
            continue
        if not connections.admits(peer):
            client.close()
            await asyncio.sleep(0)  # accepting a waiting connection does not yield to other tasks
            continue
        try:
            await loop.connect_accepted_socket(make, client)
        except OSError:  # the client has gone
            client.close()
