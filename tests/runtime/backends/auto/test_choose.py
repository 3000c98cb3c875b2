"""The choice: backends that are fast, slow, wrong or broken, made of ONNX Runtime, and the real ones."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from edgeseg import Segmenter
from edgeseg.core.errors import BackendError, BundleError
from edgeseg.runtime import backends
from edgeseg.runtime.backends import backend_class
from edgeseg.runtime.backends.auto import trial
from edgeseg.runtime.backends.auto.choose import choose
from edgeseg.runtime.backends.onnxruntime import OnnxRuntimeBackend
from edgeseg.runtime.bundle import Bundle, Variant

SLOW_SECONDS = 0.02
FRAMES = cache(trial._frames)
"""Rendered once for all these tests."""


class Slow(OnnxRuntimeBackend):
    """Right, and slow."""

    name = "slow"
    auto_devices = ("cpu",)

    def _infer(self, frame_nhwc: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        time.sleep(SLOW_SECONDS)
        return super()._infer(frame_nhwc)


class Slower(Slow):
    name = "slower"

    def _infer(self, frame_nhwc: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        time.sleep(SLOW_SECONDS)
        return super()._infer(frame_nhwc)


class Fast(OnnxRuntimeBackend):
    """As ONNX Runtime is. Beside the slow ones that is fast."""

    name = "fast"
    auto_devices = ("cpu",)


class Wrong(Fast):
    """Fast, and the classes are in another order."""

    name = "wrong"

    def _infer(self, frame_nhwc: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        return np.ascontiguousarray(super()._infer(frame_nhwc)[:, ::-1])


class Rough(Fast):
    """Fast, and off by what is much for float32 and nothing for bfloat16."""

    name = "rough"
    auto_devices = ("cpu-bf16", "cpu")

    def __init__(self, variant: Variant, size_hw: tuple[int, int], device: str = "cpu", *rest: Any) -> None:
        super().__init__(variant, size_hw, "cpu", *rest)
        self.precision = "bf16" if device == "cpu-bf16" else "fp32"

    @classmethod
    def why_unavailable(cls, device: str) -> str:
        return "" if device in cls.auto_devices else "no such device"

    @classmethod
    def targets(cls, device: str) -> tuple[str, ...]:
        return ("any", "cpu")

    def _infer(self, frame_nhwc: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        logits = super()._infer(frame_nhwc).copy()
        logits[:, 0] += 0.03 * np.sqrt(np.mean(logits**2))
        return logits


class NotFinite(Fast):
    name = "notfinite"

    def _infer(self, frame_nhwc: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        return np.full_like(super()._infer(frame_nhwc), np.nan)


class OtherShape(Fast):
    name = "othershape"

    def _infer(self, frame_nhwc: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        return np.ascontiguousarray(super()._infer(frame_nhwc)[:, :, ::2])


class FailsToOpen(Fast):
    name = "failstoopen"

    def __init__(self, *args: Any) -> None:
        raise BackendError("its driver is on strike")


class FailsToRun(Fast):
    name = "failstorun"

    def _infer(self, frame_nhwc: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        raise BackendError("it ran out of steam")


class Absent(Fast):
    name = "absent"

    @classmethod
    def why_unavailable(cls, device: str) -> str:
        return "it is not installed"


@pytest.fixture
def bundle(bundle_folder: Path) -> Bundle:
    return Bundle.load(bundle_folder)


@pytest.fixture
def only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes some classes the only backends there are, and the cache the test's own."""
    monkeypatch.setenv("EDGESEG_CACHE", str(tmp_path / "own"))
    kinds: dict[str, type] = {}

    def make(*classes: type) -> None:
        kinds.clear()
        kinds.update({kind.name: kind for kind in classes})

    for module in ("choose", "trial"):
        monkeypatch.setattr(f"edgeseg.runtime.backends.auto.{module}.backend_class", kinds.__getitem__)
    monkeypatch.setattr("edgeseg.runtime.backends.auto.choose.names", lambda: tuple(kinds))
    # A second of timing tells 20 ms from 1 ms as well as three do.
    monkeypatch.setattr("edgeseg.runtime.backends.auto.trial._ROUNDS", 4)
    monkeypatch.setattr(trial, "_frames", FRAMES)
    return make


@pytest.mark.parametrize("order", [(Slow, Fast), (Fast, Slow)])
def test_the_fastest_is_taken(only: Callable[..., None], bundle: Bundle, order: tuple[type, ...]) -> None:
    only(*order)
    said: list[str] = []
    chosen = choose(bundle, on_message=said.append)
    assert (chosen.backend, chosen.device, chosen.variant.name) == ("fast", "cpu", "fp32")
    assert (
        said[0] == f"auto tries {order[0].name} on cpu, {order[1].name} on cpu; that takes some seconds, once"
    )
    assert said[1].startswith("auto takes fast on cpu: ")
    assert "slow on cpu " in said[1]
    assert len(said) == 2


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (Wrong, r"% of the pixels differ from ONNX Runtime's where those are no tie, above 0.01 %"),
        (NotFinite, "logits are not finite"),
        (OtherShape, r"gives logits \[3, 4, 12\] where ONNX Runtime gives \[3, 8, 12\]"),
        (FailsToOpen, "its driver is on strike"),
        (FailsToRun, "it ran out of steam"),
    ],
)
def test_what_is_fast_and_wrong_is_told_and_left_out(
    only: Callable[..., None], bundle: Bundle, broken: type, why: str
) -> None:
    only(Slower, broken, Slow)
    said: list[str] = []
    assert choose(bundle, on_message=said.append).backend == "slow"
    (told,) = [line for line in said if "leaves out" in line]
    assert told.startswith(f"auto leaves out {broken.name} on cpu: ")
    assert re.search(why, told)


def test_rounding_is_judged_by_the_precision_it_happens_in(only: Callable[..., None], bundle: Bundle) -> None:
    only(Slow, Rough)
    said: list[str] = []
    chosen = choose(bundle, on_message=said.append)
    assert (chosen.backend, chosen.device) == ("rough", "cpu-bf16")
    (told,) = [line for line in said if "leaves out" in line]
    assert told.startswith("auto leaves out rough on cpu: ")


def test_where_nothing_passes_onnx_runtime_runs_and_it_is_said(
    only: Callable[..., None], bundle: Bundle
) -> None:
    only(Wrong, FailsToRun)
    said: list[str] = []
    chosen = choose(bundle, on_message=said.append)
    assert (chosen.backend, chosen.device) == ("onnxruntime", "cpu")
    assert said[-1].startswith("auto takes onnxruntime on cpu, because nothing could be compared with it")
    with pytest.raises(BackendError, match="nothing that is installed gives the right masks on cpu"):
        choose(bundle, device="cpu")


def test_one_alone_needs_no_measuring(only: Callable[..., None], bundle: Bundle) -> None:
    only(Absent, Slow)
    said: list[str] = []
    assert choose(bundle, on_message=said.append).backend == "slow"
    assert said == ["auto takes slow on cpu, because nothing else that is installed runs here"]


def test_a_device_that_nothing_runs_on(only: Callable[..., None], bundle: Bundle) -> None:
    only(Slow, Absent)
    with pytest.raises(
        BackendError,
        match=r"nothing that is installed runs this bundle on tpu: slow knows no device 'tpu'; .*not installed",
    ):
        choose(bundle, device="tpu")


def test_an_unknown_variant(only: Callable[..., None], bundle: Bundle) -> None:
    only(Slow, Fast)
    with pytest.raises(BundleError, match="no variant 'fp99'"):
        choose(bundle, "fp99")


class TestMemory:
    @pytest.fixture
    def chosen_once(self, only: Callable[..., None], bundle: Bundle, tmp_path: Path) -> Path:
        only(Slow, Fast)
        choose(bundle)
        (path,) = (tmp_path / "own" / "choices").glob("*.choice")
        return path

    def test_the_next_start_takes_it_unmeasured(self, chosen_once: Path, bundle: Bundle) -> None:
        said: list[str] = []
        assert choose(bundle, on_message=said.append).backend == "fast"
        assert len(said) == 1
        assert said[0].endswith("(measured earlier)")

    def test_one_that_was_altered_is_not_believed(self, chosen_once: Path, bundle: Bundle) -> None:
        chosen_once.write_bytes(chosen_once.read_bytes().replace(b'"fast"', b'"slow"'))
        said: list[str] = []
        assert choose(bundle, on_message=said.append).backend == "fast"
        assert said[0].startswith("choosing again: ")
        assert "was altered" in said[0]

    @pytest.mark.parametrize("change", ["threads", "version", "installed", "graph", "cpu"])
    def test_what_could_change_it_is_measured_anew(
        self,
        chosen_once: Path,
        only: Callable[..., None],
        bundle: Bundle,
        make_bundle: Callable[..., Path],
        monkeypatch: pytest.MonkeyPatch,
        change: str,
    ) -> None:
        threads = None
        if change == "threads":
            threads = 1
        elif change == "version":
            monkeypatch.setattr(Fast, "version", classmethod(lambda cls, device: "99"))
        elif change == "installed":
            only(Slow, Fast, Slower)
        elif change == "graph":
            bundle = Bundle.load(make_bundle("other", scale=2.0))
        else:
            monkeypatch.setattr("edgeseg.runtime.backends.auto.choose.cpu_identity", lambda: "another")
        said: list[str] = []
        choose(bundle, threads=threads, on_message=said.append)
        assert said[0].startswith("auto tries ")

    def test_where_it_cannot_be_kept_that_is_said(
        self, only: Callable[..., None], bundle: Bundle, tmp_path: Path
    ) -> None:
        only(Slow, Fast)
        (tmp_path / "own").write_text("in the way")
        said: list[str] = []
        assert choose(bundle, on_message=said.append).backend == "fast"
        assert said[-1].startswith(
            "the choice is not kept, and is made again at each start: cannot use the choice"
        )


def test_losers_are_closed(
    only: Callable[..., None], bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_now: set[int] = set()
    most = 0

    class Counted(Fast):
        def __init__(self, *args: Any) -> None:
            nonlocal most
            super().__init__(*args)
            open_now.add(id(self))
            most = max(most, len(open_now))

        def _close(self) -> None:
            super()._close()
            open_now.discard(id(self))

    only(*(type(f"Counted{number}", (Counted,), {"name": f"c{number}"}) for number in range(4)))
    choose(bundle)
    assert (most, open_now) == (2, set())


def test_a_segmenter_takes_it(bundle_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGESEG_CACHE", str(tmp_path / "own"))
    said: list[str] = []
    frame = np.full((60, 90, 3), 30, np.uint8)
    frame[:, 45:] = 220
    with (
        Segmenter(bundle_folder, backend="auto", on_message=said.append) as seg,
        Segmenter(bundle_folder) as other,
    ):
        assert seg.backend.name in backends.names()
        assert f"{seg.backend.name} on {seg.backend.device}" in said[-1]
        np.testing.assert_array_equal(seg(frame).classes, other(frame).classes)


def test_auto_is_named_where_a_name_is_unknown() -> None:
    with pytest.raises(BackendError, match=r"unknown backend 'abacus'; known: onnxruntime, .*; or auto"):
        backend_class("abacus")
