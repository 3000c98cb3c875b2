"""Schedules and averaged weights."""

from __future__ import annotations

import pytest
import torch
from edgeseg.core.errors import UsageError
from edgeseg.models.registry import build
from edgeseg.training.optim import AveragedWeights, make_optimizer, rate_factor
from edgeseg.training.recipe import DEFAULT_PRESET, PRESETS, Recipe, preset


def test_poly_falls_from_one_to_zero() -> None:
    factor = rate_factor(Recipe(schedule="poly"), 100)
    values = [factor(step) for step in range(101)]
    assert values[0] == 1
    assert values[50] == pytest.approx(0.5**0.9)
    assert values[100] == 0
    assert values == sorted(values, reverse=True)


def test_one_cycle_rises_then_falls() -> None:
    factor = rate_factor(Recipe(schedule="one-cycle", warmup=0.1), 100)
    values = [factor(step) for step in range(101)]
    assert max(values) == values[10] == 1
    assert values[0] < 0.05
    assert values[100] < 0.001


def test_vectors_are_not_decayed() -> None:
    optimizer = make_optimizer(build("lraspp", 3), Recipe())
    decayed, free = optimizer.param_groups
    assert decayed["weight_decay"] > 0 == free["weight_decay"]
    assert all(p.ndim > 1 for p in decayed["params"])
    assert all(p.ndim <= 1 for p in free["params"])


def test_the_average_follows_with_its_decay() -> None:
    network = build("lraspp", 3)
    average = AveragedWeights(network, 0.9)
    key = "classifier.low_classifier.bias"
    start = average.network.state_dict()[key].clone()
    with torch.no_grad():
        network.state_dict()[key].add_(1.0)
    average.update(network, step=10_000)
    assert torch.allclose(average.network.state_dict()[key], start + 0.1)
    none = AveragedWeights(network, 0.0)
    with torch.no_grad():
        network.state_dict()[key].add_(1.0)
    none.update(network, step=5)
    assert torch.equal(none.network.state_dict()[key], network.state_dict()[key])


def test_every_default_preset_exists() -> None:
    assert set(DEFAULT_PRESET.values()) <= set(PRESETS)
    with pytest.raises(UsageError, match="unknown preset 'x'; known: fcn-paper"):
        preset("x")


def test_nonsense_is_refused() -> None:
    with pytest.raises(UsageError, match="epochs is 0; expected 1 to 1000000 passes"):
        Recipe(epochs=0)
    with pytest.raises(UsageError, match="learning rate is -1"):
        Recipe(learning_rate=-1)
