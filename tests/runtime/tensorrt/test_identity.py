"""The differences between two engines, and their messages."""

from __future__ import annotations

import json
from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from edgeseg.runtime.bundle import Variant
from edgeseg.runtime.tensorrt.cuda.base import Gpu
from edgeseg.runtime.tensorrt.identity import EngineIdentity
from edgeseg.runtime.tensorrt.module import TensorRT
from edgeseg.runtime.tensorrt.options import BuildOptions

TENSORRT = TensorRT("tensorrt", "10.3.0", None)
RTX_MODULE: Any = ModuleType("tensorrt_rtx")
RTX_MODULE.ComputeCapability = SimpleNamespace(
    __members__={"NONE": 0, "CURRENT": 1, "SM75": 2, "SM80": 3, "SM86": 4, "SM89": 5, "SM120": 6}
)
RTX = TensorRT("tensorrt_rtx", "1.7.1.116", RTX_MODULE)
ORIN = Gpu("Orin", "8.7", 8 << 30, 16)
A100 = Gpu("NVIDIA A100", "8.0", 80 << 30, 108)
HOPPER = Gpu("NVIDIA H100", "9.0", 80 << 30, 132)
BLACKWELL = Gpu("NVIDIA RTX 5090", "12.0", 32 << 30, 170)
TURING = Gpu("NVIDIA T4", "7.5", 16 << 30, 40)


@pytest.fixture
def orin(variant: Variant) -> EngineIdentity:
    return EngineIdentity.of(variant, TENSORRT, ORIN, BuildOptions())


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
        multiprocessors=16,
        options=BuildOptions(),
    )
    assert orin.made_for == "Orin of compute capability 8.7 and 16 multiprocessors"


CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "gpu": (
        {"gpu": "NVIDIA A100", "compute_capability": "8.0", "multiprocessors": 108},
        "built for Orin, this is NVIDIA A100",
    ),
    "multiprocessors": ({"multiprocessors": 8}, "built for 16 multiprocessors, this is a GPU of 8"),
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
    "frame": (
        {"frame_size_hw": (64, 96)},
        "built with decoding left to the host, asked for frames of 64x96",
    ),
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


def test_it_survives_json(orin: EngineIdentity) -> None:
    read = EngineIdentity.from_json(json.loads(json.dumps(orin.as_json())))
    assert read == orin
    assert read.key == orin.key


def test_one_engine_for_one_gpu_runs_there_alone(orin: EngineIdentity) -> None:
    assert orin.runs_on(ORIN)
    assert not orin.runs_on(A100)
    assert not orin.runs_on(replace(ORIN, compute_capability="8.6"))


def test_a_portable_one_is_for_any_gpu_from_ampere_on_but_a_jetsons(variant: Variant) -> None:
    options = BuildOptions(portable=True)
    here, there = (EngineIdentity.of(variant, TENSORRT, gpu, options) for gpu in (A100, HOPPER))
    assert here.key == there.key
    assert here.made_for == "any GPU of compute capability 8.0 or later, no Jetson's"
    assert [here.runs_on(gpu) for gpu in (A100, HOPPER, BLACKWELL, ORIN, TURING)] == [True] * 3 + [False] * 2


def test_one_of_tensorrt_for_rtx_is_for_the_gpus_that_it_knows(variant: Variant) -> None:
    here, there = (EngineIdentity.of(variant, RTX, gpu, BuildOptions()) for gpu in (A100, BLACKWELL))
    assert here.key == there.key
    assert here.made_for == "any GPU of compute capability 8.0, 8.6, 8.9, 12.0"
    assert [here.runs_on(gpu) for gpu in (A100, BLACKWELL, HOPPER, ORIN, TURING)] == [True] * 2 + [False] * 3


def test_one_for_given_compute_capabilities(variant: Variant) -> None:
    options = BuildOptions(compute_capabilities=("7.5", "8.6"))
    ahead = EngineIdentity.of(variant, RTX, None, options)
    assert ahead.made_for == "any GPU of compute capability 7.5, 8.6"
    assert ahead.runs_on(TURING)
    assert not ahead.runs_on(A100)
    default = EngineIdentity.of(variant, RTX, None, BuildOptions())
    assert ahead.key != default.key
    assert ahead.differences(default) == [
        "built for compute capability 7.5, 8.6, asked for 8.0, 8.6, 8.9, 12.0"
    ]


def test_tensorrt_without_a_gpu_is_for_none(variant: Variant, orin: EngineIdentity) -> None:
    nowhere = EngineIdentity.of(variant, TENSORRT, None, BuildOptions())
    assert nowhere.gpu == "no GPU"
    assert not nowhere.runs_on(ORIN)
