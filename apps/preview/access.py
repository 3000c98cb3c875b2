"""Access to the preview: the Host allow-list, origins, and the token.

A page of another site in the same browser must have no access. No header allows it (no CORS). The Host allow-list
refuses a name that was rebound to this machine. A WebSocket or POST of another origin is refused by its Origin.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import urllib.parse
from collections.abc import Sequence

from .asgi import Request, Response
from .options import PreviewOptions, is_address

OPEN_PATHS = ("/healthz",)
"""The paths that need no token: they only show that the process is alive."""

SECURITY_HEADERS: Sequence[tuple[str, str]] = (
    (
        "content-security-policy",
        "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none';"
        " form-action 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("permissions-policy", "camera=(), microphone=(), geolocation=()"),
    ("cache-control", "no-store"),
)

_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_COOKIE_SECONDS = 30 * 24 * 3600

# Not a redirect: after a link from another site, a browser would not send its SameSite=Strict cookie with it.
_SIGNED_IN = (
    b'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0;url=./">'
    b'<title>edgeseg</title><p><a href="./">To the preview</a>'
)


class AccessControl:
    """Lets requests through, or answers them.

    Args:
        options: of the preview.
        port: that the server listens on.
    """

    def __init__(self, options: PreviewOptions, port: int) -> None:
        self._token = options.token
        self._names = _LOOPBACK_NAMES | {options.host.lower(), *options.hosts}
        self._proxies = frozenset(options.hosts)
        self._any_address = _is_wildcard(options.host)
        # Cookies do not depend on ports. With the port in the name, two runs on one board do not sign each other out.
        self._cookie = f"edgeseg-{port}"
        # The cookie proves that its holder knew the token, and does not reveal it.
        self._cookie_value = hmac.new(
            self._token.encode(), b"edgeseg preview cookie", hashlib.sha256
        ).hexdigest()

    def answer(self, request: Request) -> Response | None:
        """The response to a refused request, or to a sign-in; None if the request may go on."""
        host = request.headers.get("host", "")
        if "host" in request.repeated or not self._is_ours(host):
            return Response(421, b"unknown Host; if this name is right, give it with --preview-hosts\n")
        if (request.websocket or request.method not in ("GET", "HEAD")) and not self._same_origin(
            request, host
        ):
            return Response(403, b"another origin may not do this\n")
        # Images embedded by another site: that site could not read them, but they would use up places.
        foreign = request.headers.get("sec-fetch-site") in ("cross-site", "same-site")
        if foreign and request.headers.get("sec-fetch-mode") != "navigate":
            return Response(403, b"another site may not embed this\n")
        if not self._token or request.path in OPEN_PATHS:
            return None
        if request.path == "/" and _same(request.query.get("token", ""), self._token):
            cookie = f"{self._cookie}={self._cookie_value}; Max-Age={_COOKIE_SECONDS}"
            cookie += "; Path=/; HttpOnly; SameSite=Strict"
            if request.headers.get("x-forwarded-proto") == "https":
                cookie += "; Secure"
            return Response(200, _SIGNED_IN, "text/html; charset=utf-8", (("set-cookie", cookie),))
        if self._knows_token(request):
            return None
        return Response(
            401,
            b"This preview needs its token: open the link that the run printed when it began.\n",
            headers=(("www-authenticate", 'Bearer realm="edgeseg"'),),
        )

    def _knows_token(self, request: Request) -> bool:
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        offered = (
            (request.cookie(self._cookie), self._cookie_value),
            (bearer.strip() if scheme.lower() == "bearer" else "", self._token),
            (request.query.get("token", ""), self._token),
        )
        return any([_same(given, expected) for given, expected in offered])

    def _is_ours(self, host: str) -> bool:
        name = _name_of(host)
        if name in self._names:
            return True
        # An address cannot be rebound, so any is allowed if the server listens on all of them.
        return self._any_address and is_address(name)

    def _same_origin(self, request: Request, host: str) -> bool:
        """True if the Origin is this server's. Browsers send one with every WebSocket and POST; others need none."""
        origin = request.headers.get("origin")
        if origin is None:
            return True
        try:
            parts = urllib.parse.urlsplit(origin)
        except ValueError:
            return False
        if "origin" in request.repeated or parts.scheme not in ("http", "https") or not parts.netloc:
            return False
        return _with_port(parts.netloc) == _with_port(host) or _name_of(parts.netloc) in self._proxies


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), expected.encode()) and expected != ""


def _name_of(netloc: str) -> str:
    """The host of ``host:port``, in lower case and without brackets; empty if it is malformed."""
    try:
        parts = urllib.parse.urlsplit(f"//{netloc}")
        port = parts.port
    except ValueError:
        return ""
    if parts.netloc != netloc or parts.username is not None or port == 0:
        return ""
    return (parts.hostname or "").rstrip(".")


def _with_port(netloc: str) -> str:
    """The host and port in lower case, without a port that browsers leave out."""
    lowered = netloc.lower()
    for port in (":80", ":443"):
        lowered = lowered.removesuffix(port)
    return lowered


def _is_wildcard(host: str) -> bool:
    return is_address(host) and ipaddress.ip_address(host).is_unspecified
