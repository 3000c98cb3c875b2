from __future__ import annotations

import shutil
import tracemalloc

import numpy as np
import pytest
import torch
from edgeseg.core.arrays import Floats
from edgeseg.core.errors import DataError
from edgeseg.runtime import decode as decoding
from edgeseg.runtime.decode import Decoder, decode, decode_margin, is_compiled, is_finite
from edgeseg.runtime.decode import in_numpy as decode_numpy
from hypothesis import example, given, settings
from hypothesis import strategies as st


def interpolate(logits: Floats, size_hw: tuple[int, int]) -> Floats:
    """The reference: PyTorch's bilinear interpolation, float32 [C, H, W]."""
    batch = torch.from_numpy(logits)[None]
    return torch.nn.functional.interpolate(batch, size=size_hw, mode="bilinear", align_corners=False)[
        0
    ].numpy()


def tie_bound(logits: Floats) -> float:
    """The largest margin that float32 rounding can turn over.

    A pixel's position on the coarse grid is right to a few units in the last place of the grid's side, so a weight
    is right to about 4 eps * side, and so is a value relative to the largest logit; each of the two axes
    adds its part, and a margin is the difference of two values. The constant term covers the sums themselves.
    """
    side = max(logits.shape[1:])
    return float(np.finfo(np.float32).eps) * 2 * (2 * 4 * side + 8) * float(np.abs(logits).max())


def assert_equals_reference(logits: Floats, size_hw: tuple[int, int]) -> None:
    values = interpolate(logits, size_hw)
    classes = decode(logits, size_hw)
    assert classes.shape == size_hw
    assert classes.dtype == np.uint8
    # Compiled or not, it is the same to the last bit; from [h, w, C] too.
    np.testing.assert_array_equal(decode_numpy.decode(logits, size_hw), classes)
    turned = np.ascontiguousarray(logits.transpose(1, 2, 0)).transpose(2, 0, 1)
    np.testing.assert_array_equal(decode(turned, size_hw), classes)
    differs = classes != values.argmax(axis=0)
    chosen = np.take_along_axis(values, classes[None].astype(np.intp), axis=0)[0]
    # Where the two differ, the reference itself must hold both for equal within rounding.
    assert (values.max(axis=0) - chosen)[differs].max(initial=0) <= tie_bound(logits)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Floats, tuple[int, int]]:
    classes = draw(st.integers(2, 150))
    coarse = draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    size = draw(st.tuples(st.integers(1, 60), st.integers(1, 60)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["noise", "levels", "regions", "offset"]))
    if kind == "noise":
        logits = rng.normal(size=(classes, *coarse))
    elif kind == "levels":  # few values, so that exact ties abound
        logits = rng.integers(0, 3, (classes, *coarse)).astype(np.float64)
    elif kind == "regions":  # most cells uniform, as in real masks
        logits = rng.normal(size=(classes, *coarse)) * 0.1
        logits[:, :, coarse[1] // 2 :] += rng.normal(size=(classes, 1, 1))
    else:
        logits = rng.normal(size=(classes, *coarse)) + 1000
    return logits.astype(np.float32), size


@given(cases())
@example((np.zeros((21, 5, 4), np.float32), (17, 9)))
@example((np.eye(4, dtype=np.float32).reshape(4, 2, 2), (8, 8)))
@settings(max_examples=120, deadline=None)
def test_equals_interpolation_then_argmax(case: tuple[Floats, tuple[int, int]]) -> None:
    assert_equals_reference(*case)


@given(cases())
@settings(max_examples=60, deadline=None)
def test_the_margin_is_the_references(case: tuple[Floats, tuple[int, int]]) -> None:
    logits, size_hw = case
    top_two = np.sort(interpolate(logits, size_hw), axis=0)[-2:]
    margin = decode_margin(logits, size_hw)
    np.testing.assert_allclose(margin, top_two[1] - top_two[0], rtol=0, atol=tie_bound(logits))
    # Compiled or not, each class's value has the same bits; only which two are subtracted is a matter of rounding.
    np.testing.assert_allclose(
        margin, decode_numpy.decode_margin(logits, size_hw), rtol=0, atol=tie_bound(logits)
    )


@pytest.mark.parametrize(("coarse", "size"), [((45, 60), (97, 131)), ((31, 17), (31, 17)), ((1, 1), (5, 4))])
def test_threads_change_nothing(
    monkeypatch: pytest.MonkeyPatch, coarse: tuple[int, int], size: tuple[int, int]
) -> None:
    monkeypatch.setattr(decoding, "_LOGITS_A_THREAD", 1)
    monkeypatch.setattr(decoding, "_CELLS_A_THREAD", 1)
    logits = np.random.default_rng(5).normal(size=(6, *coarse)).astype(np.float32)
    decoder = Decoder(threads=3)
    classes, margin = np.empty(size, np.uint8), np.empty(size, np.float32)
    assert decoder(logits, classes)
    decoder.margin(logits, margin)
    np.testing.assert_array_equal(classes, decode(logits, size))
    np.testing.assert_array_equal(margin, decode_margin(logits, size))
    logits[5, -1, -1] = np.nan  # in the last thread's part
    assert not decoder(logits, classes)
    decoder.close()
    decoder.close()


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_told_and_not_decoded(
    monkeypatch: pytest.MonkeyPatch, bad: float, compiled: bool
) -> None:
    if not compiled:
        monkeypatch.setattr(decoding, "_kernel", lambda: None)
    logits = np.zeros((4, 30, 20), np.float32)
    logits[2, 29, 19] = bad
    for size_hw in ((90, 70), (30, 20)):
        assert not Decoder()(logits, np.empty(size_hw, np.uint8))
        with pytest.raises(DataError, match=r"logits \[4, 30, 20\] hold NaN or infinity"):
            decode(logits, size_hw)


def test_one_decoder_takes_logits_and_frames_of_any_size_in_turn() -> None:
    rng = np.random.default_rng(6)
    decoder = Decoder()
    for coarse, size in (((5, 7), (40, 50)), ((9, 3), (9, 3)), ((2, 2), (64, 64)), ((5, 7), (31, 17))):
        logits = rng.normal(size=(4, *coarse)).astype(np.float32)
        out = np.empty(size, np.uint8)
        assert decoder(logits, out)
        np.testing.assert_array_equal(out, decode_numpy.decode(logits, size))


def test_once_warm_it_allocates_nothing() -> None:
    logits = np.random.default_rng(7).normal(size=(21, 65, 65)).astype(np.float32)
    classes, margin = np.empty((720, 1280), np.uint8), np.empty((720, 1280), np.float32)
    if not is_compiled():
        pytest.skip("the kernel was not built")
    decoder = Decoder()

    def frame() -> None:
        decoder(logits, classes)
        decoder.margin(logits, margin)

    frame()
    tracemalloc.start()
    try:
        frame()
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(5):
            frame()
        assert (
            tracemalloc.get_traced_memory()[1] - before < 16_384
        )  # a few tuples; the coarse map alone is 4225 bytes
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("coarse", "size"),
    [
        ((64, 64), (512, 512)),
        ((65, 65), (720, 1280)),
        ((45, 60), (360, 480)),
        ((1, 80), (3, 640)),
        ((200, 150), (97, 60)),
    ],
)
def test_equals_the_reference_at_real_sizes(coarse: tuple[int, int], size: tuple[int, int]) -> None:
    logits = np.random.default_rng(0).normal(size=(8, *coarse)).astype(np.float32)
    assert_equals_reference(logits, size)


@pytest.mark.parametrize("scale", [2, 4, 8, 16, 32])
def test_equals_the_reference_at_every_stride(scale: int) -> None:
    logits = np.random.default_rng(scale).normal(size=(5, 7, 9)).astype(np.float32)
    assert_equals_reference(logits, (7 * scale, 9 * scale))


def test_a_class_that_wins_at_no_corner_can_win_between_them() -> None:
    # At each corner class 2 is a close second, in the middle it is first.
    logits = np.array([[[4, 0]], [[0, 4]], [[3, 3]]], np.float32)
    assert decode(logits, (1, 8)).tolist() == [[0, 0, 0, 2, 2, 1, 1, 1]]
    assert_equals_reference(logits, (1, 8))


def test_at_stride_one_it_is_the_argmax() -> None:
    logits = np.random.default_rng(1).normal(size=(150, 31, 17)).astype(np.float32)
    np.testing.assert_array_equal(decode(logits, (31, 17)), logits.argmax(axis=0))


def test_the_lower_class_wins_ties() -> None:
    logits = np.zeros((3, 4, 4), np.float32)
    logits[1:, :, :2] = 1
    assert set(np.unique(decode(logits, (16, 16)))) == {0, 1}


def test_writes_into_the_array_it_is_given() -> None:
    logits = np.random.default_rng(2).normal(size=(3, 4, 4)).astype(np.float32)
    out = np.full((32, 24), 99, np.uint8)
    assert decode(logits, (32, 24), out) is out
    np.testing.assert_array_equal(out, decode(logits, (32, 24)))


def test_the_margin_is_the_gap_between_the_two_largest() -> None:
    logits = np.random.default_rng(3).normal(size=(6, 9, 11)).astype(np.float32)
    top_two = np.sort(interpolate(logits, (70, 50)), axis=0)[-2:]
    margin = decode_margin(logits, (70, 50))
    assert margin.dtype == np.float32
    np.testing.assert_allclose(margin, top_two[1] - top_two[0], atol=tie_bound(logits))


def test_with_one_class_there_is_no_second() -> None:
    logits = np.zeros((1, 3, 3), np.float32)
    assert not decode(logits, (9, 9)).any()
    assert np.isposinf(decode_margin(logits, (9, 9))).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_single_bad_logit_is_found(bad: float) -> None:
    logits = np.zeros((4, 30, 30), np.float32)
    assert is_finite(logits)
    logits[3, 29, 17] = bad
    assert not is_finite(logits)


def test_the_kernel_is_built_here() -> None:
    if shutil.which("cc") is None and shutil.which("gcc") is None:
        pytest.skip("there is no C compiler")
    assert is_compiled()


def test_without_the_kernel_numpy_decodes(monkeypatch: pytest.MonkeyPatch) -> None:
    logits = np.random.default_rng(0).normal(size=(5, 6, 7)).astype(np.float32)
    expected = decode(logits, (40, 50))
    monkeypatch.setattr(decoding, "_kernel", lambda: None)
    np.testing.assert_array_equal(decode(logits, (40, 50)), expected)
    assert not is_compiled()


def test_logits_of_any_layout() -> None:
    logits = np.random.default_rng(1).normal(size=(6, 5, 4)).astype(np.float32)
    apart = np.repeat(logits, 2, axis=2)[:, :, ::2]  # neither [C, h, w] nor [h, w, C] in memory
    np.testing.assert_array_equal(decode(apart, (31, 17)), decode(logits, (31, 17)))


def test_the_kernel_writes_nowhere_else() -> None:
    if not is_compiled():
        pytest.skip("the kernel was not built")
    from edgeseg.runtime.decode import _decode

    logits, out = np.zeros((3, 4, 5), np.float32), np.zeros(20, np.uint8)
    with pytest.raises(ValueError, match="smaller than the sizes given"):
        _decode.best(logits, 3, 0, 21, 20, 1, out)
    with pytest.raises(ValueError, match="smaller than the sizes given"):
        _decode.best(logits, 4, 0, 20, 20, 1, out)
    rows, columns = decoding._packed(4, 8), decoding._packed(5, 10)
    for coarse, small in ((out, np.zeros(79, np.uint8)), (np.full(20, 3, np.uint8), np.zeros(80, np.uint8))):
        with pytest.raises(ValueError, match="do not fit the sizes given"):
            _decode.cells(logits, 3, 4, 5, 20, 1, coarse, *rows, *columns, 0, 5, small)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_the_kernel_sees_what_is_not_finite(value: float) -> None:
    if not is_compiled():
        pytest.skip("the kernel was not built")
    from edgeseg.runtime.decode import _decode

    logits, out = np.zeros((3, 40, 50), np.float32), np.zeros(2000, np.uint8)
    assert _decode.best(logits, 3, 0, 2000, 2000, 1, out)
    logits[2, 39, 49] = value
    assert not _decode.best(logits, 3, 0, 2000, 2000, 1, out)
