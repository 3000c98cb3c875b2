"""An engine is built once, taken again where it fits, and rebuilt with the reason where it does not."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from edgeseg.core.errors import BackendError, UsageError
from edgeseg.runtime.bundle import Bundle, Variant
from edgeseg.runtime.tensorrt.cache import EngineCache
from edgeseg.runtime.tensorrt.cuda.base import Gpu
from edgeseg.runtime.tensorrt.engines import EngineRequest, LoadableEngine, get_engine
from edgeseg.runtime.tensorrt.module import TensorRT
from edgeseg.runtime.tensorrt.options import BuildOptions

SIZE_HW = (32, 48)
ADA = Gpu("NVIDIA RTX 4090", "8.9", 24 << 30, 128)
AMPERE = Gpu("NVIDIA A100", "8.0", 80 << 30, 108)
HOPPER = Gpu("NVIDIA H100", "9.0", 80 << 30, 132)
ORIN = Gpu("Orin", "8.7", 8 << 30, 16)
TURING = Gpu("NVIDIA T4", "7.5", 16 << 30, 40)


class Asker:
    """Asks for engines of one variant, and keeps what it was told."""

    def __init__(self, variant: Variant, tensorrt: TensorRT, cache: EngineCache) -> None:
        self.variant, self.tensorrt, self.cache = variant, tensorrt, cache
        self.said: list[str] = []

    def __call__(
        self, options: BuildOptions | None = None, gpu: Gpu | None = ADA, **changes: Any
    ) -> LoadableEngine:
        self.said.clear()
        given = {"variant": self.variant, "tensorrt": self.tensorrt, **changes}
        request = EngineRequest(input_size_hw=SIZE_HW, gpu=gpu, options=options, cache=self.cache, **given)
        return get_engine(request, on_message=self.said.append)


@pytest.fixture
def ask(variant: Variant, classic: TensorRT, cache: EngineCache) -> Asker:
    return Asker(variant, classic, cache)


@pytest.fixture
def ask_rtx(variant: Variant, rtx: TensorRT, cache: EngineCache) -> Asker:
    return Asker(variant, rtx, cache)


def test_the_first_is_built_and_the_second_is_not(ask: Asker) -> None:
    first = ask()
    assert first.seconds is not None
    assert ask.said == ["building an engine for fp32: there is none in the cache yet"]
    second = ask()
    assert second.seconds is None
    assert ask.said == []
    assert second.engine == first.engine == first.path.read_bytes()


def test_force_builds_it_again(ask: Asker) -> None:
    ask()
    assert ask(force=True).seconds is not None
    assert len(ask.cache.records()) == 1


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"gpu": AMPERE}, "the one in the cache was built for NVIDIA RTX 4090, this is NVIDIA A100"),
        (
            {"options": BuildOptions(batch=(1, 8))},
            "the one in the cache was built with batch 1, asked for 1..8",
        ),
        (
            {"options": BuildOptions(batch=(2, 2), workspace_bytes=64 << 20)},
            "the one in the cache was built with batch 1, asked for 2,"
            " and built with workspace as TensorRT chooses, asked for 64 MiB",
        ),
    ],
)
def test_another_one_is_built_and_the_reason_told(ask: Asker, changes: dict[str, Any], why: str) -> None:
    ask(BuildOptions())
    assert ask(**{"options": BuildOptions(), **changes}).seconds is not None
    assert ask.said == [f"building an engine for fp32: {why}"]


def test_another_tensorrt(ask: Asker) -> None:
    ask()
    ask(tensorrt=replace(ask.tensorrt, version="10.16.1"))
    assert ask.said == [
        "building an engine for fp32: the one in the cache was built by TensorRT 10.3.0, this is TensorRT 10.16.1"
    ]


def test_another_graph_and_precision(ask: Asker, make_bundle: Callable[..., Path], tmp_path: Path) -> None:
    ask()
    # The same bundle, exported again.
    other = Bundle.load(make_bundle("again", scale=2.0))
    shutil.rmtree(ask.variant.path.parent)
    other.path.rename(ask.variant.path.parent)
    exported = Bundle.load(ask.variant.path.parent).variant()
    ask(variant=exported)
    assert len(ask.said) == 1
    assert f"built from the graph {ask.variant.sha256[:12]}, this is {exported.sha256[:12]}" in ask.said[0]
    ask(variant=replace(exported, precision="fp16"))
    assert ask.said == ["building an engine for fp32: the one in the cache was built in fp32, asked for fp16"]


def test_the_nearest_is_of_this_bundle_and_variant(ask: Asker) -> None:
    ask(variant=replace(ask.variant, name="other"))
    ask(gpu=AMPERE)
    assert ask.said == ["building an engine for fp32: there is none in the cache yet"]


def test_a_harmed_one_is_built_again(ask: Asker) -> None:
    first = ask()
    first.path.write_bytes(first.engine[:-10])
    again = ask()
    assert again.seconds is not None
    assert len(ask.said) == 1
    assert f"has {len(first.engine) - 10} bytes instead of {len(first.engine)}" in ask.said[0]
    assert again.path.read_bytes() == again.engine


def test_an_engine_in_the_bundle_is_never_looked_at(ask: Asker) -> None:
    built = ask()
    folder = ask.variant.path.parent
    shutil.copy(built.path, folder / "tiny.fp32.engine")
    shutil.copy(built.path, folder / built.path.name)
    shutil.copy(built.path.with_suffix(".json"), folder)
    shutil.rmtree(ask.cache.folder)
    assert ask().seconds is not None


class TestWithoutOptions:
    """The engine that ``edgeseg build`` made by hand runs."""

    def test_the_newest_that_fits_is_taken_and_told(self, ask: Asker) -> None:
        ask(BuildOptions())
        by_hand = ask(BuildOptions(optimization_level=1, workspace_bytes=64 << 20))
        taken = ask(None)
        assert taken.seconds is None
        assert taken.identity == by_hand.identity
        assert ask.said == [
            "the engine of fp32 in the cache was built with workspace 64 MiB, optimization level 1; taking it"
        ]

    def test_one_for_several_frames_alone_is_not(self, ask: Asker) -> None:
        ask(BuildOptions(batch=(4, 4)))
        assert ask(None).identity.options.batch == (1, 1)

    def test_one_for_another_gpu_or_graph_is_not(self, ask: Asker) -> None:
        ask(BuildOptions(optimization_level=1), gpu=AMPERE)
        ask(BuildOptions(optimization_level=2), variant=replace(ask.variant, name="x", precision="fp16"))
        assert ask(None).identity.options.optimization_level is None

    def test_one_that_was_harmed_is_built_again_alike(self, ask: Asker) -> None:
        by_hand = ask(BuildOptions(optimization_level=1))
        by_hand.path.write_bytes(b"")
        again = ask(None)
        assert again.seconds is not None
        assert again.identity == by_hand.identity


class TestForRtx:
    def test_no_gpu_is_needed(self, ask_rtx: Asker) -> None:
        built = ask_rtx(BuildOptions(), gpu=None)
        assert built.identity.made_for == "any GPU of compute capability 8.0, 8.6, 8.9, 12.0, 12.1"
        assert ask_rtx(BuildOptions(), gpu=ADA).seconds is None

    def test_one_built_ahead_is_taken_on_a_gpu_of_its_list(self, ask_rtx: Asker) -> None:
        ahead = ask_rtx(BuildOptions(compute_capabilities=("8.6", "8.9")), gpu=None)
        for options in (BuildOptions(), None):
            taken = ask_rtx(options, gpu=ADA)
            assert (taken.seconds, taken.identity) == (None, ahead.identity)
        assert ask_rtx(BuildOptions(), gpu=AMPERE).seconds is not None

    def test_one_built_ahead_otherwise_is_not(self, ask_rtx: Asker) -> None:
        ask_rtx(BuildOptions(compute_capabilities=("8.9",), batch=(1, 4)), gpu=None)
        assert ask_rtx(BuildOptions(), gpu=ADA).seconds is not None

    def test_turing_is_named(self, ask_rtx: Asker) -> None:
        """Without being named it is left out, by TensorRT for RTX's own default."""
        built = ask_rtx(BuildOptions(), gpu=TURING)
        assert built.identity.options.compute_capabilities == ("7.5",)
        assert ask_rtx(BuildOptions(), gpu=TURING).seconds is None

    @pytest.mark.parametrize("gpu", [Gpu("NVIDIA GTX 1080", "6.1", 8 << 30, 20), HOPPER, ORIN])
    def test_a_gpu_that_it_does_not_know(self, ask_rtx: Asker, gpu: Gpu) -> None:
        with pytest.raises(BackendError) as told:
            ask_rtx(BuildOptions(), gpu=gpu)
        assert str(told.value) == (
            f"{gpu.name} has compute capability {gpu.compute_capability}; with these options"
            f" {ask_rtx.tensorrt.title} builds for any GPU of compute capability 8.0, 8.6, 8.9, 12.0, 12.1;"
            " NVIDIA's TensorRT builds for this GPU: --flavour tensorrt"
        )


def test_no_portable_engine_is_built_on_a_jetson(ask: Asker) -> None:
    with pytest.raises(
        BackendError, match=r"Orin has compute capability 8\.7; .*no Jetson's; .*leave --portable out"
    ):
        ask(BuildOptions(portable=True), gpu=ORIN)


def test_another_orin_has_another_number_of_multiprocessors(ask: Asker) -> None:
    ask(gpu=ORIN)
    assert ask(gpu=replace(ORIN, multiprocessors=8)).seconds is not None
    assert ask.said == [
        "building an engine for fp32: the one in the cache was built for 16 multiprocessors, this is a GPU of 8"
    ]


def test_tensorrt_needs_the_gpu(ask: Asker) -> None:
    with pytest.raises(
        BackendError, match=r"on the GPU that runs it, and there is none .*--flavour tensorrt_rtx"
    ):
        ask(BuildOptions(), gpu=None)


def test_a_variant_for_the_cpu_is_refused(ask: Asker) -> None:
    with pytest.raises(BackendError, match="variant fp32 is made for cpu"):
        ask(variant=replace(ask.variant, target="cpu"))


def test_dla_takes_no_fp32(ask: Asker) -> None:
    with pytest.raises(UsageError, match="DLA computes in fp16 and int8"):
        ask(BuildOptions(dla_core=0))


PROCESS = """
import sys, time
from pathlib import Path
from edgeseg.runtime.bundle import Bundle
from edgeseg.runtime.tensorrt.engines import EngineRequest, get_engine
from edgeseg.runtime.tensorrt.module import find_tensorrt
from edgeseg.runtime.tensorrt.options import BuildOptions

bundle, go = sys.argv[1:]
variant, tensorrt = Bundle.load(bundle).variant(), find_tensorrt("tensorrt_rtx")
print("ready", flush=True)
while not Path(go).exists():
    time.sleep(0.01)
obtained = get_engine(
    EngineRequest(variant, (32, 48), tensorrt, None, BuildOptions()),
    on_message=lambda line: print(line, flush=True),
    on_progress=lambda progress: time.sleep(0.01),  # long enough for the other to come and find it locked
)
print("taken" if obtained.seconds is None else "built", flush=True)
"""


@pytest.mark.usefixtures("rtx")
def test_two_processes_build_once(
    bundle_folder: Path, cache: EngineCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGESEG_CACHE", str(cache.folder.parent))
    go = tmp_path / "go"
    command = [sys.executable, "-c", PROCESS, str(bundle_folder), str(go)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        assert [process.stdout.readline() for process in processes] == ["ready\n"] * 2
        go.touch()
        said = [process.communicate(timeout=60)[0].splitlines() for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    built, taken = sorted(said, key=lambda lines: lines[-1])
    assert built == ["building an engine for fp32: there is none in the cache yet", "built"]
    assert taken == ["another process is building this engine; waiting for it", "taken"]
    assert len(list(cache.folder.glob("*.engine"))) == 1


@pytest.mark.usefixtures("rtx")
def test_a_process_killed_in_the_middle_leaves_no_lock_and_no_engine(
    bundle_folder: Path, ask_rtx: Asker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGESEG_CACHE", str(ask_rtx.cache.folder.parent))
    go = tmp_path / "go"
    go.touch()
    code = PROCESS.replace("time.sleep(0.01),  #", "time.sleep(60),  #")
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(bundle_folder), str(go)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "ready\n"
        assert process.stdout.readline().startswith("building")
        time.sleep(0.2)
    finally:
        process.kill()
        process.communicate()
    assert ask_rtx(BuildOptions(), gpu=None).seconds is not None
    assert ask_rtx.said == ["building an engine for fp32: there is none in the cache yet"]
