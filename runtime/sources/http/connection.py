"""A connection to a server, in the clear or by TLS. Every wait has a deadline and can be interrupted."""

from __future__ import annotations

import os
import select
import socket
import ssl
import time
from collections.abc import Mapping
from urllib.parse import SplitResult

from ....core.errors import SourceError
from ....core.files import check_regular
from ..live import Interruption
from .resolve import resolve
from .url import port_of, printable

_PIECE_BYTES = 1 << 16
_WINDOW_BYTES = 256 << 10
"""The size of the receive buffer: less than the system's default, because data that waits there, or that the sender
sends ahead, gets old. At a round-trip time of 20 ms it carries 12 MB/s."""


class Connection:
    """An open connection.

    Args:
        url: ``http://`` or ``https://``.
        options: ``verify`` and ``ca``, see :mod:`edgeseg.runtime.sources.uri`.
        until: the moment of ``time.monotonic()`` until which it must be open.
        interruption: ends all waits.

    Raises:
        SourceError: the server is not there, or its certificate is not trusted.
    """

    def __init__(
        self, url: SplitResult, options: Mapping[str, str], until: float, interruption: Interruption
    ) -> None:
        self._options, self._interruption = options, interruption
        self._socket: socket.socket | None = None
        try:
            self._connect(url, until)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ends the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def send(self, data: bytes, until: float) -> None:
        """Sends all of the data.

        Args:
            until: a moment of ``time.monotonic()``.

        Raises:
            SourceError: the server does not take it in time, or the connection broke.
        """
        while data:
            try:
                data = data[self._open_socket().send(data) :]
            except (BlockingIOError, ssl.SSLWantWriteError):
                if not self._wait(select.POLLOUT, until):
                    raise SourceError("the server takes no request in time") from None
            except OSError as error:
                raise SourceError(f"the connection broke: {_why(error)}") from None

    def receive(self, until: float) -> bytes | None:
        """Returns the bytes that have come, at least one; empty at the end; None if none came in time.

        Args:
            until: a moment of ``time.monotonic()``; one in the past means no wait.

        Raises:
            SourceError: the connection broke.
        """
        while True:
            try:
                return self._open_socket().recv(_PIECE_BYTES)
            except (BlockingIOError, ssl.SSLWantReadError):
                good = self._wait(select.POLLIN, until)
            except ssl.SSLWantWriteError:
                good = self._wait(select.POLLOUT, until)
            except OSError as error:
                raise SourceError(f"the connection broke: {_why(error)}") from None
            if not good:
                return None

    def _connect(self, url: SplitResult, until: float) -> None:
        host, port = url.hostname or "", port_of(url)
        addresses = resolve(host, port, until, self._interruption)
        problem = ""
        for number, (family, address) in enumerate(addresses):
            now = time.monotonic()
            # An address that never answers must leave time for the next one.
            problem = self._reach(family, address, now + (until - now) / (len(addresses) - number))
            if not problem:
                break
            self.close()
        if self._socket is None:
            raise SourceError(f"cannot connect to {host}:{port}: {problem}")
        if url.scheme == "https":
            self._encrypt(host, until)

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

    def _encrypt(self, host: str, until: float) -> None:
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
                    good = self._wait(select.POLLIN, until)
                except ssl.SSLWantWriteError:
                    good = self._wait(select.POLLOUT, until)
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

    def _wait(self, events: int, until: float) -> bool:
        ready = select.poll()
        ready.register(self._open_socket(), events)
        return bool(self._interruption.wait_ready(ready, until))

    def _open_socket(self) -> socket.socket:
        if self._socket is None:
            raise SourceError("the connection is closed")
        return self._socket


def _why(error: OSError) -> str:
    if error.errno and not isinstance(error, ssl.SSLError):
        return error.strerror or os.strerror(error.errno)
    return str(getattr(error, "reason", "") or error)
