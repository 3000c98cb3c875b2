"""A GET over HTTP/1.1, and its body. Every wait has a deadline and can be interrupted."""

from __future__ import annotations

import base64
import http.client
import io
import re
import time
from collections.abc import Mapping
from email.message import Message
from urllib.parse import SplitResult, unquote, urlsplit

from ....core.errors import SourceError
from ..live import Interruption
from .connection import Connection
from .digest import digest_answer
from .url import host_of, port_of, printable, redirected, target_of

_MOST_HEAD_BYTES = 64 << 10
_MOST_HOPS = 5
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_LONGEST_END = 4
# Cameras send lines of both kinds, and a parser of headers would drop all lines after them.
_BLANK_BEFORE_COLON = re.compile(rb"(?m)^([!-9;-~]+)[ \t]+:")
_LINE_WITHOUT_NAME = re.compile(rb"(?m)^(?![!-9;-~]+:|[ \t]).*\n(?:[ \t].*\n)*")
_CHUNK_HEAD = re.compile(rb"(?:\r\n)?([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r\n")
_CHUNK_BEGINNING = re.compile(rb"(?:\r?|(?:\r\n)?(?:[0-9A-Fa-f]{1,8}[ \t]*(?:;[^\r\n]*)?\r?)?)")


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
        self._connection: Connection | None = None
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
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _receive(self, until: float) -> bytes | None:
        if self._connection is None:
            raise SourceError("the connection is closed")
        return self._connection.receive(until)

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
        self._connection = connection = Connection(url, self._options, self._until, self._interruption)
        host, target = host_of(url), target_of(url)
        lines = [f"GET {target} HTTP/1.1", f"Host: {host}", "User-Agent: edgeseg", "Accept: */*"]
        if authorization:
            lines.append(f"Authorization: {authorization}")
        connection.send("\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1"), self._until)
        head = self._read_head(connection)
        line, _, rest = head.partition(b"\n")
        match = re.match(rb"HTTP/1\.[01] (\d{3})\b", line)
        if match is None:
            raise SourceError("the server does not answer in HTTP")
        try:
            headers: Message = http.client.parse_headers(io.BytesIO(_named_lines(rest) + b"\r\n"))
        except (http.client.HTTPException, ValueError, LookupError, TypeError) as error:
            why = error if isinstance(error, http.client.HTTPException) else "it is no head of HTTP"
            raise SourceError(f"the server's answer cannot be read: {why}") from None
        return int(match[1]), headers

    def _read_head(self, connection: Connection) -> bytes:
        searched = 0
        while (end := _END_OF_HEAD.search(self._buffer, searched)) is None:
            searched = max(0, len(self._buffer) - _LONGEST_END)
            more = connection.receive(self._until)
            if more is None:
                raise SourceError("the server does not answer in time")
            if not more:
                raise SourceError("the server ended the connection without an answer")
            self._buffer += more
            if len(self._buffer) > _MOST_HEAD_BYTES:
                raise SourceError("the server's answer has no end of its head; is it an HTTP server?")
        head, self._buffer = self._buffer[: end.start()], self._buffer[end.end() :]
        return head


def _named_lines(lines: bytes) -> bytes:
    """The lines that have a header's name, each directly before its colon."""
    return _LINE_WITHOUT_NAME.sub(b"", _BLANK_BEFORE_COLON.sub(rb"\1:", lines + b"\r\n"))


def _answer(challenge: str, url: SplitResult, user: str, password: str) -> str:
    """Returns the ``Authorization`` for a challenge; empty if its kind is unknown here."""
    if re.search(r"(?i)\bdigest\b", challenge):
        return digest_answer(challenge, "GET", target_of(url), user, password)
    if re.search(r"(?i)\bbasic\b", challenge) or not challenge:
        return "Basic " + base64.b64encode(f"{user}:{password}".encode(errors="surrogateescape")).decode()
    return ""


def _server(url: SplitResult) -> tuple[str, str | None, int]:
    return url.scheme, url.hostname, port_of(url)
