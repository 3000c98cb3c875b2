"""The calibrations that ship hold for the weights they ship with, so that INT8 needs no images."""

from __future__ import annotations

import pytest
from edgeseg.calibration.graph import Graph
from edgeseg.calibration.placement import TARGETS, candidates
from edgeseg.calibration.ranges import METHODS
from edgeseg.calibration.record import CalibrationRecord
from edgeseg.calibration.request import CalibrationRequest
from edgeseg.export.graph.onnx_file import export_graph
from edgeseg.models.pretrained import resolve_weights, shipped_calibration


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["aerial", "aerial-mobilenet", "camvid", "camvid-mobilenet"])
def test_a_shipped_calibration_fits_its_weights(weights: str) -> None:
    path = shipped_calibration("lraspp", weights)
    assert path is not None
    record = CalibrationRecord.load(path)
    checkpoint = resolve_weights("lraspp", weights)
    graph = Graph(export_graph(checkpoint.build(), checkpoint.info, checkpoint.info.input_size_hw))
    assert record.differences(graph, None) == []
    assert set(record.class_shares) == set(checkpoint.info.labels.names)
    assert set(record.ranges) == set(METHODS)
    asked = CalibrationRequest()
    for target in TARGETS:
        plan = record.plans[target]
        assert (plan.budget, plan.class_budget) == (asked.budget, asked.class_budget)
        assert plan.chosen["miou_lost"] <= asked.budget
        assert plan.chosen["worst_class_lost"] <= asked.class_budget
        assert plan.int8_macs > 0.8
        assert set(plan.excluded) | set(plan.shifts) <= set(candidates(graph, target))


def test_weights_that_do_not_ship_have_none() -> None:
    assert shipped_calibration("unet", "random") is None
