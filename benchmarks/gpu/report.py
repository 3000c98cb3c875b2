"""The report of the proof as a page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ...core.printable import printable
from ..describe import machine_lines
from ..tables import Table, number
from .order import FAILED, NOT_RUN, PASSED

_WAYS = (
    ("backend_graph", "backend, CUDA graph"),
    ("backend_no_graph", "backend, no graph"),
    ("segmenter_graph", "`Segmenter`, CUDA graph"),
    ("segmenter_no_graph", "`Segmenter`, no graph"),
)
_PEERS = {"torch": "PyTorch eager", "torch.compile": "torch.compile", "onnxruntime": "ONNX Runtime CUDA"}
_FAULT_FACTS = (
    "refused", "overlap_seconds", "exit_status", "seconds_to_stop", "built_again_seconds", "hit",
    "altered_rebuilt_seconds", "other_options_seconds",
)  # fmt: skip
_LEGEND = (
    "- *backend*: from a frame at the network's size in pinned memory to its class map in the host's memory.",
    "- *`Segmenter`*, and all peers: from the camera's frame, its resize included, to its class map.",
    "- *engine alone*: CUDA events around the engine's work, which has the decode in it; no copies.",
    "- *MB*: device memory that came into use, by NVML; PyTorch's is what its allocator reserved.",
)


def summary_line(report: Mapping[str, Any]) -> str:
    """Returns the numbers of steps that passed, that failed and that were not run."""
    counts = {
        kind: sum(step["outcome"] == kind for step in report["steps"]) for kind in (PASSED, FAILED, NOT_RUN)
    }
    end = "" if report["complete"] else "; the proof was ended before its end"
    return ", ".join(f"{count} {kind}" for kind, count in counts.items()) + end


def markdown(report: Mapping[str, Any]) -> str:
    """Returns the page."""
    steps = report["steps"]
    lines = [
        "# The proof on a GPU",
        "",
        "<!-- not run: it wants a GPU, and its figures are of one machine -->",
        "```bash",
        report["command"],
        "```",
        "",
        *(f"- {line}." for line in _head(report)),
        "",
        "## Steps",
        "",
        f"{summary_line(report)}.",
        "",
        _steps_table(steps).markdown(),
    ]
    for title, table, legend in (
        ("From a frame to its class map", _speed_table(steps), _LEGEND),
        ("Batches, FP16", _batch_table(steps), ()),
        ("Against PyTorch", _parity_table(steps), ()),
    ):
        if table.rows:
            lines += ["", f"## {title}", "", table.markdown(), *(["", *legend] if legend else [])]
    faults = list(_fault_lines(steps))
    if faults:
        lines += ["", "## Faults and the soak", "", *faults]
    return "\n".join(lines) + "\n"


def _head(report: Mapping[str, Any]) -> list[str]:
    device, gpu = report["device"], report["device"].get("gpu")
    lines = []
    if gpu:
        lines.append(
            f"{gpu['name']}, compute capability {gpu['compute_capability']}, {gpu['multiprocessors']}"
            f" multiprocessors, {gpu['memory_mb'] / 1e3:.0f} GB; driver {device.get('driver') or 'unknown'}"
        )
    else:
        lines.append("No GPU")
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    tensorrt = device.get("tensorrt", "no TensorRT")
    through = device.get("cuda_through", "no CUDA package")
    lines.append(f"{tensorrt}, through {through}" + (f"; {versions}" if versions else ""))
    lines += machine_lines(report["machine"])
    if report["prepared"]:
        lines.append(f"Frames: {report['prepared']['source']}")
        lines += [note for notes in report["prepared"]["notes"].values() for note in notes]
    return [printable(line).rstrip(".") for line in lines]


def _steps_table(steps: Iterable[Mapping[str, Any]]) -> Table:
    rows = [
        [step["name"], step["title"], step["outcome"], _cell(step["why"]), number(step["seconds"])]
        for step in steps
    ]
    return Table(["step", "what", "outcome", "why", "s"], rows, left=4)


def _speed_table(steps: Iterable[Mapping[str, Any]]) -> Table:
    rows = []
    for step in steps:
        result = step["result"]
        if step["about"] in ("fp16", "int8"):
            rows += [
                _speed_row(step["network"], f"{step['about']}: {title}", result[key])
                for key, title in _WAYS
                if key in result
            ]
            if "engine_alone" in result:
                rows.append(
                    _speed_row(
                        step["network"], f"{step['about']}: engine alone", {"ms": result["engine_alone"]}
                    )
                )
        elif step["about"] in _PEERS and "ms" in result:
            title = f"{result.get('precision', 'fp16')}: {_PEERS[step['about']]}"
            rows.append(_speed_row(step["network"], title, result))
    rows.sort(key=lambda row: row[0])  # the sort is stable: a network's rows stay in their order
    return Table(["network", "way", "p50 ms", "p90", "p99", "MB", "J a frame"], rows, left=2)


def _speed_row(network: str, title: str, facts: Mapping[str, Any]) -> list[str]:
    ms = facts["ms"]
    return [
        network,
        title,
        *(number(ms[key], 3) for key in ("p50", "p90", "p99")),
        number(facts.get("device_memory_mb"), 0),
        number(facts.get("joules_per_frame"), 4),
    ]


def _batch_table(steps: Iterable[Mapping[str, Any]]) -> Table:
    rows = []
    for step in steps:
        for key, title in (("backend_graph", "CUDA graph"), ("backend_no_graph", "no graph")):
            facts = step["result"].get(key)
            if step["about"] != "batches" or facts is None:
                continue
            moved = step["result"].get(key.replace("backend", "moved_pixels"), {})
            for batch, frames in (("batch_1", "1"), ("batch_4", "4"), ("alternating", "1, 4 in turn")):
                if batch in facts:
                    ms = facts[batch]["ms"]
                    rows.append(
                        [
                            step["network"],
                            title,
                            frames,
                            *(number(ms[p], 3) for p in ("p50", "p90", "p99")),
                            number(100 * moved[batch], 4) if batch in moved else "–",
                        ]
                    )
    return Table(["network", "way", "frames", "p50 ms a call", "p90", "p99", "moved pixels %"], rows, left=3)


def _parity_table(steps: Iterable[Mapping[str, Any]]) -> Table:
    rows = []
    for step in steps:
        facts = step["result"]
        if not step["about"].startswith("verify") or "gates" not in facts:
            continue
        judged = {
            name: c["drop"] for name, c in facts["classes"].items() if c["judged"] and c["drop"] is not None
        }
        worst = max(judged, key=lambda name: judged[name], default="")
        refused = [gate["gate"] for gate in facts["gates"] if not gate["passed"]]
        rows.append(
            [
                step["network"],
                facts["precision"],
                "all" if not refused else f"not {', '.join(refused)}",
                str(facts["frames"]),
                number(100 * facts["pixel_agreement"], 3),
                number(100 * facts["tie_share"], 3),
                number(100 * facts["real_disagreement"], 4),
                number(100 * facts["relative_logit_error"], 3),
                f"{_cell(worst)} {number(100 * judged[worst], 2)}" if worst else "–",
            ]
        )
    heads = ["network", "precision", "gates passed", "frames", "agrees %", "ties %", "differs %"]
    return Table([*heads, "logit error %", "worst class, points of IoU"], rows, left=3)


def _fault_lines(steps: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    for step in steps:
        result = step["result"]
        if step["about"] == "fault" and result:
            facts = "; ".join(
                f"{key.replace('_', ' ')}: {_cell(_words(result[key]))}"
                for key in _FAULT_FACTS
                if key in result
            )
            yield f"- *{step['name']}* ({step['network']}), {step['outcome']}. {facts}"
        elif step["about"] == "soak" and "first" in result:
            first, last = result["first"], result["last"]
            yield (
                f"- *soak* ({step['network']}), {step['outcome']}. {result['frames']} frames in"
                f" {result['seconds']:g} s, {result['invalid']} invalid; p50 {first['p50']:.2f} ms in its first third,"
                f" {last['p50']:.2f} in its last; host memory {result['memory_slope_mb_per_hour']:+.1f} MB an hour,"
                f" device memory {number(result['device_memory_grown_mb'])} MB more;"
                f" {number(result['joules_per_frame'], 3)} J a frame"
            )


def _words(value: Any) -> str:
    if isinstance(value, list):
        return f"{value[0] if value else 'nothing'}, {max(0, len(value) - 1)} more after it"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _cell(text: str) -> str:
    """Returns a text in a form for a table's cell."""
    return printable(text).replace("|", "\\|")
