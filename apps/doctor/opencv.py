"""OpenCV: its build, its video back ends, and its windows."""

from __future__ import annotations

import re

from .diagnosis import Diagnosis, Fact
from .host import Host
from .jetson import find_jetson

_SHARE_ONE_MODULE = (
    "opencv-python",
    "opencv-python-headless",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)
_BACK_ENDS = {"FFMPEG": "FFmpeg", "GStreamer": "GStreamer", "v4l/v4l2": "V4L2"}
_PURPOSE = "edgeseg run"


def probe_opencv(host: Host) -> list[Diagnosis]:
    """Examines the package, its video back ends and its windows."""
    package = _package(host)
    library = host.library("cv2")
    if library.facts is None:
        return [package]
    build = str(library.facts["build"])
    return [package, _video(host, build), _windows(host, build)]


def back_ends(build: str) -> dict[str, bool]:
    """An OpenCV's back ends for video, from its build information: True for those that it has."""
    section = re.search(r"^ *Video I/O:\n(.*?)(?:\n\s*\n|\Z)", build, re.MULTILINE | re.DOTALL)
    lines = dict(re.findall(r"^ *([\w/+ ]+?): +(\S+)", section[1] if section else "", re.MULTILINE))
    return {title: lines.get(name, "NO") == "YES" for name, title in _BACK_ENDS.items()}


def _package(host: Host) -> Diagnosis:
    key, label = "opencv.package", "OpenCV"
    there = [name for name in _SHARE_ONE_MODULE if name in host.installed]
    library = host.library("cv2")
    facts: dict[str, Fact] = {"version": None, "packages": there}
    if library.facts is None and not library.error:
        return Diagnosis(key, label, "missing", "not installed", _PURPOSE, _install(host), facts)
    if library.facts is None:
        text = f"does not load: {library.error}"
        return Diagnosis(key, label, "problem", text, _PURPOSE, _mend(host, library.error, there), facts)
    version = str(library.facts["version"])
    facts["version"] = version
    if len(there) > 1:
        keep = next((name for name in there if "headless" not in name), there[0])
        text = f"{version}; {' and '.join(there)} are one Python module and overwrite each other"
        fix = (f"pip uninstall --yes {' '.join(there)}", f"pip install --no-deps {keep}")
        return Diagnosis(key, label, "problem", text, _PURPOSE, fix, facts)
    source = there[0] if there else "the system's own"
    return Diagnosis(key, label, "ok", f"{version}, {source}", facts=facts)


def _install(host: Host) -> tuple[str, ...]:
    if find_jetson(host):
        return ("sudo apt-get install nvidia-opencv",)
    return ("pip install opencv-python",)


def _mend(host: Host, error: str, there: list[str]) -> tuple[str, ...]:
    library = re.search(r"lib(GL|gthread|glib)[-\w.]*\.so", error)
    if library:
        return ("sudo apt-get install libgl1 libglib2.0-0",)
    if re.search(r"numpy|_ARRAY_API|multiarray", error):
        # Built against NumPy 1, like JetPack 6's; there is no other remedy.
        return ('pip install "numpy<2"',)
    if not there:
        return _install(host)
    return (f"pip install --force-reinstall --no-deps {there[0]}",)


def _video(host: Host, build: str) -> Diagnosis:
    key, label = "opencv.video", "its video"
    has = back_ends(build)
    facts: dict[str, Fact] = {name.lower(): good for name, good in has.items()}
    text = ", ".join(f"{name} {'yes' if good else 'no'}" for name, good in has.items())
    pip_one = next((name for name in _SHARE_ONE_MODULE if name in host.installed), None)
    if find_jetson(host) and not has["GStreamer"]:
        fix = (f"pip uninstall --yes {pip_one}",) if pip_one and host.in_venv else ()
        install = ("sudo apt-get install nvidia-opencv",)
        shadowed = f"; {pip_one} hides JetPack's" if pip_one else ""
        return Diagnosis(key, label, "missing", text + shadowed, "CSI cameras", (*fix, *install), facts)
    if not (has["FFmpeg"] or has["GStreamer"]):
        return Diagnosis(key, label, "missing", text, "video files", ("pip install opencv-python",), facts)
    return Diagnosis(key, label, "ok", text, facts=facts)


def _windows(host: Host, build: str) -> Diagnosis:
    key, label = "opencv.gui", "its windows"
    kind = re.search(r"^ *GUI: +(\S+)", build, re.MULTILINE)
    # Older builds name no kind in that line, and list the toolkits below it.
    listed = re.search(r"^ *(QT|GTK\+)(?: \d\.x)?: +YES", build, re.MULTILINE)
    found = kind or listed
    name = found[1] if found else "NONE"
    display = bool(host.environ.get("DISPLAY") or host.environ.get("WAYLAND_DISPLAY"))
    facts: dict[str, Fact] = {"toolkit": None if name == "NONE" else name, "display": display}
    if name == "NONE":
        headless = [package for package in host.installed if package.startswith("opencv-")]
        fix = (f"pip uninstall --yes {' '.join(headless)}",) if headless else ()
        needed = "edgeseg run --show"
        if not display:
            return Diagnosis(key, label, "note", "none in this build, and no display", facts=facts)
        text = "none: this build has no windows"
        return Diagnosis(key, label, "missing", text, needed, (*fix, *_install(host)), facts)
    return Diagnosis(
        key, label, "ok" if display else "note", name if display else f"{name}, but no display", facts=facts
    )
