"""A GET over HTTP/1.1, and its body. Every wait has a deadline and can be interrupted."""

from __future__ import annotations

import base64
import http.client
import io
import os
import re
import select
import socket
import ssl
import time
from collections.abc import Mapping
from email.message import Message
from urllib.parse import SplitResult, unquote, urlsplit

from ....core.errors import SourceError
from ....core.files import check_regular
from ..live import Interruption
from .digest import digest_answer
from .resolve import resolve
from .url import host_of, port_of, printable, redirected, target_of

_MOST_HEAD_BYTES = 64 << 10
_MOST_HOPS = 5
_CHUNK_BYTES = 1 << 16
_CHUNK_HEAD = re.compile(rb"(?:\r\n)?([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r\n")
_CHUNK_BEGINNING = re.compile(rb"(?:\r?|(?:\r\n)?(?:[0-9A-Fa-f]{1,8}[ \t]*(?:;[^\r\n]*)?\r?)?)")
_WINDOW_BYTES = 256 << 10
"""The size of the receive buffer: less than the system's default, because data that waits there, or that the sender
sends ahead, gets old. At a round-trip time of 20 ms it carries 12 MB/s."""


class HttpBody:
    """The body of a response, while it arrives.

    Args:
        url: ``http://`` or ``https://``, with user and password if needed.
        options: ``verify`` and ``ca``, see :mod:`edgeseg.runtime.sources.uri`.
        timeout_s: seconds until the response's head must be there, redirects included.
        interruption: ends the wait.

    Attributes:
        headers: of the response.

    Raises:
        SourceError: the server is not there, or answers with another status than 200.
    """

    def __init__(
        self, url: str, options: Mapping[str, str], timeout_s: float, interruption: Interruption
    ) -> None:
        self._interruption, self._options = interruption, options
        self._socket: socket.socket | None = None
        self._buffer = b""
        self._chunk_left: int | None = None
        self._until = time.monotonic() + timeout_s
        try:
            self.headers = self._follow(urlsplit(url))
        except BaseException:
            self.close()
            raise
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            self._chunk_left = 0

    def read(self, until: float) -> bytes | None:
        """Returns the bytes that have come, at least one; empty at the end; None if none came in time.

        Args:
            until: a moment of ``time.monotonic()``; one in the past means no wait.

        Raises:
            SourceError: the connection broke.
        """
        if self._chunk_left is None:
            data, self._buffer = self._buffer, b""
            return data or self._receive(until)
        while not self._chunk_left:
            size = self._next_chunk()
            if size == 0:
                return b""
            if size is None:
                more = self._receive(until)
                if not more:
                    return more
                self._buffer += more
            else:
                self._chunk_left = size
        if not self._buffer:
            more = self._receive(until)
            if not more:
                return more
            self._buffer = more
        data, self._buffer = self._buffer[: self._chunk_left], self._buffer[self._chunk_left :]
        self._chunk_left -= len(data)
        return data

    def close(self) -> None:
        """Ends the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _next_chunk(self) -> int | None:
        match = _CHUNK_HEAD.match(self._buffer)
        if match is None:
            if len(self._buffer) > _MOST_HEAD_BYTES or not _CHUNK_BEGINNING.fullmatch(self._buffer):
                raise SourceError("the server sends chunks without their sizes")
            return None
        self._buffer = self._buffer[match.end() :]
        return int(match[1], 16)

    def _follow(self, url: SplitResult) -> Message:
        user, password = unquote(url.username or ""), unquote(url.password or "")
        authorization = ""
        for _ in range(_MOST_HOPS + 1):
            public = printable(url.geturl())
            status, headers = self._get(url, authorization)
            if status == 200:
                return headers
            if status == 401:
                challenge = " , ".join(headers.get_all("WWW-Authenticate") or [])
                answer = _answer(challenge, url, user, password) if user and not authorization else ""
                if not answer:
                    given = (
                        "" if user else "; it wants a user and a password, as in http://USER:PASSWORD@HOST/"
                    )
                    raise SourceError(f"{public} answers 401: check user and password{given}")
                authorization = answer
            elif status in (301, 302, 303, 307, 308) and headers.get("Location"):
                target = redirected(url, headers["Location"])
                same = _server(target) == _server(url)
                # A password must go only to the server that it was given for.
                user, password = (user, password) if same else ("", "")
                url, authorization = target, ""
            else:
                reason = http.client.responses.get(status, "an unknown status")
                raise SourceError(f"{public} answers {status} ({reason})")
        raise SourceError(f"{printable(url.geturl())}: more than {_MOST_HOPS} redirects")

    def _get(self, url: SplitResult, authorization: str) -> tuple[int, Message]:
        self.close()
        self._buffer = b""
        self._connect(url)
        host, target = host_of(url), target_of(url)
        lines = [f"GET {target} HTTP/1.1", f"Host: {host}", "User-Agent: edgeseg", "Accept: */*"]
        if authorization:
            lines.append(f"Authorization: {authorization}")
        self._send("\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1"))
        while b"\r\n\r\n" not in self._buffer:
            more = self._receive(self._until)
            if more is None:
                raise SourceError("the server does not answer in time")
            if not more:
                raise SourceError("the server ended the connection without an answer")
            self._buffer += more
            if len(self._buffer) > _MOST_HEAD_BYTES:
                raise SourceError("the server's answer has no end of its head; is it an HTTP server?")
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        line, _, rest = head.partition(b"\r\n")
        match = re.match(rb"HTTP/1\.[01] (\d{3})\b", line)
        if match is None:
            raise SourceError("the server does not answer in HTTP")
        try:
            headers: Message = http.client.parse_headers(io.BytesIO(rest + b"\r\n\r\n"))
        except (http.client.HTTPException, ValueError, LookupError, TypeError) as error:
            why = error if isinstance(error, http.client.HTTPException) else "it is no head of HTTP"
            raise SourceError(f"the server's answer cannot be read: {why}") from None
        return int(match[1]), headers

    def _connect(self, url: SplitResult) -> None:
        host, port = url.hostname or "", port_of(url)
        addresses = resolve(host, port, self._until, self._interruption)
        problem = ""
        for number, (family, address) in enumerate(addresses):
            now = time.monotonic()
            # An address that never answers must leave time for the next one.
            until = now + (self._until - now) / (len(addresses) - number)
            problem = self._reach(family, address, until)
            if not problem:
                break
            self.close()
        if self._socket is None:
            raise SourceError(f"cannot connect to {host}:{port}: {problem}")
        if url.scheme == "https":
            self._encrypt(host)

    def _reach(self, family: int, address: tuple[object, ...], until: float) -> str:
        """Connects. Returns the reason if that fails, else an empty string."""
        try:
            self._socket = plain = socket.socket(family, socket.SOCK_STREAM)
            plain.setblocking(False)
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _WINDOW_BYTES)
            plain.connect(address)
        except BlockingIOError:
            if not self._wait(select.POLLOUT, until):
                return "it does not answer in time"
            error = plain.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            return _why(OSError(error, "")) if error else ""
        except OSError as error:
            return _why(error)
        return ""

    def _encrypt(self, host: str) -> None:
        try:
            if "ca" in self._options:
                check_regular(self._options["ca"])
            context = ssl.create_default_context(cafile=self._options.get("ca"))
        except OSError as error:
            raise SourceError(
                f"cannot read the certificates {self._options.get('ca')}: {_why(error)}"
            ) from None
        if self._options.get("verify") == "0":
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            wrapped = context.wrap_socket(
                self._open_socket(), server_hostname=host, do_handshake_on_connect=False
            )
            self._socket = wrapped
            while True:
                try:
                    return wrapped.do_handshake()
                except ssl.SSLWantReadError:
                    good = self._wait(select.POLLIN, self._until)
                except ssl.SSLWantWriteError:
                    good = self._wait(select.POLLOUT, self._until)
                if not good:
                    raise SourceError(f"{host} does not finish the TLS handshake in time")
        except ssl.SSLCertVerificationError as error:
            raise SourceError(
                f"the certificate of {host} is not trusted ({error.verify_message}); give its authority's"
                " certificate with #ca=FILE, or #verify=0 to trust anyone"
            ) from None
        except OSError as error:
            raise SourceError(f"no TLS with {host}: {_why(error)}") from None
        except ValueError:  # an invalid name, such as one that begins with a dot
            raise SourceError(f"no TLS with {printable(host)}: it is no host name") from None

    def _send(self, data: bytes) -> None:
        while data:
            try:
                data = data[self._open_socket().send(data) :]
            except (BlockingIOError, ssl.SSLWantWriteError):
                if not self._wait(select.POLLOUT, self._until):
                    raise SourceError("the server takes no request in time") from None
            except OSError as error:
                raise SourceError(f"the connection broke: {_why(error)}") from None

    def _receive(self, until: float) -> bytes | None:
        while True:
            try:
                return self._open_socket().recv(_CHUNK_BYTES)
            except (BlockingIOError, ssl.SSLWantReadError):
                good = self._wait(select.POLLIN, until)
            except ssl.SSLWantWriteError:
                good = self._wait(select.POLLOUT, until)
            except OSError as error:
                raise SourceError(f"the connection broke: {_why(error)}") from None
            if not good:
                return None

    def _wait(self, events: int, until: float) -> bool:
        ready = select.poll()
        ready.register(self._open_socket(), events)
        return bool(self._interruption.wait_ready(ready, until))

    def _open_socket(self) -> socket.socket:
        if self._socket is None:
            raise SourceError("the connection is closed")
        return self._socket


def _answer(challenge: str, url: SplitResult, user: str, password: str) -> str:
    """Returns the ``Authorization`` for a challenge; empty if its kind is unknown here."""
    if re.search(r"(?i)\bdigest\b", challenge):
        return digest_answer(challenge, "GET", target_of(url), user, password)
    if re.search(r"(?i)\bbasic\b", challenge) or not challenge:
        return "Basic " + base64.b64encode(f"{user}:{password}".encode(errors="surrogateescape")).decode()
    return ""


def _server(url: SplitResult) -> tuple[str, str | None, int]:
    return url.scheme, url.hostname, port_of(url)


def _why(error: OSError) -> str:
    if error.errno and not isinstance(error, ssl.SSLError):
        return error.strerror or os.strerror(error.errno)
    return str(getattr(error, "reason", "") or error)
