"""What a preview page is asked to be: its address, its token, and its viewers."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

DEFAULT_CLIENTS = 8


@dataclass(frozen=True)
class PreviewOptions:
    """The address of the page, and its viewers.

    Attributes:
        host: the address or name that the server listens on.
        port: its port; 0 for any that is free.
        token: what a viewer must know; empty where anybody on this machine may look.
        generated: whether the token was made up for this run, and must be told.
        hosts: further names that a browser may call the server by, in lower case.
        clients: the most viewers at once.
    """

    host: str = "127.0.0.1"
    port: int = 0
    token: str = field(default="", repr=False)
    generated: bool = False
    hosts: tuple[str, ...] = ()
    clients: int = DEFAULT_CLIENTS


def is_loopback(host: str) -> bool:
    """Returns whether only this machine can reach a host."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_address(host: str) -> bool:
    """Returns whether a host is an address, not a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
