"""The options of the preview page: its address, its token, and its viewers."""

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
        token: the viewers' secret; empty if anybody on this machine may watch.
        generated: whether the token was generated for this run, and must be printed.
        hosts: further names of the server that browsers may use, in lower case.
        clients: the most viewers at once.
    """

    host: str = "127.0.0.1"
    port: int = 0
    token: str = field(default="", repr=False)
    generated: bool = False
    hosts: tuple[str, ...] = ()
    clients: int = DEFAULT_CLIENTS


def is_loopback(host: str) -> bool:
    """Returns True if only this machine can reach a host."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_address(host: str) -> bool:
    """Returns True if a host is an address, not a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
