"""TLS before any server of the tests, with a certificate that it has signed itself."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
from pathlib import Path

import pytest


class TlsFront:
    """Takes TLS on ``localhost`` and hands on in the clear.

    Args:
        to_port: of the server on loopback.
        folder: for key and certificate.

    Attributes:
        address: host and port.
        certificate: its file.
    """

    def __init__(self, to_port: int, folder: Path) -> None:
        openssl = shutil.which("openssl")
        if openssl is None:
            pytest.skip("there is no openssl to make a certificate with")
        key, self.certificate = folder / "key.pem", folder / "cert.pem"
        words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        words += ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        words += ["-keyout", str(key), "-out", str(self.certificate)]
        subprocess.run([openssl, *words], check=True, capture_output=True)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(self.certificate, key)
        self._to_port = to_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"localhost:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> TlsFront:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener is closed
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the client does not trust us, or has gone
            safe = self._context.wrap_socket(client, server_side=True)
            server = socket.create_connection(("127.0.0.1", self._to_port))
            threading.Thread(target=_pump, args=(safe, server), daemon=True).start()
            _pump(server, safe)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):  # either has gone
        while data := source.recv(4096):
            target.sendall(data)
    target.close()
