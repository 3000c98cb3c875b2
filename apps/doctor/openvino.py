"""OpenVINO: the package, and its devices."""

from __future__ import annotations

from .diagnosis import Diagnosis, Fact
from .host import Host

_PURPOSE = "edgeseg run --backend openvino"


def probe_openvino(host: Host) -> list[Diagnosis]:
    """Examines the package, and the devices that it finds."""
    key, label = "openvino.package", "OpenVINO"
    facts: dict[str, Fact] = {"version": None, "devices": []}
    library = host.library("openvino")
    if library.facts is None and library.error:
        again = ("pip install --force-reinstall openvino",)
        return [Diagnosis(key, label, "problem", f"does not load: {library.error}", _PURPOSE, again, facts)]
    if library.facts is None:
        text = 'not installed; on x86 CPUs it may be the fastest: pip install "edgeseg[openvino]"'
        return [Diagnosis(key, label, "note", text, facts=facts, quiet=host.arch != "x86_64")]
    version, devices = str(library.facts["version"]), [str(name) for name in library.facts["devices"]]
    facts |= {"version": version, "devices": devices, "cpu_precision": str(library.facts["cpu_precision"])}
    if not devices:
        text = f"{version}; it finds no device"
        return [
            Diagnosis(
                key, label, "problem", text, _PURPOSE, ("pip install --force-reinstall openvino",), facts
            )
        ]
    text = f"{version}, for {', '.join(devices)}"
    if facts["cpu_precision"] == "bf16":
        text += "; on the CPU in bfloat16, and in float32 with --device cpu-f32"
    return [Diagnosis(key, label, "ok", text, facts=facts)]
