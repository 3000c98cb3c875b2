"""Times the C library beside Python, on the same frames and with the same ONNX Runtime, after comparing their masks.

    cmake -S embedding/c -B build/c && cmake --build build/c
    python -m edgeseg.benchmarks.c_library bundle/lraspp --library build/c/libedgeseg.so

Both get the same number of threads for inference, and decode in one. OpenCV resizes in threads of its own, C in one.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core.arrays import ClassMap, Frame
from ..core.errors import BackendError, DataError, MissingDependencyError
from ..core.libraries import load_onnxruntime
from ..runtime.bundle import Bundle
from ..runtime.cpu import Threads
from ..runtime.segmenter import Segmenter
from .describe import describe_machine
from .frames import DEFAULT_FRAME, parse_frame, read_frames
from .program import Results, run_program, write_results
from .rounds import clocked, run_rounds
from .tables import Table, number

_PYTHON, _C = "Python", "C"


class _Options(ctypes.Structure):
    """``edgeseg_options`` of ``edgeseg.h``."""

    _fields_ = (
        ("size", ctypes.c_size_t),
        ("variant", ctypes.c_char_p),
        ("onnxruntime", ctypes.c_char_p),
        ("threads", ctypes.c_int32),
        ("reserved", ctypes.c_uint32),
    )


class _Frame(ctypes.Structure):
    """``edgeseg_frame`` of ``edgeseg.h``."""

    _fields_ = (
        ("bgr", ctypes.c_void_p),
        ("bytes", ctypes.c_size_t),
        ("width", ctypes.c_int32),
        ("height", ctypes.c_int32),
        ("stride", ctypes.c_size_t),
    )


class CLibrary:
    """A bundle that the C library has opened.

    Args:
        library: the file ``libedgeseg.so``.
        bundle: the bundle's folder.
        onnxruntime: ONNX Runtime's library; None for the one of the Python package.
        variant: the variant's name; None for the library's choice.
        threads: for inference.

    Raises:
        BackendError: the library does not load, or cannot open the bundle.
        MissingDependencyError: Python's package has no library of its own.
    """

    def __init__(
        self, library: Path, bundle: Path, onnxruntime: Path | None, variant: str | None, threads: int
    ) -> None:
        try:
            self._library = ctypes.CDLL(str(library))
        except OSError as error:
            raise BackendError(
                f"{library} does not load ({error}); build it as docs/c.md shows, and name libedgeseg.so"
            ) from error
        self._library.edgeseg_error.restype = ctypes.c_char_p
        path = os.fsencode(onnxruntime or _library_of_python())
        options = _Options(
            ctypes.sizeof(_Options), None if variant is None else variant.encode(), path, threads, 0
        )
        self._handle = ctypes.c_void_p()
        status = self._library.edgeseg_open(
            os.fsencode(bundle), ctypes.byref(options), ctypes.byref(self._handle)
        )
        if status:
            reason = self._reason()
            self.close()
            raise BackendError(reason)

    def run(self, frame_bgr: Frame, classes: ClassMap) -> None:
        """Writes a frame's class map.

        Args:
            frame_bgr: uint8 [H, W, 3], contiguous.
            classes: uint8 [H, W], contiguous; overwritten.

        Raises:
            BackendError: the library failed.
        """
        height, width = frame_bgr.shape[:2]
        frame = _Frame(frame_bgr.ctypes.data, frame_bgr.nbytes, width, height, 0)
        status = self._library.edgeseg_run(
            self._handle,
            ctypes.byref(frame),
            classes.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_size_t(classes.nbytes),
        )
        if status:
            raise BackendError(self._reason())

    def close(self) -> None:
        """Closes the bundle."""
        self._library.edgeseg_close(self._handle)
        self._handle = ctypes.c_void_p()

    def _reason(self) -> str:
        return str(self._library.edgeseg_error(self._handle).decode(errors="replace"))


def _library_of_python() -> Path:
    try:
        onnxruntime = load_onnxruntime()
    except ImportError as error:
        raise MissingDependencyError("onnxruntime", "gpu", "the comparison with Python") from error
    found = sorted(Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime.so*"))
    if not found:
        raise BackendError(
            "Python's ONNX Runtime has no libonnxruntime.so; name another one of the same version by --onnxruntime"
        )
    return found[0]


def main(argv: Sequence[str] | None = None) -> int:
    """Measures and compares. Returns the exit status."""
    return run_program("c_library", __doc__ or "", _configure, _run, argv)


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", type=Path, help="the bundle's folder")
    parser.add_argument("--library", type=Path, required=True, metavar="FILE", help="libedgeseg.so")
    parser.add_argument(
        "--onnxruntime", type=Path, metavar="FILE", help="libonnxruntime.so; default: the Python package's"
    )
    parser.add_argument("--variant", metavar="NAME", help="the variant; default: the bundle's for a CPU")
    parser.add_argument("--frame", default=DEFAULT_FRAME, metavar="WxH", help=f"default: {DEFAULT_FRAME}")
    parser.add_argument("--rounds", type=int, default=30, metavar="N", help="of 4 frames each; default: 30")


def _run(args: argparse.Namespace) -> None:
    machine = describe_machine()
    frames, origin = read_frames(None, parse_frame(args.frame))
    classes = np.empty(frames.shape[1:3], np.uint8)
    opened: dict[str, float] = {}
    start = time.perf_counter()
    segmenter = Segmenter(Bundle.load(args.bundle), args.variant, threads=Threads(args.threads, 1))
    segmenter.warmup()
    opened[_PYTHON] = (time.perf_counter() - start) * 1e3
    with segmenter:
        start = time.perf_counter()
        ours = CLibrary(args.library, args.bundle, args.onnxruntime, args.variant, args.threads)
        opened[_C] = (time.perf_counter() - start) * 1e3
        try:
            for index, frame_bgr in enumerate(frames):
                ours.run(frame_bgr, classes)
                differs = np.count_nonzero(classes != segmenter(frame_bgr).classes)
                if differs:
                    raise DataError(
                        f"frame {index}: {differs} pixels differ between C and Python; build the library from this"
                        " version, and give it the same ONNX Runtime"
                    )
            timed = run_rounds(
                {
                    _PYTHON: clocked(lambda index: segmenter(frames[index % len(frames)])),
                    _C: clocked(lambda index: ours.run(frames[index % len(frames)], classes)),
                },
                args.rounds,
            )
        finally:
            ours.close()
    figures: dict[str, Any] = {
        "machine": machine,
        "bundle": segmenter.bundle.name,
        "variant": segmenter.variant.name,
        "frame_hw": list(classes.shape),
        "frames": origin,
        "threads": args.threads,
        "open_ms": opened,
        "frame_ms": {name: each.percentiles() for name, each in timed.items()},
    }
    write_results(args, _results(figures))


def _results(figures: dict[str, Any]) -> Results:
    """Makes the table and the conclusion of the figures."""
    rows = [
        [name, *(number(ms[key], 2) for key in ("p50", "p90", "p99")), number(figures["open_ms"][name], 0)]
        for name, ms in figures["frame_ms"].items()
    ]
    ratio = figures["frame_ms"][_C]["p50"] / figures["frame_ms"][_PYTHON]["p50"]
    height, width = figures["frame_hw"]
    words = [
        f"The class maps are the same, bit for bit. A frame of {width} x {height} takes {ratio:.2f} times as long in C"
        f" as in Python ({figures['bundle']}, {figures['variant']}, {figures['threads']} threads)."
    ]
    table = Table(["", "p50 ms", "p90", "p99", "open ms"], rows)
    return Results("c_library", "The C library beside Python", figures, [table], words, {})


if __name__ == "__main__":
    sys.exit(main())
