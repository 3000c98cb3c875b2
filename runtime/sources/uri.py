"""The names of sources: one grammar for the command line and Python, parsed without opening anything."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from ...core.errors import SourceError

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
VIDEO_SUFFIXES = frozenset(
    {".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts"}
    | {".vob", ".webm", ".wmv"}
)
FORMS = (
    "a camera index, a video file, a folder or glob of images, v4l2:///dev/video0, csi://0, gst://PIPELINE,"
    " rtsp://HOST/PATH, http://HOST/stream.mjpg, ros2:///TOPIC"
)
_EXAMPLES = {
    "rtsp": "rtsp://HOST/PATH",
    "rtsps": "rtsps://HOST/PATH",
    "http": "http://HOST/stream.mjpg",
    "https": "https://HOST/stream.mjpg",
    "v4l2": "v4l2:///dev/video0",
    "csi": "csi://0",
    "gst": "gst://PIPELINE",
    "ros2": "ros2:///TOPIC",
}
_THREE_SLASHES = ("v4l2", "ros2")
_FLIPS = ("none", "counterclockwise", "rotate-180", "clockwise", "horizontal-flip", "vertical-flip")
_MOST_SIDE = 32768


def _whole(low: int, high: int) -> tuple[Callable[[str], bool], str]:
    def fits(text: str) -> bool:
        return re.fullmatch("[0-9]{1,9}", text) is not None and low <= int(text) <= high

    return fits, f"a whole number of {low} to {high}"


def _one_of(*words: str) -> tuple[Callable[[str], bool], str]:
    return words.__contains__, " or ".join(words)


def _is_rate(text: str) -> bool:
    return re.fullmatch(r"\d{1,4}(\.\d+)?", text) is not None and 0 < float(text) <= 1000


_SIDE = _whole(1, _MOST_SIDE)
_FPS = (_is_rate, "frames a second, as 30 or 29.97")
_FOURCC = (lambda text: re.fullmatch(r"[A-Za-z0-9]{4}", text) is not None, "four letters, as MJPG or YUYV")
_TLS = {"verify": _one_of("0", "1"), "ca": (bool, "a file of certificates")}
_OPTIONS: dict[str, dict[str, tuple[Callable[[str], bool], str]]] = {
    "v4l2": {"width": _SIDE, "height": _SIDE, "fps": _FPS, "fourcc": _FOURCC},
    "csi": {
        "width": _SIDE,
        "height": _SIDE,
        "fps": _FPS,
        "flip": _one_of(*_FLIPS),
        "mode": _whole(0, 63),
    },
    "rtsp": {"transport": _one_of("tcp", "udp")},
    "rtsps": {"transport": _one_of("tcp"), **_TLS},
    "http": _TLS,  # for a server that it redirects to
    "https": _TLS,
    "ros2": {
        "qos": _one_of("sensor_data", "reliable"),
        "stamp": _one_of("header", "arrival"),
        "sim_time": _one_of("0", "1"),
    },
    "video": {"loop": _one_of("0", "1")},
    "images": {},
}
_TOPIC = re.compile(r"(/[A-Za-z_][A-Za-z0-9_]*)+")
_URLS = ("rtsp", "rtsps", "http", "https")


@dataclass(frozen=True)
class SourceUri:
    """A source's name, parsed.

    Attributes:
        scheme: ``v4l2``, ``csi``, ``gst``, ``rtsp``, ``rtsps``, ``http``, ``https``, ``ros2``, ``video``, ``images``,
            or one that was registered.
        rest: the device, sensor number, pipeline, topic, URL without edgeseg's options, file, folder or glob;
            for a registered scheme all that follows the colon.
        options: as given; each name is checked to be one of the scheme's, and each value to be valid.
        public_name: for display, logs and labels: without user, password and query.
        secrets: texts that must not be shown, for :meth:`redacted`.
    """

    scheme: str
    rest: str
    options: Mapping[str, str] = field(default_factory=dict)
    public_name: str = ""
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def redacted(self, text: str) -> str:
        """Returns a library's message without user, password and query."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            text = text.replace(secret, "…")
        return hide_credentials(text)


def parse(uri: str, schemes: Collection[str] = ()) -> SourceUri:
    """Parses a source's name.

    Options of files and cameras follow ``?``. Those of ``rtsp://`` and ``http://`` follow ``#``, because the part after
    ``?`` is for the server there. A file whose name contains ``?`` is found too.

    Args:
        uri: as typed after ``--source``.
        schemes: the registered ones, besides the built-in ones.

    Raises:
        SourceError: the scheme or an option is unknown, or a value is invalid.

    Example:
        >>> parse("v4l2:///dev/video2?width=1280&height=720").options["width"]
        '1280'
    """
    if re.fullmatch("[0-9]{1,9}", uri):
        return SourceUri("v4l2", f"/dev/video{int(uri)}", {}, f"camera {int(uri)}")
    if re.fullmatch(r"/dev/video\d+", uri):
        return SourceUri("v4l2", uri, {}, f"camera {uri.removeprefix('/dev/video')}")
    # Not Path.exists, which raises for a long name: a pipeline may be longer than any path.
    if os.path.exists(uri):
        return _file(uri, {})
    if not uri.strip():
        raise SourceError(f"the source is empty; expected {forms(schemes)}")
    match = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):", uri)
    scheme = match[1] if match else ""
    if scheme in schemes and scheme not in _EXAMPLES:
        return SourceUri(scheme, uri[len(scheme) + 1 :], {}, hide_credentials(uri))
    if uri[len(scheme) :].startswith("://"):
        return _url(uri, scheme.lower(), schemes)
    sloppy = re.match(rf"(?i)({'|'.join(_EXAMPLES)})(:|//)", uri)
    if sloppy:
        name = sloppy[1].lower()
        slashes = "three slashes" if name in _THREE_SLASHES else "two slashes"
        needs = slashes if sloppy[2] == ":" else "a colon"
        raise SourceError(f"{shown(uri)}: {name} needs {needs}, as in {_EXAMPLES[name]}")
    path, mark, query = uri.rpartition("?")
    if mark and re.match(r"[A-Za-z_]+=", query):
        return _file(path, _options(shown(uri), Path(path).suffix and _file_scheme(path), query))
    if match is not None and not _is_glob(uri) and not _is_file_name(uri, scheme, schemes):
        raise _unknown_scheme(uri, scheme, schemes)
    return _file(uri, {})


def _is_file_name(uri: str, scheme: str, schemes: Collection[str]) -> bool:
    """Returns True if a colon belongs to a file's name, as in ``cam-12:30:00.mp4``, and cannot belong to a password."""
    known = Path(uri).suffix.lower() in VIDEO_SUFFIXES | IMAGE_SUFFIXES
    return known and "@" not in uri and "//" not in uri and not _nearest_scheme(scheme, schemes)


def _file(path: str, options: Mapping[str, str]) -> SourceUri:
    return SourceUri(_file_scheme(path), path, options, path if os.path.exists(path) else shown(path))


def _file_scheme(path: str) -> str:
    image = Path(path).suffix.lower() in IMAGE_SUFFIXES
    if os.path.isfile(path):
        return "images" if image else "video"
    return "images" if image or os.path.isdir(path) or _is_glob(path) else "video"


def _is_glob(path: str) -> bool:
    return any(character in path for character in "*?[")


def _url(uri: str, scheme: str, schemes: Collection[str]) -> SourceUri:
    rest = uri[len(scheme) + 3 :]
    if scheme == "gst":
        if not rest.strip():
            raise SourceError("gst:// lacks its pipeline: expected as in gst://videotestsrc ! videoconvert")
        return SourceUri(scheme, rest, {}, f"gst://{_elements(rest)}", _secrets_of_pipeline(rest))
    if scheme in _URLS:
        return _network(uri, scheme)
    if scheme not in ("v4l2", "csi", "ros2"):
        raise _unknown_scheme(uri, scheme, schemes)
    place, _, query = rest.partition("?")
    options = _options(shown(uri), scheme, query)
    if scheme == "csi":
        place = place or "0"
        if not (place.isascii() and place.isdigit()):
            raise SourceError(f"{shown(uri)}: the sensor is not a number; expected as in csi://0?width=1280")
        return SourceUri(scheme, place, options, f"csi://{place}")
    if scheme == "ros2":
        if not _TOPIC.fullmatch(place):
            raise SourceError(
                f"{shown(uri)}: expected a topic with three slashes, as in ros2:///camera/image_raw"
            )
        return SourceUri(scheme, place, options, f"ros2://{place}")
    if not place.startswith("/dev/"):
        raise SourceError(
            f"{shown(uri)}: expected a device with three slashes, as in v4l2:///dev/video0?width=1280"
        )
    return SourceUri(scheme, place, options, place)


def _network(uri: str, scheme: str) -> SourceUri:
    bare, _, fragment = uri.partition("#")
    public, typed, expected = hide_credentials(bare), shown(uri), f"expected {scheme}://HOST[:PORT]/PATH"
    if "@" in uri:
        expected += "; a user's or password's own / ? # @ and blank are written %2F %3F %23 %40 %20"
    try:
        parts = urlsplit(bare)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        # Other messages may quote the password.
        why = str(error) if str(error).startswith("Port out of range") else "host or port cannot be read"
        raise SourceError(f"{typed}: {why}; {expected}") from None
    if not host:
        raise SourceError(f"{typed} names no host; {expected}")
    if re.search(r"[\x00-\x20\x7f]", bare):
        raise SourceError(f"{typed} contains a blank or control character; write it as %20 and the like")
    if port is not None and "@" not in parts.netloc and "@" in (parts.path or parts.query):
        # USER:12/34@HOST reads as the port 12 of a host USER.
        raise SourceError(
            f"{typed}: an @ after a port may end a password; {expected}, and an @ of the path %40"
        )
    secrets = tuple(filter(None, (parts.username, parts.password, parts.query, _userinfo(bare))))
    return SourceUri(scheme, bare, _options(typed, scheme, fragment), public, secrets)


def _userinfo(url: str) -> str:
    place = url.partition("://")[2].partition("/")[0]
    return place.rpartition("@")[0]


def _options(uri: str, scheme: str, query: str) -> dict[str, str]:
    known = _OPTIONS[scheme or "video"]
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True) if query else []
    except ValueError:
        raise SourceError(
            f"{uri}: cannot read the options {_cut(query)!r}; expected as in width=1280&height=720"
        ) from None
    options: dict[str, str] = {}
    for name, value in pairs:
        if name not in known:
            raise SourceError(f"{uri}: unknown option {_cut(name)!r}; {_nearest(name, known)}")
        if name in options:
            raise SourceError(f"{uri}: the option {name!r} is given twice")
        fits, form = known[name]
        if not fits(value):
            raise SourceError(f"{uri}: {name}={_cut(value)} is not {form}")
        options[name] = value
    return options


def _nearest(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known here: {', '.join(known)}" if known else "this kind of source has no options"


def _unknown_scheme(uri: str, scheme: str, schemes: Collection[str]) -> SourceError:
    close = _nearest_scheme(scheme, schemes)
    if "@" in uri and not close and "://" not in uri:
        # The text before the colon may be a user's name.
        return SourceError(f"{shown(uri)} has no scheme; expected as in rtsp://USER:PASSWORD@HOST/PATH")
    then = f"did you mean {close!r}?" if close else f"expected {forms(schemes)}"
    return SourceError(f"unknown scheme {scheme!r} in {shown(uri)}; {then}")


def _nearest_scheme(scheme: str, schemes: Collection[str] = ()) -> str:
    close = difflib.get_close_matches(scheme.lower(), (*_EXAMPLES, *schemes), n=1, cutoff=0.7)
    return close[0] if close else ""


def forms(schemes: Collection[str]) -> str:
    """The forms of a source's name, as text for display: the built-in ones, then the registered schemes."""
    return ", ".join(
        (
            FORMS,
            *(
                f"{scheme}:7" if scheme == "aerial" else f"{scheme}:…"
                for scheme in schemes
                if scheme not in _EXAMPLES
            ),
        )
    )


def _elements(pipeline: str) -> str:
    """The pipeline's elements without their properties, which may hold addresses and passwords."""
    words = [part.split()[0] for part in pipeline.split("!") if part.split()]
    return " ! ".join(word.split("(")[0].rstrip(",") for word in words)


def _secrets_of_pipeline(pipeline: str) -> tuple[str, ...]:
    """The values of all properties that may be secret, by their name or form."""
    named = re.findall(
        r"(?i)\b[\w-]*(?:pw|pass|passwd|password|user|id|token|key)[\w-]*\s*=\s*\"?([^\s\"!]{3,})", pipeline
    )
    return tuple(named) + tuple(re.findall(r"://([^\s/@]+)@", pipeline))


def shown(uri: str) -> str:
    """A source's name as typed, even if malformed, for an error; possible secrets are left out.

    All up to the last ``@`` counts as user and password, even without the slashes before it.

    Example:
        >>> shown("http:/pilot:s3cret@host/a?key=1")
        'http:/***@host/a'
    """
    text, head = uri, re.match(r"([A-Za-z][A-Za-z0-9+.-]*)(:/{0,2}|//)", uri)
    if head or "@" in uri:
        # Without slashes, the text before a colon may be a user.
        known = head is not None and (head[2] == "://" or _nearest_scheme(head[1]) != "")
        start = head.end() if head is not None and known else 0
        text = uri[:start] + re.split(r"[?#]", _cut(uri[start:]), maxsplit=1)[0]
    text = re.sub(r"(?i)([\w-]*(?:pw|pass|user|token|key|secret)[\w-]*\s*=\s*)[^\s&/_?!]+", r"\1…", text)
    return re.sub(r"[\x00-\x1f\x7f]", lambda control: f"\\x{ord(control[0]):02x}", text)


def _cut(text: str) -> str:
    """The text with ``***`` in place of all before its last ``@``."""
    at = text.rfind("@")
    return text if at < 0 else f"***{text[at:]}"


def hide_credentials(text: str) -> str:
    """The text with user, password and query removed from all URLs."""
    text = re.sub(r"(?<=://)[^\s/?#]*@", "", text)
    text = re.sub(r"(\w://[^\s?#\"']*)[?#][^\s\"']*", r"\1", text)
    # Some cameras have the password in the path: rtsp://HOST/user=admin_password=…_channel=1.sdp
    return re.sub(r"(?i)(password|passwd|pwd|pass|token)=[^\s&/_?]*", r"\1=…", text)
