"""The prepared folder: small, whole, and readable without the packages that made it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from edgeseg.benchmarks.gpu.prepare import RECIPES, choose_recipes
from edgeseg.benchmarks.gpu.prepared import PreparedFolder
from edgeseg.core.errors import DataError, UsageError
from safetensors import safe_open


@pytest.mark.slow
def test_the_folder_has_all_that_the_steps_read(prepared_folder: Path) -> None:
    prepared = PreparedFolder.load(prepared_folder)
    network = prepared.networks["unet"]
    frames, logits = prepared.frames(), network.reference_logits()
    assert [frame.shape for frame in frames] == [(48, 64, 3)] * 2
    assert [mask.shape for mask in prepared.masks()] == [(48, 64)] * 2
    assert (logits.shape[:2], logits.dtype) == ((2, 3), np.float32)
    assert network.program() is not None
    assert network.notes == ()
    assert {v.precision for v in network.bundle().variants.values()} == {"fp16", "int8"}
    for package in ("fastjsonschema", "packaging"):
        assert (prepared_folder / "packages" / package / "__init__.py").is_file()


@pytest.mark.slow
def test_random_weights_are_carried_in_half_the_bytes(prepared_folder: Path) -> None:
    checkpoint = PreparedFolder.load(prepared_folder).networks["unet"].bundle().checkpoint_path
    with safe_open(checkpoint, framework="np") as file:
        kernels = [file.get_tensor(key) for key in file.keys() if file.get_tensor(key).ndim > 1]  # noqa: SIM118
    assert kernels
    assert {kernel.dtype for kernel in kernels} == {np.dtype(np.float16)}


@pytest.mark.slow
def test_a_folder_of_another_form_is_refused(prepared_folder: Path, tmp_path: Path) -> None:
    entry = json.loads((prepared_folder / "prepared.json").read_text())
    (tmp_path / "prepared.json").write_text(json.dumps({**entry, "schema": 99}))
    with pytest.raises(DataError, match="is of schema 99, expected 1; prepare it again"):
        PreparedFolder.load(tmp_path)
    (tmp_path / "prepared.json").write_text("[]")
    with pytest.raises(DataError, match="is not prepared"):
        PreparedFolder.load(tmp_path)


def test_networks_and_weights_of_ones_own() -> None:
    assert choose_recipes((), {}) == RECIPES
    (own,) = choose_recipes(("unet",), {"unet": "best.safetensors"})
    assert (own.name, own.weights, own.size_hw) == ("unet", "best.safetensors", None)
    with pytest.raises(UsageError, match="unknown network 'x'"):
        choose_recipes(("x",), {})
