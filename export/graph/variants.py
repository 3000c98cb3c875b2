"""The graphs of a bundle: every precision written from the one float32 export."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ...calibration.calibrate import Calibration
from ...calibration.graph import Graph
from ...core.errors import UsageError
from .half import to_half

if TYPE_CHECKING:
    import onnx

PRECISIONS = ("fp32", "fp16", "int8")


@dataclass(frozen=True)
class VariantGraph:
    """A variant before it is a file.

    Attributes:
        name: its name in the bundle.
        model: its graph.
        precision: one of ``PRECISIONS``.
        target: the kernels that it is made for; ``any`` runs everywhere.
        calibration: of INT8, as in the manifest.
    """

    name: str
    model: onnx.ModelProto
    precision: str
    target: str = "any"
    calibration: Mapping[str, Any] | None = None


def check_precision(precision: str) -> None:
    """Raises ``UsageError`` for a precision that is not in ``PRECISIONS``."""
    if precision not in PRECISIONS:
        raise UsageError(f"unknown precision {precision!r}; known: {', '.join(PRECISIONS)}")


def variant_graphs(
    graph: onnx.ModelProto, precisions: Sequence[str], calibration: Calibration | None = None
) -> list[VariantGraph]:
    """Writes a float32 graph in each requested precision, in that order; INT8 in one form for each target.

    Args:
        graph: as ``onnx_file.export_graph`` gives it; not changed.
        precisions: some of ``PRECISIONS``.
        calibration: needed for ``int8``; its plans name the targets.

    Raises:
        UsageError: an unknown precision.
        ModelError: a value does not fit float16.
        DataError: a range is missing.
    """
    found = []
    for precision in precisions:
        check_precision(precision)
        if precision == "int8":
            assert calibration is not None
            found += _int8(graph, calibration)
        else:
            found.append(VariantGraph(precision, to_half(graph) if precision == "fp16" else graph, precision))
    return found


def _int8(graph: onnx.ModelProto, calibration: Calibration) -> list[VariantGraph]:
    float32 = Graph(graph)
    found = []
    for target in calibration.plans:
        model = calibration.quantized(float32, target)
        # In TensorRT the float part must be float16, or Q/DQ would be no faster than FP16. A CPU computes float32.
        ready = to_half(model) if target == "tensorrt" else model
        found.append(VariantGraph(f"int8-{target}", ready, "int8", target, _manifest(calibration, target)))
    # Most bundles first run on a machine without a GPU, where the first variant is the default.
    return sorted(found, key=lambda variant: variant.target != "cpu")


def _manifest(calibration: Calibration, target: str) -> dict[str, Any]:
    """Returns the manifest's entry on a variant's calibration."""
    record = calibration.record
    plan = asdict(calibration.plans[target])
    return {
        **plan,
        "excluded": list(plan["excluded"]),
        "shifts": list(plan["shifts"]),  # the values are in the graph
        "source": record.source,
        "pictures": len(record.picture_hashes),
        "held_back": record.held_back,
        "class_shares": dict(record.class_shares),
        "never_seen": list(record.never_seen),
        "graph_sha256": record.graph_sha256,
        "pictures_sha256": record.pictures_sha256,
        "picture_hashes": list(record.picture_hashes),
    }
