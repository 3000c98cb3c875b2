"""Addresses of HTTP requests: the user's, and those of a server's redirects. The latter are untrusted data."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from ....core.errors import SourceError
from ..uri import hide_credentials

_MOST_LOCATION_BYTES = 4096
_PORTS = {"http": 80, "https": 443}


def redirected(url: SplitResult, location: str) -> SplitResult:
    """Returns the address of a redirect.

    Args:
        url: the requested address.
        location: the response's ``Location``, unchecked.

    Raises:
        SourceError: it is not an address, or not one of HTTP.
    """
    public = printable(url.geturl())
    if len(location) > _MOST_LOCATION_BYTES:
        raise SourceError(f"{public} leads to an address of {len(location)} bytes, which is no address")
    try:
        target = urlsplit(urljoin(url.geturl(), location.strip()))
        host, port = target.hostname, target.port
    except ValueError:
        raise SourceError(f"{public} leads to {printable(location)}, which is no address") from None
    if target.scheme not in _PORTS or not host:
        raise SourceError(f"{public} leads to {printable(location)}, which is no HTTP")
    if port == 0 or re.search(r"[\x00-\x20\x7f]", target.netloc):
        raise SourceError(f"{public} leads to {printable(location)}, which is no address")
    return target


def port_of(url: SplitResult) -> int:
    """The port; the scheme's default if the address has none."""
    return url.port if url.port is not None else _PORTS[url.scheme]


def host_of(url: SplitResult) -> str:
    """The value of ``Host``, in ASCII.

    Raises:
        SourceError: the host's name is invalid.
    """
    place = url.netloc.rpartition("@")[2]
    if place.isascii():
        return place
    host, colon, port = place.partition(":")
    try:
        return host.encode("idna").decode() + colon + port
    except UnicodeError:
        raise SourceError(f"{printable(host)} is no host name") from None


def target_of(url: SplitResult) -> str:
    """Path and query in a request's form, in ASCII and without blanks."""
    text = (url.path or "/") + (f"?{url.query}" if url.query else "")
    return quote(text, safe="".join(map(chr, range(0x21, 0x7F))), errors="surrogateescape")


def printable(text: str, most: int = 200) -> str:
    """Returns a server's text on one line, without control characters and credentials."""
    short = hide_credentials(text[:most]) + ("…" if len(text) > most else "")
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in short)
