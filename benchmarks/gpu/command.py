"""The proof on a GPU: tries all that edgeseg claims of TensorRT and CUDA, in under nine minutes."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from ...core.errors import EdgesegError, UsageError
from ...core.outputs import check_new, check_output
from ...core.printable import printable
from ...core.reads import Reads
from ...core.signals import ending_signals
from ..frames import parse_frame
from .prepared import PreparedFolder
from .proof import JSON_NAME, NO_GPU, PAGE_NAME, ProofOptions, ProofRun

_PROG = "python -m edgeseg.benchmarks.gpu"
_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Prepares or runs the proof; returns the exit status: 1 if a step failed, 2 without a GPU or TensorRT."""
    words = list(sys.argv[1:] if argv is None else argv)
    args = _parser().parse_args(words)
    try:
        if args.prepare is not None:
            return _prepare(args)
        if args.out is None or args.bundles is None:
            raise UsageError(
                "give --prepare DIR first, on any machine, and then --bundles DIR --out DIR with a GPU"
            )
        return _prove(args, shlex.join([*_PROG.split(), *(word for word in words if word != "--force")]))
    except EdgesegError as error:
        print(f"{_PROG}: error: {printable(str(error))}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        return _INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_PROG, description=(__doc__ or "").splitlines()[0], allow_abbrev=False
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help=f"write {JSON_NAME}, {PAGE_NAME} and logs here"
    )
    parser.add_argument("--bundles", type=Path, metavar="DIR", help="what --prepare has made")
    parser.add_argument(
        "--minimal",
        action="store_true",
        help="without pytest and the export extra: the tests are left out",
    )
    parser.add_argument(
        "--flavour", choices=("tensorrt", "tensorrt_rtx"), help="default: the first that is installed"
    )
    parser.add_argument(
        "--frames", type=int, default=200, metavar="N", help="frames a way; default: %(default)s"
    )
    parser.add_argument("--soak", type=float, default=60, metavar="S", help="seconds; default: %(default)g")
    parser.add_argument(
        "--seconds", type=float, default=ProofOptions.seconds, metavar="S",
        help="no step begins later than this, and none lasts longer; default: %(default)g",
    )  # fmt: skip
    parser.add_argument("--force", action="store_true", help="replace outputs that exist")
    parser.add_argument(
        "--network", action="append", default=[], metavar="NAME", help="only this one; may be repeated"
    )
    preparing = parser.add_argument_group(
        "prepare what is carried to the GPU, on a machine with the export extra"
    )
    preparing.add_argument(
        "--prepare", type=Path, metavar="DIR", help="write the bundles, frames and references"
    )
    preparing.add_argument(
        "--weights", action="append", default=[], metavar="NAME=FILE", help="a network's own; may be repeated"
    )
    preparing.add_argument("--frame", default="640x480", metavar="WxH", help="default: %(default)s")
    preparing.add_argument("--no-int8", action="store_true", help="FP16 alone, as TensorRT for RTX wants it")
    return parser


def _prepare(args: argparse.Namespace) -> int:
    from .prepare import Preparation, choose_recipes, prepare

    own = dict(word.partition("=")[::2] for word in args.weights)
    if not all(own.values()):
        raise UsageError("--weights: expected NAME=FILE, such as unet=runs/unet/best.safetensors")
    recipes = choose_recipes(args.network, own)
    wanted = Preparation(recipes, frame_size_hw=parse_frame(args.frame), int8=not args.no_int8)
    prepare(args.prepare, wanted, args.force, _on_message)
    megabytes = sum(file.stat().st_size for file in args.prepare.rglob("*") if file.is_file()) / 1e6
    _on_message(f"wrote {args.prepare}, {megabytes:.0f} MB")
    return 0


def _prove(args: argparse.Namespace, command: str) -> int:
    if args.frames < 1 or not args.soak > 0 or not args.seconds > 0:
        raise UsageError("--frames, --soak and --seconds: expected more than 0")
    prepared = PreparedFolder.load(args.bundles)
    for name in args.network:
        if name not in prepared.networks:
            raise UsageError(f"--network {name}: {args.bundles} has {', '.join(prepared.networks)}")
    check_output(args.out, folder=True, reads=Reads().add(f"the folder {args.bundles}", args.bundles))
    check_new(args.out / JSON_NAME, args.force)
    options = ProofOptions(
        out=args.out,
        command=command,
        networks=tuple(args.network or prepared.networks),
        minimal=args.minimal,
        flavour=args.flavour,
        frames=args.frames,
        soak_seconds=args.soak,
        seconds=args.seconds,
    )
    with tempfile.TemporaryDirectory(prefix="edgeseg-gpu-") as cache, _ended_by_signals():
        proof = ProofRun(prepared, options, Path(cache), _on_message)
        status = proof.run()
    _on_message(f"{proof.summary()}; wrote {args.out / JSON_NAME} and {PAGE_NAME}")
    if status == NO_GPU:
        print(f"{_PROG}: {printable(proof.why_not)}", file=sys.stderr)
    return status


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Makes SIGTERM and SIGHUP end the proof like Ctrl-C: the running step is killed, and the report is written."""

    def end(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    previous: list[tuple[signal.Signals, Callable[[int, FrameType | None], object] | int | None]] = [
        (number, signal.signal(number, end)) for number in ending_signals()
    ]
    try:
        yield
    finally:
        for number, handler in previous:
            signal.signal(number, handler)


def _on_message(line: str) -> None:
    print(printable(line), flush=True)
