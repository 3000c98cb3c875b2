"""The grammar of sources: what each form means, what is refused and how, and what is never shown."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from edgeseg.core.errors import SourceError
from edgeseg.runtime.sources import open_source
from edgeseg.runtime.sources.uri import hide_credentials, parse


@pytest.mark.parametrize(
    ("uri", "scheme", "rest", "options", "name"),
    [
        ("0", "v4l2", "/dev/video0", {}, "camera 0"),
        ("/dev/video12", "v4l2", "/dev/video12", {}, "camera 12"),
        ("v4l2:///dev/video2", "v4l2", "/dev/video2", {}, "/dev/video2"),
        (
            "v4l2:///dev/v4l/by-id/usb-x?width=1280&height=720&fps=29.97&fourcc=MJPG",
            "v4l2",
            "/dev/v4l/by-id/usb-x",
            {"width": "1280", "height": "720", "fps": "29.97", "fourcc": "MJPG"},
            "/dev/v4l/by-id/usb-x",
        ),
        ("csi://0", "csi", "0", {}, "csi://0"),
        ("csi://?flip=rotate-180", "csi", "0", {"flip": "rotate-180"}, "csi://0"),
        ("csi://1?width=1920&mode=2", "csi", "1", {"width": "1920", "mode": "2"}, "csi://1"),
        ("gst://videotestsrc ! fakesink", "gst", "videotestsrc ! fakesink", {}, "gst://videotestsrc ! fakesink"),
        (f"gst://a name={'x' * 300} ! b", "gst", f"a name={'x' * 300} ! b", {}, "gst://a ! b"),
        (
            "gst://rtspsrc location=rtsp://joe:pw1@h/x?q=1 user-pw=geheim ! rtph264depay ! decodebin",
            "gst",
            "rtspsrc location=rtsp://joe:pw1@h/x?q=1 user-pw=geheim ! rtph264depay ! decodebin",
            {},
            "gst://rtspsrc ! rtph264depay ! decodebin",
        ),
        ("rtsp://h:8554/s", "rtsp", "rtsp://h:8554/s", {}, "rtsp://h:8554/s"),
        (
            "rtsp://joe:p%40ss@h/s?channel=1#transport=udp",
            "rtsp",
            "rtsp://joe:p%40ss@h/s?channel=1",
            {"transport": "udp"},
            "rtsp://h/s",
        ),
        ("RTSPS://h/s#verify=0&ca=/x.pem", "rtsps", "RTSPS://h/s", {"verify": "0", "ca": "/x.pem"}, "RTSPS://h/s"),
        ("http://[::1]:80/a.mjpg?x=y", "http", "http://[::1]:80/a.mjpg?x=y", {}, "http://[::1]:80/a.mjpg"),
        ("https://h/a#ca=c.pem", "https", "https://h/a", {"ca": "c.pem"}, "https://h/a"),
        ("ros2:///camera/image_raw", "ros2", "/camera/image_raw", {}, "ros2:///camera/image_raw"),
        (
            "ros2:///a?qos=reliable&stamp=arrival&sim_time=1",
            "ros2",
            "/a",
            {"qos": "reliable", "stamp": "arrival", "sim_time": "1"},
            "ros2:///a",
        ),
        ("film.mp4", "video", "film.mp4", {}, "film.mp4"),
        ("a/film.mp4?loop=1", "video", "a/film.mp4", {"loop": "1"}, "a/film.mp4"),
        ("shots/*.png", "images", "shots/*.png", {}, "shots/*.png"),
        ("shots/??.png", "images", "shots/??.png", {}, "shots/??.png"),
        ("a.JPG", "images", "a.JPG", {}, "a.JPG"),
        ("aerial:7?size=64x64", "aerial", "7?size=64x64", {}, "aerial:7?size=64x64"),
    ],
)  # fmt: skip
def test_each_form(uri: str, scheme: str, rest: str, options: dict[str, str], name: str) -> None:
    parsed = parse(uri, {"aerial", "ros2"})
    assert (parsed.scheme, parsed.rest, dict(parsed.options), parsed.public_name) == (
        scheme,
        rest,
        options,
        name,
    )


def test_files_that_are_there_win_over_any_other_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("what?.mp4", "take?loop=1", "aerial:7", "a[1].png", "[b]"):
        Path(name).write_bytes(b"")
    Path("folder.d").mkdir()
    found = {
        name: parse(name, {"aerial"})
        for name in ("what?.mp4", "take?loop=1", "aerial:7", "a[1].png", "folder.d")
    }
    assert {name: (each.scheme, each.rest) for name, each in found.items()} == {
        "what?.mp4": ("video", "what?.mp4"),
        "take?loop=1": ("video", "take?loop=1"),
        "aerial:7": ("video", "aerial:7"),
        "a[1].png": ("images", "a[1].png"),
        "folder.d": ("images", "folder.d"),
    }
    both = parse("what?.mp4?loop=1")
    assert (both.rest, dict(both.options)) == ("what?.mp4", {"loop": "1"})


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("v4l2:///dev/video0?widht=640", r"unknown option 'widht'; did you mean 'width'\?"),
        ("v4l2:///dev/video0?zoom=2", r"unknown option 'zoom'; known here: width, height, fps, fourcc"),
        ("v4l2:///dev/video0?width=0", r"width=0 is not a whole number of 1 to 32768"),
        ("v4l2:///dev/video0?width=1e3", r"width=1e3 is not a whole number"),
        ("v4l2:///dev/video0?fps=0", r"fps=0 is not frames a second"),
        ("v4l2:///dev/video0?fourcc=MJ", r"fourcc=MJ is not four letters"),
        ("v4l2:///dev/video0?width=1&width=2", r"the option 'width' is given twice"),
        ("v4l2:///dev/video0?width", r"cannot read the options 'width'"),
        ("v4l2://dev/video0", r"expected a device with three slashes"),
        ("csi://front", r"csi://front: the sensor is not a number"),
        ("csi://0?flip=up", r"flip=up is not none or counterclockwise or"),
        ("csi://0?fps=30/1", r"fps=30/1 is not frames a second"),
        ("gst:// ", r"gst:// lacks its pipeline"),
        ("rtsp:///x", r"rtsp:///x names no host"),
        ("rtsp://joe:geheim@h:99999/x", r"rtsp://\*\*\*@h:99999/x: Port out of range"),
        ("rtsp://joe:geheim@h/x#transprot=udp", r"unknown option 'transprot'; did you mean 'transport'"),
        ("rtsp://joe:geheim@h/x#transport=quic", r"transport=quic is not tcp or udp"),
        ("rtsps://joe:geheim@h/x#transport=udp", r"transport=udp is not tcp"),
        ("http://joe:geheim@h/x#transport=udp", r"unknown option 'transport'; known here: verify, ca"),
        ("http://joe:geheim@h/x#verfy=0", r"unknown option 'verfy'; did you mean 'verify'\?"),
        ("http://h/a b", r"http://h/a b contains a blank"),
        ("http://h/a\r\nHost:x", r"contains a blank or control character"),
        ("rstp://joe:geheim@h/x?k=geheim", r"unknown scheme 'rstp' in rstp://\*\*\*@h/x; did you mean 'rtsp'\?"),
        ("ftp://joe:geheim@h/x", r"unknown scheme 'ftp' in ftp://\*\*\*@h/x; expected a camera index, .*, aerial:7$"),
        ("http:/joe:geheim@h/a", r"^http:/\*\*\*@h/a: http needs two slashes, as in http://HOST/stream\.mjpg$"),
        ("http:/h/a?key=geheim", r"^http:/h/a: http needs two slashes"),
        ("http//joe:geheim@h/a?key=geheim", r"^http//\*\*\*@h/a: http needs a colon, as in"),
        ("http:joe:geheim@h/*", r"^http:\*\*\*@h/\*: http needs two slashes"),
        ("v4l2:/dev/video0", r"v4l2 needs three slashes, as in v4l2:///dev/video0"),
        ("gst:rtspsrc location=rtsp://joe:geheim@h/x user-pw=geheim", r"as in gst://PIPELINE"),
        ("htpp:/joe:geheim@h/a", r"unknown scheme 'htpp' in htpp:/\*\*\*@h/a; did you mean 'http'\?"),
        ("gts://rtspsrc user-id=joe user-pw=geheim", r"unknown scheme 'gts' in .*; expected a camera index"),
        ("joe:geheim@h:1/a", r"^\*\*\*@h:1/a has no scheme; expected as in rtsp://USER:PASSWORD@HOST/PATH$"),
        ("host:8554/a?key=geheim", r"^host:8554/a: unknown option 'key'"),
        ("http://joe:ge heim@h/a", r"^http://\*\*\*@h/a contains a blank .* %20"),
        ("http://joe:geheim/geheim@h/a", r"^http://\*\*\*@h/a: host or port cannot be read; .* %2F"),
        ("http://joe:12/geheim@h/a", r"^http://\*\*\*@h/a: an @ after a port may end a password; .* %2F"),
        ("http://joe:12?geheim@h/a", r"^http://\*\*\*@h/a: an @ after a port may end a password"),
        ("http://joe:geheim#geheim@h/a", r"^http://\*\*\*@h/a: host or port cannot be read; .* %23"),
        ("http://joe:12#geheim@h/a", r"^http://\*\*\*@h/a: cannot read the options '\*\*\*@h/a'"),
        ("http://joe:12#geheim@h/a=1", r"unknown option '\*\*\*@h/a'"),
        ("http://joe:[geheim@h/a", r"^http://\*\*\*@h/a: host or port cannot be read"),
        ("", r"^the source is empty; expected a camera index"),
        (" ", r"^the source is empty; expected a camera index"),
        ("film.mp4?lop=1", r"unknown option 'lop'; did you mean 'loop'\?"),
        ("film.mp4?loop=yes", r"loop=yes is not 0 or 1"),
        ("a.png?loop=1", r"unknown option 'loop'; this kind of source has no options"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_without_credentials(uri: str, message: str) -> None:
    with pytest.raises(SourceError, match=message) as caught:
        parse(uri, {"aerial"})
    assert "geheim" not in str(caught.value)
    assert "joe" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "uri",
    ["joe//geheim@h/a", "joe:geheim@h/*.png", "a/joe:geheim@h", "joe geheim@h.mp4", "joe:geheim@h\0.mp4", "9" * 9999],
)  # fmt: skip
def test_what_is_not_there_is_said_without_credentials(uri: str) -> None:
    with pytest.raises(SourceError, match=r"there is no|no images|has no scheme|does not|none") as caught:
        open_source(uri)
    assert "geheim" not in str(caught.value)
    assert "joe" not in str(caught.value)
    assert "\0" not in str(caught.value)


def test_a_source_is_also_a_number_or_a_path(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((4, 6, 3), np.uint8))
    with open_source(tmp_path / "a.png") as source:
        assert source.read().shape == (4, 6, 3)
    with pytest.raises(SourceError, match=r"/dev/video4711|camera 4711"):
        open_source(4711)
    for wrong, message in (
        (None, "NoneType"),
        (True, "bool"),
        (b"0", "bytes"),
        (1.5, "float"),
        (-1, "no camera -1"),
    ):
        with pytest.raises(SourceError, match=message):
            open_source(wrong)


def test_what_libraries_say_is_shown_without_credentials() -> None:
    uri = parse("rtsp://joe:p%40ss@h/s?token=abc123")
    said = (
        "cannot open 'rtsp://joe:p%40ss@h/s?token=abc123': joe p%40ss token=abc123, http://a:b@c/d?e=f#g done"
    )
    shown = uri.redacted(said)
    for secret in ("joe", "p%40ss", "abc123", "a:b@", "e=f"):
        assert secret not in shown
    assert "rtsp://h/s" in shown
    assert shown.endswith("http://c/d done")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://h/user=admin_password=geheim_channel=1.sdp", "rtsp://h/user=admin_password=…_channel=1.sdp"),
        ("rtsp://a:b:c@d@h/x", "rtsp://h/x"),
        ("see http://u@h and https://h/p?q", "see http://h and https://h/p"),
        ("nothing to hide: 3 > 2 ? yes : no", "nothing to hide: 3 > 2 ? yes : no"),
    ],
)
def test_credentials_are_hidden(text: str, shown: str) -> None:
    assert hide_credentials(text) == shown
