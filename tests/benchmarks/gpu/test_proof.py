"""The proof as a whole: steps that cannot stop the next, a report after each, and a machine without a GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from edgeseg.benchmarks.gpu import proof as proof_module
from edgeseg.benchmarks.gpu.command import main
from edgeseg.benchmarks.gpu.order import FAILED, NOT_RUN, PASSED, StepOrder
from edgeseg.benchmarks.gpu.plan import TOTAL_SECONDS, plan
from edgeseg.benchmarks.gpu.prepared import PreparedFolder
from edgeseg.benchmarks.gpu.proof import ProofOptions, ProofRun
from edgeseg.benchmarks.gpu.supervise import StepOutcome, read_result, run_step, started
from edgeseg.runtime.tensorrt.cuda import why_no_device

FAKE_SITE = Path(__file__).resolve().parents[1] / "fake_site"
NETWORKS = ("lraspp", "fcn8s", "unet", "deeplabv3")
GPU = {"name": "Fake", "compute_capability": "8.6", "memory_mb": 8000, "multiprocessors": 16}
DEVICE = {
    "gpu": GPU,
    "driver": "580.1",
    "flavour": "tensorrt",
    "for_rtx": False,
    "tensorrt": "TensorRT 10.3.0",
}

Runner = Callable[[str, StepOrder, float, Path], StepOutcome]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof_module, "describe_machine", lambda: MACHINE)


MACHINE: dict[str, Any] = {
    "cpu": "a CPU", "arch": "x86_64", "cpus": 2, "virtual": False, "flags": [], "governor": "none", "memory_gib": 1.0,
    "os": "an OS", "kernel": "6", "python": "3.12", "packages": {}, "busy_before": 0.0, "busy": False,
}  # fmt: skip


@pytest.fixture
def prove(prepared_folder: Path, tmp_path: Path) -> Callable[..., tuple[int, dict[str, Any]]]:
    """Runs a proof with a runner; gives its exit status and its report as it was written."""

    def run(runner: Runner, **changes: Any) -> tuple[int, dict[str, Any]]:
        options = ProofOptions(tmp_path / "out", "the command", ("unet",), **changes)
        proof = ProofRun(
            PreparedFolder.load(prepared_folder), options, tmp_path / "cache", lambda line: None, runner
        )
        status = proof.run()
        return status, json.loads((tmp_path / "out/gpu.json").read_text())

    return run


def answering(
    answers: dict[str, StepOutcome], asked: list[tuple[str, StepOrder, float]] | None = None
) -> Runner:
    """A runner that knows what comes of each step; all others pass."""

    def run(name: str, order: StepOrder, limit_s: float, folder: Path) -> StepOutcome:
        if asked is not None:
            asked.append((name, order, limit_s))
        usual = StepOutcome(PASSED, "", 1.0, DEVICE if name == "device" else {})
        return answers.get(name, usual)

    return run


def test_every_network_has_every_step_and_each_its_own_name() -> None:
    steps = plan(NETWORKS, "fcn8s", 60)
    names = [step.name for step in steps]
    assert len(set(names)) == len(names)
    for network in NETWORKS:
        kinds = {step.about for step in steps if step.network == network} - {"fault", "soak"}
        assert kinds == {
            "fp16", "verify", "batches", "int8", "verify int8", "torch", "torch.compile", "onnxruntime"
        }  # fmt: skip
    faults = {step.name for step in steps if step.about == "fault"}
    assert faults == {"cuda error", "two processes", "engine cache", "cancelled build"}
    assert max(step.limit_s for step in steps) < TOTAL_SECONDS / 5


def test_all_passed_is_status_0_and_the_report_is_complete(prove: Any) -> None:
    status, report = prove(answering({}))
    assert status == 0
    assert (report["schema"], report["complete"]) == (1, True)
    assert report["device"] == DEVICE
    assert {step["outcome"] for step in report["steps"]} == {PASSED}
    assert set(report["steps"][0]) == {
        "name", "title", "module", "function", "limit_s", "network", "about", "outcome", "why", "seconds", "result"
    }  # fmt: skip


def test_a_step_that_fails_stops_no_other(prove: Any, tmp_path: Path) -> None:
    why = "it took longer | than its limit"
    status, report = prove(answering({"unet fp16": StepOutcome(FAILED, why, 80.0, {})}))
    assert status == 1
    outcomes = {step["name"]: step["outcome"] for step in report["steps"]}
    assert [name for name, outcome in outcomes.items() if outcome != PASSED] == ["unet fp16"]
    assert "it took longer \\| than its limit" in (tmp_path / "out/gpu.md").read_text()


def test_what_has_not_begun_in_time_is_not_run(prove: Any) -> None:
    status, report = prove(answering({}), seconds=4.0)
    assert status == 0
    left_out = report["steps"][1:]
    assert {step["outcome"] for step in left_out} == {NOT_RUN}
    assert {step["why"] for step in left_out} == {"the 4 s of the whole proof were over"}


def test_no_step_lasts_longer_than_the_time_that_is_left(prove: Any) -> None:
    asked: list[tuple[str, StepOrder, float]] = []
    prove(answering({}, asked), seconds=20.0)
    assert all(limit_s <= 20.0 for _, _, limit_s in asked)


def test_without_a_gpu_every_step_is_not_run_and_the_status_is_2(prove: Any, tmp_path: Path) -> None:
    asked: list[tuple[str, StepOrder, float]] = []
    status, report = prove(answering({"device": StepOutcome(NOT_RUN, "there is no GPU", 0.1, {})}, asked))
    assert status == 2
    assert [name for name, _, _ in asked] == ["device"]
    assert {(step["outcome"], step["why"]) for step in report["steps"]} == {(NOT_RUN, "there is no GPU")}
    assert "- No GPU.\n" in (tmp_path / "out/gpu.md").read_text()


def test_int8_pays_with_tensorrt_and_not_with_the_one_for_rtx(prove: Any) -> None:
    for for_rtx, flavour, precisions in (
        (False, "tensorrt", ("fp16", "int8")),
        (True, "tensorrt_rtx", ("fp16",)),
    ):
        asked: list[tuple[str, StepOrder, float]] = []
        device = {**DEVICE, "for_rtx": for_rtx, "flavour": flavour}
        prove(answering({"device": StepOutcome(PASSED, "", 1.0, device)}, asked))
        assert {(order.backend, order.precisions) for name, order, _ in asked if name != "device"} == {
            (flavour, precisions)
        }


def test_a_proof_that_is_ended_leaves_what_it_has(prove: Any, tmp_path: Path) -> None:
    def ended(name: str, order: StepOrder, limit_s: float, folder: Path) -> StepOutcome:
        if name == "unet verify":
            raise KeyboardInterrupt
        return answering({})(name, order, limit_s, folder)

    with pytest.raises(KeyboardInterrupt):
        prove(ended)
    report = json.loads((tmp_path / "out/gpu.json").read_text())
    assert report["complete"] is False
    assert [step["name"] for step in report["steps"]] == ["device", "doctor", "unet fp16"]
    assert "the proof was ended before its end" in (tmp_path / "out/gpu.md").read_text()


def test_the_page_has_what_the_steps_told(prove: Any, step: Any, tmp_path: Path) -> None:
    told = {
        "unet fp16": step("networks", "fp16"),
        "unet batches": step("networks", "batches"),
        "unet verify": step("verification", "verified"),
        "soak": step("soaking", "soak"),
        "cuda error": step("failures", "cuda_error"),
    }
    prove(
        answering({name: StepOutcome(t["outcome"], t["why"], 1.0, t["result"]) for name, t in told.items()})
    )
    page = (tmp_path / "out/gpu.md").read_text()
    assert "- Fake, compute capability 8.6, 16 multiprocessors, 8 GB; driver 580.1.\n" in page
    assert "| unet | fp16: backend, CUDA graph | " in page
    assert "| unet | fp16: engine alone | 0.250 | 0.250 | 0.250 | – | – |" in page
    assert "| unet | no graph | 1, 4 in turn | " in page
    assert "| unet | fp16 | all | 2 | " in page
    assert "cudaErrorIllegalAddress, 3 more after it" in page
    assert "- *soak* (unet), passed. " in page


def runs(process: int) -> bool:
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"


@pytest.fixture
def on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    path = os.pathsep.join(filter(None, [str(FAKE_SITE), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("PYTHONPATH", path)


@pytest.mark.usefixtures("on_path")
def test_a_step_that_is_killed_takes_its_children_along_and_leaves_what_it_told(tmp_path: Path) -> None:
    with started(StepOrder("fake_steps", "hang"), tmp_path, "hang") as process:
        told: dict[str, Any] = {}
        while "child" not in told.get("result", {}):
            assert process.poll() is None, (tmp_path / "hang.log").read_text()
            time.sleep(0.02)
            told = read_result(tmp_path / "hang.result.json")
    assert process.poll() == -9
    while runs(told["result"]["child"]):  # it has been killed, and ends when the system comes to it
        time.sleep(0.02)
    assert (told["outcome"], told["why"]) == (FAILED, "it has not ended")


@pytest.mark.usefixtures("on_path")
def test_a_step_past_its_limit_has_failed(tmp_path: Path) -> None:
    outcome = run_step("hang", StepOrder("fake_steps", "hang"), 0.2, tmp_path)
    assert (outcome.outcome, outcome.why) == (FAILED, "it took longer than its limit of 0 s")


@pytest.mark.usefixtures("on_path")
def test_a_step_whose_process_dies_has_failed_with_its_last_words(tmp_path: Path) -> None:
    outcome = run_step("crash", StepOrder("fake_steps", "crash"), 300, tmp_path)
    assert outcome.outcome == FAILED
    assert outcome.why.startswith("its process ended with signal SIGABRT: ")
    assert outcome.result == {"came_so_far": True}
    assert "the library says why" in (tmp_path / "crash.log").read_text()


@pytest.mark.usefixtures("on_path")
def test_a_step_that_ends_well_has_told_its_result(tmp_path: Path) -> None:
    outcome = run_step("tell", StepOrder("fake_steps", "tell", network="unet"), 300, tmp_path)
    assert (outcome.outcome, outcome.why, outcome.result) == (PASSED, "", {"network": "unet"})


def test_the_command_on_a_machine_without_a_gpu(
    prepared_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if not why_no_device():
        pytest.skip("this machine has a GPU")
    words = ["--bundles", str(prepared_folder), "--out", str(tmp_path / "out")]
    assert main(words) == 2
    told = capsys.readouterr()
    assert told.err.count("\n") == 1
    assert "there is no usable GPU" in told.err or "no CUDA package" in told.err
    assert (tmp_path / "out/gpu.md").exists()
    assert main(words) == 2
    assert "gpu.json exists; give --force to replace it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give --prepare DIR first"),
        (["--prepare", "OUT", "--network", "none"], "unknown network 'none'; the proof has lraspp, fcn8s"),
        (["--prepare", "OUT", "--weights", "unet"], "--weights: expected NAME=FILE"),
        (["--bundles", "OUT", "--out", "OUT"], "OUT is not prepared"),
        (["--bundles", "PREPARED", "--out", "PREPARED"], "would replace the folder"),
        (["--bundles", "PREPARED", "--out", "OUT", "--network", "fcn8s"], "has unet"),
        (["--bundles", "PREPARED", "--out", "OUT", "--frames", "0"], "expected more than 0"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    words: list[str],
    message: str,
    prepared_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    places = {"OUT": str(tmp_path / "OUT"), "PREPARED": str(prepared_folder)}
    assert main([places.get(word, word) for word in words]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error
    assert not (tmp_path / "OUT").exists()


MINIMAL = """
import importlib.abc, json, sys
from importlib.machinery import PathFinder
BLOCKED = {"onnx", "onnxscript", "torchvision", "safetensors", "PIL", "fastjsonschema", "packaging", "simplejpeg",
           "rich", "matplotlib", "openvino", "pytest", "tomli", "av"}
PREPARED, OUT = sys.argv[1:]
import onnxruntime  # the fake TensorRT is made of it
for name in list(sys.modules):
    if name.split(".")[0] in BLOCKED:
        del sys.modules[name]
class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in BLOCKED:  # it is in the prepared folder or nowhere
            path = [each for each in sys.path if each.startswith(PREPARED)]
        return PathFinder.find_spec(name, path, target)
sys.meta_path[sys.meta_path.index(PathFinder)] = Finder()
from edgeseg.benchmarks.gpu.child import run_order
from edgeseg.benchmarks.gpu.order import StepOrder
from pathlib import Path
for module, function in json.loads(sys.stdin.read()):
    order = StepOrder(f"edgeseg.benchmarks.gpu.{module}", function, PREPARED, OUT, "unet", frames=3, seconds=0.05,
                  torch_device="cpu", minimal=True)
    told = run_order(order, Path(OUT) / "result.json")
    print(json.dumps([function, told["outcome"], told["why"]]))
print(json.dumps(sorted(BLOCKED & {name.split(".")[0] for name in sys.modules})))
"""


@pytest.mark.slow
@pytest.mark.usefixtures("on_path")
def test_minimal_needs_no_more_than_it_says(prepared_folder: Path, tmp_path: Path) -> None:
    steps = [
        ("machine", "device"), ("networks", "fp16"), ("networks", "batches"), ("verification", "verified"),
        ("peers", "torch_eager"), ("cached", "hit_and_rebuilt"), ("soaking", "soak"), ("failures", "cuda_error"),
        ("machine", "marked_tests"),
    ]  # fmt: skip
    # In another process, where nothing has been imported yet.
    done = subprocess.run(
        [sys.executable, "-c", MINIMAL, str(prepared_folder), str(tmp_path)],
        input=json.dumps(steps),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    *outcomes, loaded = map(json.loads, done.stdout.splitlines())
    assert outcomes == [
        [function, NOT_RUN, "--minimal leaves pytest out"]
        if function == "marked_tests"
        else [function, PASSED, ""]
        for _, function in steps
    ]
    assert set(loaded) <= {"fastjsonschema", "packaging"}
