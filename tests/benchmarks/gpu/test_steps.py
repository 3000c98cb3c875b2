"""Every step of the proof on a fake GPU: what it tells where all is well, and what it finds where it is not."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgeseg.benchmarks.gpu import failures, networks
from edgeseg.benchmarks.gpu.prepared import REFERENCE, PreparedFolder
from edgeseg.core.errors import BackendError
from edgeseg.runtime.backends.tensorrt import TensorRTBackend
from edgeseg.runtime.checked_files import file_sha256

Step = Callable[..., dict[str, Any]]


def test_the_device_is_found(step: Step) -> None:
    told = step("machine", "device")
    assert (told["outcome"], told["why"]) == ("passed", "")
    assert told["result"]["gpu"]["name"] == "Fake Orin"
    assert told["result"]["flavour"] == "tensorrt"
    assert told["result"]["for_rtx"] is False


def test_tensorrt_for_rtx_that_does_not_know_the_gpu_is_told_before_anything_is_built(step: Step) -> None:
    pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed")
    told = step("machine", "device", flavour="tensorrt_rtx")
    assert told["outcome"] == "not run"
    assert "does not build for compute capability 8.7 (Fake Orin)" in told["why"]


def test_doctor_is_in_the_report_as_its_json(step: Step) -> None:
    told = step("machine", "doctor")
    assert told["outcome"] == "passed"
    assert told["result"]["schema"] == 1
    assert told["result"]["findings"]


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_a_network_is_built_and_run_every_way(step: Step, precision: str) -> None:
    told = step("networks", precision)
    assert (told["outcome"], told["why"]) == ("passed", "")
    result = told["result"]
    for way in ("backend_graph", "backend_no_graph", "segmenter_graph", "segmenter_no_graph"):
        assert result[way]["ms"]["n"] == 5, way
    assert result["engine_alone"] == {"p50": 0.25, "p90": 0.25, "p99": 0.25, "n": 5}
    assert result["build_seconds"] is not None


def test_without_graph_none_is_launched(step: Step, fake_gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    run = networks.through_backend

    def watched(backend: TensorRTBackend, *args: Any) -> Any:
        before = fake_gpu.calls.count("launch")
        told = run(backend, *args)
        seen.append((backend.cuda_graph, fake_gpu.calls.count("launch") - before))
        return told

    monkeypatch.setattr(networks, "through_backend", watched)
    assert step("networks", "fp16")["outcome"] == "passed"
    assert seen == [(True, 5 + 3), (False, 0)]


def test_ways_that_give_different_class_maps_fail(step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    right = networks.class_maps

    def maps(backend: TensorRTBackend, *args: Any) -> Any:
        found = right(backend, *args)
        return found if backend.cuda_graph else [(found[0] + 1) % 3, *found[1:]]

    monkeypatch.setattr(networks, "class_maps", maps)
    told = step("networks", "fp16")
    assert told["outcome"] == "failed"
    assert told["why"] == "1 of 2 class maps differ between backend, graph True and backend, graph False"


def test_int8_is_not_run_where_it_does_not_pay(step: Step) -> None:
    told = step("networks", "int8", precisions=("fp16",))
    assert told["outcome"] == "not run"
    assert "quantizes weights alone" in told["why"]
    assert step("verification", "verified_int8", precisions=("fp16",))["outcome"] == "not run"


def test_batches_of_one_of_four_and_in_turn(step: Step, fake_gpu: Any) -> None:
    told = step("networks", "batches", frames=20)
    assert (told["outcome"], told["why"]) == ("passed", "")
    result = told["result"]
    assert result["backend_graph"]["batch_1"]["ms"]["n"] == 20
    assert result["backend_graph"]["batch_4"]["ms"]["n"] == 5
    assert result["backend_graph"]["alternating"]["ms"]["n"] == 4
    assert result["segmenter_batch_4"]["ms"]["n"] == 5
    assert result["moved_pixels_graph"] == {"batch_4": 0.0, "alternating": 0.0}
    assert fake_gpu.alive() == 0


@pytest.mark.parametrize("name", ["verified", "verified_int8"])
def test_engines_are_held_against_pytorch(step: Step, name: str) -> None:
    told = step("verification", name)
    assert (told["outcome"], told["why"]) == ("passed", "")
    assert told["result"]["decoded_on_the_gpu"] is True
    assert told["result"]["frames"] == 2
    assert {gate["gate"] for gate in told["result"]["gates"]} >= {"finite logits", "real disagreement"}


def test_an_engine_that_departs_from_pytorch_fails_its_gates(
    step: Step, prepared_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "other"
    shutil.copytree(prepared_folder, folder)
    logits = PreparedFolder.load(folder).networks["unet"].reference_logits()
    path = folder / "unet" / REFERENCE
    np.savez_compressed(path, logits=np.roll(logits, 1, axis=1))
    manifest = folder / "prepared.json"
    before = file_sha256(prepared_folder / "unet" / REFERENCE)
    manifest.write_text(manifest.read_text().replace(before, file_sha256(path)))
    told = step("verification", "verified", prepared=str(folder))
    assert told["outcome"] == "failed"
    assert "of the pixels differ where the reference is no tie" in told["why"]
    assert told["result"]["gates"]  # the figures are there also where they are bad


def test_an_altered_reference_is_refused(step: Step, prepared_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    shutil.copytree(prepared_folder, folder)
    (folder / "unet" / REFERENCE).write_bytes(b"something else")
    told = step("verification", "verified", prepared=str(folder))
    assert told["outcome"] == "failed"
    assert REFERENCE in told["why"]


def test_pytorch_is_timed_beside_from_the_checkpoint(step: Step) -> None:
    told = step("peers", "torch_eager")
    assert (told["outcome"], told["why"]) == ("passed", "")
    assert told["result"]["network"] == "the checkpoint"
    assert told["result"]["ms"]["n"] == 5
    assert told["result"]["agreement"] > 0.999


def test_pytorch_is_timed_without_the_packages_of_the_definition(
    step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "edgeseg.models.checkpoint", None)
    told = step("peers", "torch_eager")
    assert (told["outcome"], told["why"]) == ("passed", "")
    assert told["result"]["network"] == "the exported program"
    assert told["result"]["agreement"] > 0.99


def test_torch_compile_is_timed_beside(step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    asked = []
    monkeypatch.setattr(torch, "compile", lambda function, mode: asked.append(mode) or function)
    told = step("peers", "torch_compiled")
    assert (told["outcome"], told["why"]) == ("passed", "")
    assert asked == [None]


def test_peers_that_are_not_here_are_not_run_with_the_reason(step: Step) -> None:
    import torch

    if not torch.cuda.is_available():
        told = step("peers", "torch_eager", torch_device="cuda")
        assert (told["outcome"], told["why"]) == ("not run", "this PyTorch sees no GPU")
    told = step("peers", "onnxruntime_cuda")
    if told["outcome"] != "passed":
        assert told["outcome"] == "not run"
        assert "CUDAExecutionProvider" in told["why"]


def test_a_cuda_error_is_latched(step: Step) -> None:
    told = step("failures", "cuda_error")
    assert (told["outcome"], told["why"]) == ("passed", "")
    first, *later = told["result"]["refused"]
    assert "cudaErrorIllegalAddress" in first
    assert len(later) == 3
    assert all("has stopped" in line and first in line for line in later)


def test_a_backend_that_forgets_its_error_is_found(step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    run = TensorRTBackend._run

    def forgetful(self: TensorRTBackend, *args: Any) -> Any:
        try:
            return run(self, *args)
        except BackendError:
            self._unhealthy = ""
            raise

    monkeypatch.setattr(TensorRTBackend, "_run", forgetful)
    told = step("failures", "cuda_error")
    assert told["outcome"] == "failed"
    assert told["why"].startswith("3 of 3 later frames were not refused")


def test_two_processes_share_the_gpu(step: Step) -> None:
    told = step("failures", "two_processes")
    assert (told["outcome"], told["why"]) == ("passed", "")
    assert told["result"]["overlap_seconds"] >= 0
    assert told["result"]["first"]["maps_sha256"] == told["result"]["second"]["maps_sha256"]


def test_a_cancelled_build_leaves_nothing_and_is_built_again(step: Step) -> None:
    told = step("failures", "cancelled_build")
    assert (told["outcome"], told["why"]) == ("passed", "")
    assert told["result"]["exit_status"] == failures._INTERRUPTED
    assert told["result"]["built_again_seconds"] is not None


def test_the_cache_gives_what_it_has_and_builds_what_it_has_not(step: Step) -> None:
    told = step("cached", "hit_and_rebuilt")
    assert (told["outcome"], told["why"]) == ("passed", "")
    assert told["result"]["hit"] is True
    assert told["result"]["altered_rebuilt_seconds"] is not None


def test_the_soak_runs_the_whole_pipeline(step: Step) -> None:
    told = step("soaking", "soak")
    assert (told["outcome"], told["why"]) == ("passed", "")
    assert (
        told["result"]["frames"] >= 30
    )  # as many as the source gives at the least, however slow the machine is
    assert told["result"]["invalid"] == 0


def test_a_fault_of_ours_is_told_with_its_place(step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "Subject", lambda order: 1 / 0)
    told = step("networks", "fp16")
    assert told["outcome"] == "failed"
    assert told["why"].startswith("ZeroDivisionError: division by zero (test_steps.py:")


def test_the_tests_are_left_out_in_minimal_mode(step: Step) -> None:
    told = step("machine", "marked_tests", minimal=True)
    assert (told["outcome"], told["why"]) == ("not run", "--minimal leaves pytest out")
