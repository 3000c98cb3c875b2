"""The gates of a network whose logits rounding alone may change by a step."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from edgeseg.export.bundle_writer import write_bundle
from edgeseg.export.graph.onnx_file import export_graph
from edgeseg.export.graph.variants import variant_graphs
from edgeseg.export.verification.frames import AerialFrames
from edgeseg.export.verification.gates import Gates
from edgeseg.export.verification.verify import verify
from edgeseg.models.pretrained import resolve_weights
from edgeseg.runtime.bundle import Bundle

SIZE_HW = (64, 96)
BUDGETS = {"budget": 0.5, "class_budget": 1.0}


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_single_logits_of_a_network_that_is_not_continuous_are_not_judged(precision: str) -> None:
    usual, gates = Gates.for_precision(precision), Gates.for_precision(precision, continuous=False)
    assert usual.logit_error is not None
    assert gates == replace(usual, logit_error=None)


def test_int8_keeps_its_budgets() -> None:
    assert Gates.for_precision("int8", BUDGETS, continuous=False) == Gates.for_precision("int8", BUDGETS)


@pytest.mark.parametrize(("name", "judged"), [("segnet", False), ("unet", True)])
def test_verification_asks_the_network(name: str, judged: bool, tmp_path: Path) -> None:
    checkpoint = resolve_weights(name, "random", 3, {"width": 2})
    network = checkpoint.build()
    graphs = variant_graphs(export_graph(network, checkpoint.info, SIZE_HW), ("fp32",))
    write_bundle(tmp_path, network, checkpoint.info, graphs, weights_name="random", size_hw=SIZE_HW)
    (result,) = verify(Bundle.load(tmp_path), AerialFrames(7, SIZE_HW, 1)).variants
    assert ("logit error" in [verdict.gate for verdict in result.verdicts]) == judged
    assert result.passed
