"""What makes two engines different, and how that is said."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from edgeseg.runtime.bundle import Variant
from edgeseg.runtime.cuda.base import Gpu
from edgeseg.runtime.tensorrt.identity import EngineIdentity
from edgeseg.runtime.tensorrt.module import TensorRT
from edgeseg.runtime.tensorrt.options import BuildOptions

SIZE_HW = (32, 48)
TENSORRT = TensorRT("tensorrt", "10.3.0", None)
RTX = TensorRT("tensorrt_rtx", "1.7.1", None)
ORIN = Gpu("Orin", "8.7", 8 << 30)
A100 = Gpu("NVIDIA A100", "8.0", 80 << 30)
TURING = Gpu("NVIDIA T4", "7.5", 16 << 30)


@pytest.fixture
def orin(variant: Variant) -> EngineIdentity:
    return EngineIdentity.of(variant, SIZE_HW, TENSORRT, ORIN, BuildOptions())


def test_of_an_engine_for_one_gpu(orin: EngineIdentity, variant: Variant) -> None:
    assert orin == EngineIdentity(
        bundle="tiny",
        variant="fp32",
        precision="fp32",
        onnx_sha256=variant.sha256,
        flavour="tensorrt",
        version="10.3.0",
        gpu="Orin",
        compute_capability="8.7",
        options=BuildOptions(classes_size_hw=SIZE_HW),
    )
    assert orin.made_for == "Orin of compute capability 8.7"


CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "gpu": ({"gpu": "NVIDIA A100", "compute_capability": "8.0"}, "built for Orin, this is NVIDIA A100"),
    "compute capability": ({"compute_capability": "8.6"}, "built for compute capability 8.7, this is 8.6"),
    "version": ({"version": "10.16.1"}, "built by TensorRT 10.3.0, this is TensorRT 10.16.1"),
    "flavour": (
        {"flavour": "tensorrt_rtx", "version": "1.7.1"},
        "built by TensorRT 10.3.0, this is TensorRT for RTX 1.7.1",
    ),
    "precision": ({"precision": "int8"}, "built in fp32, asked for int8"),
    "graph": ({"onnx_sha256": "a" * 64}, "built from the graph 2439cf273cf9, this is aaaaaaaaaaaa"),
}
OPTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "batch": ({"batch": (1, 8)}, "built with batch 1, asked for 1..8"),
    "classes": ({"classes_size_hw": (64, 96)}, "built with classes of 32x48, asked for 64x96"),
    "dla": ({"dla_core": 1}, "built with DLA off, asked for core 1"),
    "workspace": (
        {"workspace_bytes": 3 << 19},
        "built with workspace as TensorRT chooses, asked for 1.5 MiB",
    ),
    "level": (
        {"optimization_level": 0},
        "built with optimization level as TensorRT chooses, asked for 0",
    ),
    "portable": ({"portable": True}, "built with portability off, asked for on"),
}


@pytest.mark.parametrize(("change", "phrase"), CHANGES.values(), ids=CHANGES)
def test_another_identity(orin: EngineIdentity, change: dict[str, Any], phrase: str) -> None:
    wanted = replace(orin, **change)
    assert wanted.key != orin.key
    differences = orin.differences(wanted)
    assert [d.replace(orin.onnx_sha256[:12], "2439cf273cf9") for d in differences] == [phrase]


@pytest.mark.parametrize(("change", "phrase"), OPTIONS.values(), ids=OPTIONS)
def test_another_option(orin: EngineIdentity, change: dict[str, Any], phrase: str) -> None:
    wanted = replace(orin, options=replace(orin.options, **change))
    assert wanted.key != orin.key
    assert orin.differences(wanted) == [phrase]


def test_every_option_is_in_the_key() -> None:
    changed = {next(iter(change)) for change, _ in OPTIONS.values()} | {"compute_capabilities"}
    assert changed == set(BuildOptions.__dataclass_fields__)


def test_names_alone_make_no_other_engine(orin: EngineIdentity) -> None:
    """A bundle that was renamed runs the engine that it has."""
    renamed = replace(orin, bundle="other", variant="main")
    assert renamed.key == orin.key
    assert orin.differences(renamed) == []


def test_the_inputs_size_is_the_default_size_of_the_classes(variant: Variant, orin: EngineIdentity) -> None:
    asked = EngineIdentity.of(variant, SIZE_HW, TENSORRT, ORIN, BuildOptions(classes_size_hw=SIZE_HW))
    assert asked == orin


def test_it_survives_json(orin: EngineIdentity) -> None:
    read = EngineIdentity.from_json(json.loads(json.dumps(orin.as_json())))
    assert read == orin
    assert read.key == orin.key


def test_one_engine_for_one_gpu_runs_there_alone(orin: EngineIdentity) -> None:
    assert orin.runs_on(ORIN)
    assert not orin.runs_on(A100)
    assert not orin.runs_on(replace(ORIN, compute_capability="8.6"))


@pytest.mark.parametrize(
    ("tensorrt", "options"), [(RTX, BuildOptions()), (TENSORRT, BuildOptions(portable=True))]
)
def test_one_for_any_gpu_from_ampere_on(variant: Variant, tensorrt: TensorRT, options: BuildOptions) -> None:
    here, there = (EngineIdentity.of(variant, SIZE_HW, tensorrt, gpu, options) for gpu in (ORIN, A100))
    assert here.key == there.key
    assert here.made_for == "any GPU of compute capability 8.0 or later"
    assert here.runs_on(ORIN)
    assert here.runs_on(Gpu("NVIDIA RTX 5090", "12.0", 32 << 30))
    assert not here.runs_on(TURING)


def test_one_for_given_compute_capabilities(variant: Variant) -> None:
    options = BuildOptions(compute_capabilities=("7.5", "8.6"))
    ahead = EngineIdentity.of(variant, SIZE_HW, RTX, None, options)
    assert ahead.made_for == "any GPU of compute capability 7.5, 8.6"
    assert ahead.runs_on(TURING)
    assert not ahead.runs_on(A100)
    default = EngineIdentity.of(variant, SIZE_HW, RTX, None, BuildOptions())
    assert ahead.key != default.key
    assert ahead.differences(default) == ["built for compute capability 7.5, 8.6, asked for 8.0 or later"]


def test_tensorrt_without_a_gpu_is_for_none(variant: Variant, orin: EngineIdentity) -> None:
    nowhere = EngineIdentity.of(variant, SIZE_HW, TENSORRT, None, BuildOptions())
    assert nowhere.gpu == "no GPU"
    assert not nowhere.runs_on(ORIN)
