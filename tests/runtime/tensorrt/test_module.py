"""Which TensorRT is found, and what is said of the others."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest
from edgeseg.core.errors import BackendError, MissingDependencyError
from edgeseg.runtime.tensorrt.module import (
    TensorRT,
    compute_capabilities,
    find_tensorrt,
    set_compute_capabilities,
    why_missing,
)

NAMES = ("tensorrt", "tensorrt_rtx")


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.setitem(sys.modules, name, None)  # what Python calls not installed


def install(monkeypatch: pytest.MonkeyPatch, name: str, version: str) -> ModuleType:
    module = ModuleType(name)
    module.__version__ = version
    monkeypatch.setitem(sys.modules, name, module)
    return module


@pytest.mark.usefixtures("installed")
class TestFinding:
    @pytest.mark.parametrize(
        ("name", "version"),
        [
            ("tensorrt", "10.3.0"),
            ("tensorrt", "10.16.1.11"),
            ("tensorrt", "11.4.0.106"),
            ("tensorrt_rtx", "1.1.1.26"),
            ("tensorrt_rtx", "1.10.0"),
        ],
    )
    def test_a_supported_version(self, monkeypatch: pytest.MonkeyPatch, name: str, version: str) -> None:
        module = install(monkeypatch, name, version)
        assert find_tensorrt() == find_tensorrt(name) == TensorRT(name, version, module)
        assert why_missing() == ""

    @pytest.mark.parametrize(
        ("name", "version", "supported"),
        [
            ("tensorrt", "8.6.2", "10.3 or later, below 12"),
            ("tensorrt", "10.2.0.19", "10.3 or later, below 12"),
            ("tensorrt", "12.0.0", "10.3 or later, below 12"),
            ("tensorrt", "12.0.0rc1", "10.3 or later, below 12"),
            ("tensorrt_rtx", "1.0.0.21", "1.1 or later"),
        ],
    )
    def test_an_unsupported_version(
        self, monkeypatch: pytest.MonkeyPatch, name: str, version: str, supported: str
    ) -> None:
        install(monkeypatch, name, version)
        with pytest.raises(BackendError) as told:
            find_tensorrt()
        assert f"{version} is installed; edgeseg supports {supported}: pip install" in str(told.value)
        assert why_missing(name) == str(told.value)

    def test_no_version_at_all(self, monkeypatch: pytest.MonkeyPatch) -> None:
        install(monkeypatch, "tensorrt", "nightly")
        with pytest.raises(BackendError, match="gives its version as 'nightly', which is none"):
            find_tensorrt()

    def test_nvidias_own_comes_first(self, monkeypatch: pytest.MonkeyPatch) -> None:
        install(monkeypatch, "tensorrt", "10.3.0")
        install(monkeypatch, "tensorrt_rtx", "1.7.1")
        assert find_tensorrt().title == "TensorRT 10.3.0"
        assert find_tensorrt("tensorrt_rtx").title == "TensorRT for RTX 1.7.1"

    def test_none_is_installed(self) -> None:
        with pytest.raises(MissingDependencyError, match=r'pip install "edgeseg\[tensorrt\]"'):
            find_tensorrt()
        assert 'pip install "edgeseg[rtx]"' in why_missing("tensorrt_rtx")

    def test_an_unknown_flavour(self) -> None:
        with pytest.raises(
            BackendError, match="unknown TensorRT flavour 'trt'; known: tensorrt, tensorrt_rtx"
        ):
            find_tensorrt("trt")


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        (
            "raise OSError('libnvinfer.so.10: cannot open shared object file')",
            "libnvinfer.so.10: cannot open",
        ),
        ("import tensorrt_libs_that_are_not_there", "No module named 'tensorrt_libs_that_are_not_there'"),
    ],
)
def test_one_that_does_not_load(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: str, cause: str
) -> None:
    (tmp_path / "tensorrt.py").write_text(line)
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(BackendError, match="TensorRT is installed but does not load: ") as told:
        find_tensorrt()
    assert cause in str(told.value)


def test_compute_capabilities(rtx: TensorRT) -> None:
    known = compute_capabilities(rtx.module)
    assert {"7.5", "8.6", "8.9", "12.0"} <= set(known)
    assert known["8.6"] == rtx.module.ComputeCapability.SM86
    assert known["12.0"] == rtx.module.ComputeCapability.SM120


def test_a_tensorrt_without_compute_capabilities() -> None:
    assert compute_capabilities(ModuleType("tensorrt")) == {}
    with pytest.raises(BackendError, match="builds only for the GPU of this machine; --flavour tensorrt_rtx"):
        set_compute_capabilities(ModuleType("tensorrt"), object(), ["8.6"])
