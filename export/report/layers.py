"""``edgeseg verify --layers``: a bundle's variants compared with FP32, operator by operator, on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import onnx
from rich.console import Console
from rich.table import Table

from ...core.errors import VerificationError
from ...core.printable import printable
from ...models.checkpoint import load_checkpoint
from ...runtime.bundle import Bundle
from ...runtime.preprocess import Preprocessor
from ..graph.onnx_file import export_graph
from ..verification.frames import LabelledFrames
from ..verification.layers import LayerComparison, compare_layers, percent
from ..verification.stepwise import Array

FRAMES = 3
"""A few are enough: a wrong operator is wrong on every frame, and a range that is too narrow on most frames."""


def compare_bundle(
    bundle: Bundle,
    frames: LabelledFrames,
    variants: Sequence[str] = (),
    on_frame: Callable[[], None] = lambda: None,
) -> Iterator[LayerComparison]:
    """Compares variants with FP32, one after another.

    Args:
        bundle: checked and open. Without an fp32 variant, its checkpoint is exported again, in memory.
        frames: the frames to compare on.
        variants: their names; all but fp32 if empty.
        on_frame: called after each frame of each variant.

    Raises:
        BundleError: the bundle has no such variant.
        VerificationError: there is no variant to compare, or the operators' names differ from those of FP32.
    """
    chosen = chosen_variants(bundle, variants)
    reference = _reference(bundle)
    for name in chosen:
        variant = bundle.variant(name)
        calibration = bundle.manifest["variants"][name]["calibration"] or {}
        yield compare_layers(
            reference,
            onnx.load_model_from_string(variant.read()),
            _inputs(frames, bundle.input_size_hw, on_frame),
            name=name,
            precision=variant.precision,
            corrected=calibration.get("shifts", ()),
        )


def chosen_variants(bundle: Bundle, variants: Sequence[str] = ()) -> tuple[str, ...]:
    """Returns the variants to compare with FP32: the named ones, or all but fp32.

    Raises:
        BundleError: the bundle has no such variant.
        VerificationError: the bundle has only fp32.
    """
    named = [bundle.variant(name) for name in variants or tuple(bundle.variants)]
    chosen = tuple(variant.name for variant in named if variant.precision != "fp32")
    if not chosen:
        raise VerificationError(
            "--layers compares a variant with fp32, and there is no other here; name an fp16 or int8 variant,"
            f" or export one (the bundle has {', '.join(bundle.variants)})"
        )
    return chosen


def show_layers(console: Console, comparison: LayerComparison) -> None:
    """Prints one line for each operator, in the graph's order, and the verdict; the first that departs is marked."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("", no_wrap=True)
    table.add_column("operator", no_wrap=True)
    table.add_column("weight", no_wrap=True, overflow="ellipsis", max_width=20)
    for head in ("total %", "own %", "may be %", "clipped %"):
        table.add_column(head, justify="right", no_wrap=True)
    for operator in comparison.operators:
        if operator is comparison.first:
            mark = "first"
        else:
            mark = "departs" if operator.departs else ""
        style = {"first": "bold red", "departs": "red"}.get(mark)
        table.add_row(
            mark,
            printable(operator.name),
            printable(operator.weight.removesuffix(".weight")),
            percent(operator.total.relative),
            percent(operator.own.relative),
            percent(operator.own.relative_expected),
            style=style,
        )
        if operator.range is not None:
            table.add_row(
                "",
                "  its range",
                "",
                "",
                percent(operator.range.relative),
                percent(operator.range.relative_expected),
                percent(operator.clipped),
                style=style if operator.range_departs else None,
            )
    console.print(table)
    console.print(printable(f"{comparison.variant}: {comparison.verdict()}."), soft_wrap=True)


def _reference(bundle: Bundle) -> onnx.ModelProto:
    for variant in bundle.variants.values():
        if variant.precision == "fp32":
            return onnx.load_model_from_string(variant.read())
    checkpoint = load_checkpoint(bundle.checkpoint_path, bundle.read_checkpoint())
    return export_graph(checkpoint.build(), checkpoint.info, bundle.input_size_hw)


def _inputs(
    frames: LabelledFrames, size_hw: tuple[int, int], on_frame: Callable[[], None]
) -> Iterator[Array]:
    preprocess = Preprocessor(size_hw)
    for frame in frames:
        yield preprocess(frame.frame_bgr)
        on_frame()
