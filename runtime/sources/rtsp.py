"""RTSP cameras and servers, captured in a child process."""

from __future__ import annotations

import importlib.util
import re

from .limits import child_environment
from .live import Interruption, LiveOptions
from .process.source import ChildCapture, ChildSource
from .uri import SourceUri

_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


class RtspSource(ChildSource):
    """An ``rtsp://`` or ``rtsps://`` stream.

    Args:
        uri: parsed.
        options: the deadlines.
        interruption: ends waits.

    Raises:
        SourceError: the server is not there, or refuses.
    """

    def __init__(self, uri: SourceUri, options: LiveOptions, interruption: Interruption) -> None:
        ffmpeg = ffmpeg_options(uri)
        capture = ChildCapture(
            _capture_target(),
            {
                "name": uri.public_name,
                "url": uri.rest,
                "options": ffmpeg,
                "open_timeout_s": options.open_timeout_s,
                "read_timeout_s": options.read_timeout_s,
            },
            child_environment(options.read_timeout_s, ffmpeg),
            uri.redacted,
            explain_tls if uri.scheme == "rtsps" else explain,
        )
        super().__init__(uri.public_name, capture, options, interruption)


def _capture_target() -> str:
    """Returns PyAV's capture if PyAV is installed, because it sees more; else OpenCV's."""
    if importlib.util.find_spec("av") is not None:
        return "edgeseg.runtime.sources.process.pyav:AvCapture"
    return "edgeseg.runtime.sources.process.opencv:RtspCapture"


def ffmpeg_options(uri: SourceUri) -> dict[str, str]:
    """Returns FFmpeg's options: the allowed protocols, the transport, and the check of certificates."""
    transport = uri.options.get("transport", "tcp")
    protocols = ["rtsp", "rtp", "tcp"] + (["udp"] if transport == "udp" else [])
    # By default FFmpeg reads 20 frames before it gives the first, which is most of a second after each
    # reconnection.
    options = {"rtsp_transport": transport, "fpsprobesize": "3"}
    if uri.scheme == "rtsps":
        protocols += ["rtsps", "tls"]
        verify = uri.options.get("verify", "1")
        options |= {"tls_verify": verify}
        if verify == "1":
            options["ca_file"] = uri.options.get("ca", _CERTIFICATES)
    return {"protocol_whitelist": ",".join(protocols), **options}


def explain(problem: str, said: str) -> str:
    """Returns the reason that a stream does not open, from FFmpeg's output or PyAV's error."""
    text = f"{problem}\n{said}"
    problem = problem.partition(": Server returned")[0]
    if re.search(r"\b401\b|Unauthorized", text):
        return f"{problem}: the server answers 401: check user and password, as in rtsp://USER:PASSWORD@HOST/PATH"
    if re.search(r"\b404\b|Not Found", text):
        return f"{problem}: the server answers 404: check the path"
    for words in ("Connection refused", "No route to host", "Name or service not known"):
        if words in text and words not in problem:
            return f"{problem}: {words[0].lower()}{words[1:]}"
    return problem


def explain_tls(problem: str, said: str) -> str:
    """Like :func:`explain`, with advice if the reason may be a certificate, about which FFmpeg's output has little."""
    message = explain(problem, said)
    if "certificate" not in said and "Input/output error" not in message:
        return message
    base = message.partition(": Input/output error")[0]
    return (
        f"{base}; where its certificate is not trusted, give its authority's with #ca=FILE, or #verify=0 to trust"
        " anyone"
    )
