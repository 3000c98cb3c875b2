"""``edgeseg build`` from the command line, with real engines by TensorRT for RTX."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import edgeseg.runtime.tensorrt.cuda as cuda
import pytest
from edgeseg.cli import build as command
from edgeseg.cli.main import main
from edgeseg.core.errors import BundleError, UsageError
from edgeseg.runtime.bundle import Bundle
from edgeseg.runtime.tensorrt.cache import EngineCache
from edgeseg.runtime.tensorrt.progress import BuildProgress


@pytest.fixture(autouse=True)
def in_the_cache(
    cache: EngineCache, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> EngineCache:
    request.getfixturevalue("rtx")
    monkeypatch.setenv("EDGESEG_CACHE", str(cache.folder.parent))
    monkeypatch.setattr(cuda, "why_no_device", lambda *args: "there is no GPU")
    return cache


@pytest.fixture
def build(bundle_folder: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs ``edgeseg build BUNDLE …``; its status, stdout and stderr."""

    def run(*args: str) -> tuple[int, str, str]:
        status = main(["build", str(bundle_folder), "--flavour", "tensorrt_rtx", *args])
        return status, *capsys.readouterr()

    return run


Build = Callable[..., tuple[int, str, str]]


def test_it_builds_and_says_where_and_how_to_run(
    build: Build, cache: EngineCache, bundle_folder: Path
) -> None:
    status, out, err = build()
    (engine,) = cache.folder.glob("*.engine")
    assert status == 0
    assert re.fullmatch(
        rf"engine    {re.escape(str(engine))}\n"
        r"          \d\.\d MiB, built in \d+\.\d s\n"
        r"variant   fp32 \(fp32\) of tiny, by TensorRT for RTX [\d.]+\n"
        r"for       any GPU of compute capability [\d., ]+\n"
        rf"run it    edgeseg run --bundle {bundle_folder} --backend tensorrt --variant fp32\n",
        out,
    )
    assert re.match(
        r"no GPU here; TensorRT for RTX [\d.]+ builds for compute capability 8\.0, [\d., ]+\n"
        "building an engine for fp32: there is none in the cache yet\n",
        err,
    )
    assert [line for line in err.splitlines() if "%" in line][-1] == "building: 100 %"
    assert "\x1b" not in out + err


def test_the_second_time_it_is_there(build: Build) -> None:
    build()
    status, out, err = build()
    assert status == 0
    assert "it was in the cache" in out
    assert "building an" not in err
    assert "built in" in build("--force")[1]


def test_every_option_reaches_the_engine(build: Build, cache: EngineCache) -> None:
    status, out, _ = build(
        "--precision", "fp32", "--variant", "fp32", "--batch", "1..4", "--frame", "64x96",
        "--workspace", "64", "--optimization-level", "2", "--compute-capability", "8.9, 8.6",
    )  # fmt: skip
    assert status == 0
    assert "for       any GPU of compute capability 8.6, 8.9" in out
    (record,) = (json.loads(path.read_text()) for path in cache.folder.glob("*.json"))
    assert record["identity"]["options"] == {
        "batch": [1, 4],
        "frame_size_hw": [64, 96],
        "dla_core": None,
        "workspace_bytes": 64 << 20,
        "optimization_level": 2,
        "portable": False,
        "compute_capabilities": ["8.6", "8.9"],
    }


def test_a_batch_of_several_alone_is_not_for_edgeseg_run(build: Build) -> None:
    assert "run it" not in build("--batch", "4")[1]
    assert "run it" in build("--batch", "1..4")[1]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--batch", "some"], "--batch 'some': expected a number such as 4, or a range such as 1..8"),
        (["--batch", "4..1"], "batch 4..1: expected 1 or more, the smaller one first"),
        (["--compute-capability", "86"], "--compute-capability '86': expected such as 8.6 or 8.6,8.9"),
        (["--compute-capability", "9.9"], "cannot build for compute capability '9.9'; it knows 7.5"),
        (["--frame", "64"], "'64' is not a size; expected HEIGHTxWIDTH"),
        (["--workspace", "0"], "--workspace 0: expected 1 to 16777216 MiB"),
        (["--optimization-level", "9"], "optimization level 9: expected 0 to 5"),
        (["--dla", "0"], "DLA computes in fp16 and int8; fp32 would run on the GPU whole"),
        (["--portable"], "leave --portable out"),
        (["--timing-cache", "t"], "leave --timing-cache out"),
        (["--precision", "int8"], "has no int8 for TensorRT; it has fp32 (fp32 for any): export it again"),
        (["--variant", "fp16"], "has no variant 'fp16'; it has fp32"),
        (["--variant", "fp32", "--precision", "fp16"], "variant fp32 is fp32, not fp16; give one of the two"),
    ],
)
def test_a_mistake_is_one_line(build: Build, cache: EngineCache, args: list[str], message: str) -> None:
    status, out, err = build(*args)
    assert status == 2
    assert out == ""
    assert message in err
    assert err.splitlines()[-1].startswith("edgeseg build: error: ")
    assert list(cache.folder.glob("*.engine")) == []


def test_a_build_that_fails_leaves_nothing(build: Build, cache: EngineCache) -> None:
    status, _, err = build("--workspace", "1")
    assert status == 2
    assert "cannot build" in err.splitlines()[-1]
    assert [path.suffix for path in cache.folder.iterdir()] == [".lock"]


def test_tensorrt_without_a_gpu(
    bundle_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], classic: Any
) -> None:
    monkeypatch.setattr("edgeseg.runtime.tensorrt.module.find_tensorrt", lambda flavour: classic)
    assert main(["build", str(bundle_folder)]) == 2
    assert (
        "TensorRT 10.3.0 builds an engine on the GPU that runs it: there is no GPU. TensorRT for RTX builds"
        " without one: --flavour tensorrt_rtx" in capsys.readouterr().err
    )


def test_warnings_are_told(
    bundle_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], classic: Any
) -> None:
    monkeypatch.setattr("edgeseg.runtime.tensorrt.module.find_tensorrt", lambda flavour: classic)
    monkeypatch.setattr(cuda, "why_no_device", lambda *args: "")
    monkeypatch.setattr(cuda, "gpu_of", lambda *args: cuda.Gpu("NVIDIA RTX 4090", "8.9", 24 << 30, 128))
    assert main(["build", str(bundle_folder), "--portable"]) == 0
    out, err = capsys.readouterr()
    assert "TensorRT warns: setHardwareCompatibilityLevel() is unsupported in TensorRT-RTX.\n" in err
    assert "for       any GPU of compute capability 8.0 or later" in out
    assert main(["build", str(bundle_folder)]) == 0
    assert "for       NVIDIA RTX 4090 of compute capability 8.9" in capsys.readouterr().out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_and_leaves_nothing(
    build: Build, cache: EngineCache, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    shown: list[BuildProgress] = []

    def update(self: command.BuildBar, progress: BuildProgress) -> None:
        shown.append(progress)
        if len(shown) == 5:
            signal.raise_signal(number)

    monkeypatch.setattr(command.BuildBar, "update", update)
    status, out, err = build()
    assert status == 130
    assert out == ""
    assert err.endswith("edgeseg build: stopped\n")
    assert len(shown) < 10
    assert [path.suffix for path in cache.folder.iterdir()] == [".lock"]


def test_a_bar_is_drawn_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    bar = command.BuildBar()
    bar.update(BuildProgress(0.5, "Timing tactics", 3, 7))
    assert capsys.readouterr().err == f"\r\x1b[K{'#' * 15}{'.' * 15}  50 %  Timing tactics 3/7"
    bar.write_line("a line")
    bar.clear()
    assert capsys.readouterr().err == "\r\x1b[Ka line\n\r\x1b[K"


def test_it_needs_no_rich_and_no_onnx(bundle_folder: Path) -> None:
    """Engines are built where the core install and TensorRT are all there is."""
    code = (
        "import sys\n"
        "for name in ('torch', 'onnx', 'rich', 'matplotlib', 'PIL'): sys.modules[name] = None\n"
        "from edgeseg.cli.main import main\n"
        f"sys.exit(main(['build', {str(bundle_folder)!r}, '--compute-capability', '8.6']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "any GPU of compute capability 8.6" in done.stdout


class TestChoosingTheVariant:
    @pytest.fixture
    def bundle(self, bundle_folder: Path, edit_manifest: Callable[..., None]) -> Bundle:
        def add(manifest: dict[str, Any]) -> None:
            plain = manifest["variants"]["fp32"]
            shutil.copy(bundle_folder / plain["file"], bundle_folder / "again.onnx")
            for name, precision, target in (
                ("int8-cpu", "int8", "cpu"),
                ("int8", "int8", "any"),
                ("int8-tensorrt", "int8", "tensorrt"),
                ("fp16", "fp16", "any"),
            ):
                manifest["variants"][name] = {
                    **plain, "file": "again.onnx", "precision": precision, "target": target
                }  # fmt: skip
            manifest["default_variant"] = "int8-cpu"

        edit_manifest(add)
        return Bundle.load(bundle_folder)

    @pytest.mark.parametrize(
        ("name", "precision", "chosen"),
        [
            (None, None, "fp32"),  # the default is for the CPU
            (None, "fp16", "fp16"),
            (None, "int8", "int8-tensorrt"),
            ("int8", None, "int8"),
            ("int8", "int8", "int8"),
        ],
    )
    def test_chosen(self, bundle: Bundle, name: str | None, precision: str | None, chosen: str) -> None:
        assert command.choose_variant(bundle, name, precision).name == chosen

    def test_a_precision_for_the_cpu_alone(self, bundle: Bundle) -> None:
        for name in ("int8", "int8-tensorrt"):
            bundle.manifest["variants"].pop(name, None)
        variants = {k: v for k, v in bundle.variants.items() if k not in ("int8", "int8-tensorrt")}
        alone = Bundle(bundle.path, bundle.labels, bundle.manifest, variants)
        with pytest.raises(
            BundleError, match=r"has no int8 for TensorRT; it has .*int8-cpu \(int8 for cpu\)"
        ):
            command.choose_variant(alone, None, "int8")

    def test_two_that_disagree(self, bundle: Bundle) -> None:
        with pytest.raises(UsageError, match="variant fp16 is fp16, not int8"):
            command.choose_variant(bundle, "fp16", "int8")
