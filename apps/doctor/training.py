"""The packages that training, exporting and verifying need."""

from __future__ import annotations

from .diagnosis import Diagnosis
from .host import Host
from .jetson import find_jetson

EXPORT_PACKAGES = (
    "torch",
    "torchvision",
    "onnx",
    "onnxscript",
    "safetensors",
    "pillow",
    "matplotlib",
    "rich",
)
"""The packages of the extra ``export``."""


def probe_training(host: Host) -> list[Diagnosis]:
    """Examines the packages of the extra ``export``."""
    key, label = "training.packages", "extra export"
    there = {name: host.installed[name] for name in EXPORT_PACKAGES if name in host.installed}
    absent = [name for name in EXPORT_PACKAGES if name not in there]
    facts = {name: there.get(name) for name in EXPORT_PACKAGES}
    if not absent:
        shown = ", ".join(f"{name} {there[name]}" for name in ("torch", "torchvision", "onnx"))
        return [Diagnosis(key, label, "ok", shown, facts=facts)]
    purpose = "edgeseg models, data, train, export and verify"
    if find_jetson(host) and not there:
        text = "not installed; train and export on a workstation, and bring the bundle"
        return [Diagnosis(key, label, "note", text, purpose, facts=facts)]
    text = "not installed" if not there else f"not installed: {', '.join(absent)}"
    return [Diagnosis(key, label, "missing", text, purpose, ('pip install "edgeseg[export]"',), facts)]
