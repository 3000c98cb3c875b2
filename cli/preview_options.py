"""The command line's options for the preview page."""

from __future__ import annotations

import argparse
import logging
import re
import secrets
from pathlib import Path

from ..apps.preview.options import DEFAULT_CLIENTS, PreviewOptions, is_address, is_loopback
from ..core.errors import UsageError
from ..core.files import read_text

log = logging.getLogger(__name__)

_MOST_CLIENTS = 1000
_FEWEST_TOKEN_CHARACTERS = 16
_MOST_TOKEN_BYTES = 4096
_LAST_PORT = 65535
_HOST_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_FORM = re.compile(rf"(?:(?P<host>\[[0-9A-Fa-f:.%\w]+\]|{_HOST_NAME}):)?(?P<port>\d{{1,9}})", re.ASCII)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the preview page."""
    group = parser.add_argument_group("preview page")
    group.add_argument(
        "--preview",
        metavar="[HOST:]PORT",
        help="watch the run in a browser, at http://HOST:PORT; the default HOST is 127.0.0.1, this machine alone",
    )
    group.add_argument(
        "--preview-token-file",
        type=Path,
        metavar="FILE",
        help="a file whose first line is the token that viewers need; without it, a page that other machines can reach"
        " makes a token and prints it",
    )
    group.add_argument(
        "--preview-hosts",
        metavar="NAME,…",
        help="further names that browsers may call the server by, as behind a proxy",
    )
    group.add_argument(
        "--preview-clients",
        type=int,
        default=DEFAULT_CLIENTS,
        metavar="N",
        help="the most viewers at once; default: %(default)s",
    )


def preview_options(args: argparse.Namespace) -> PreviewOptions | None:
    """Reads the options; None if no page is requested.

    Raises:
        UsageError: one of them is invalid.
    """
    if args.preview is None:
        for option in ("--preview-token-file", "--preview-hosts"):
            if getattr(args, option[2:].replace("-", "_")) is not None:
                raise UsageError(f"{option} needs --preview [HOST:]PORT")
        return None
    host, port = _address(args.preview)
    if not 1 <= args.preview_clients <= _MOST_CLIENTS:
        raise UsageError(f"--preview-clients {args.preview_clients}: expected 1 to {_MOST_CLIENTS}")
    token, generated = "", False
    if args.preview_token_file is not None:
        token = _read_token(args.preview_token_file)
    elif not is_loopback(host):
        if getattr(args, "log_json", False):
            raise UsageError(
                f"--preview {args.preview} with --log-json needs --preview-token-file FILE: a generated token"
                " would be printed, and logs are kept; make one with: openssl rand -hex 24"
            )
        token, generated = secrets.token_urlsafe(24), True
    return PreviewOptions(host, port, token, generated, _host_names(args.preview_hosts), args.preview_clients)


def _address(text: str) -> tuple[str, int]:
    match = _FORM.fullmatch(text)
    if match is not None and int(match["port"]) > _LAST_PORT:
        raise UsageError(f"--preview {text}: ports end at {_LAST_PORT}")
    if match is None:
        raise UsageError(
            f"--preview {text}: expected a port, or HOST:PORT with an IPv6 address in brackets, such as 8080,"
            " 0.0.0.0:8080 or [::1]:8080"
        )
    return (match["host"] or "127.0.0.1").strip("[]"), int(match["port"])


def _host_names(text: str | None) -> tuple[str, ...]:
    names = tuple(name.strip().lower() for name in (text or "").split(",") if name.strip())
    for name in names:
        if not re.fullmatch(_HOST_NAME, name) and not is_address(name.strip("[]")):
            raise UsageError(
                f"--preview-hosts {name}: expected names as in the browser's address, without http:// and port"
            )
    return tuple(name.strip("[]") for name in names)


def _read_token(path: Path) -> str:
    text = read_text(path, "--preview-token-file", most_bytes=_MOST_TOKEN_BYTES, error=UsageError)
    token = text.split("\n", 1)[0].strip()
    if not token.isprintable() or not token.isascii() or " " in token:
        raise UsageError(f"--preview-token-file {path}: expected one line of printable ASCII without spaces")
    if len(token) < _FEWEST_TOKEN_CHARACTERS:
        raise UsageError(
            f"--preview-token-file {path}: the token has {len(token)} characters, expected"
            f" {_FEWEST_TOKEN_CHARACTERS} or more; make one with: openssl rand -hex 24"
        )
    mode = path.stat().st_mode
    if mode & 0o004:
        log.warning(
            "Every user of this machine can read the preview's token.",
            extra={"event": "preview-token-readable", "fields": {"mode": f"{mode & 0o777:o}"}},
        )
    return token
