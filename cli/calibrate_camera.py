"""``edgeseg calibrate-camera``: a camera's calibration from images of a chessboard."""

from __future__ import annotations

import argparse
import math
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import UsageError
from ..core.printable import printable, printable_lines

if TYPE_CHECKING:
    from ..embedding.camera.chessboard import Chessboard, FoundViews
    from ..embedding.camera.fit import CameraFit

_UNITS_M = {"mm": 1e-3, "cm": 1e-2, "m": 1.0}
_LENGTH = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>mm|cm|m)", re.ASCII)
_BOARD = re.compile(r"(\d{1,3})x(\d{1,3})", re.ASCII)
_LEAST_COVERAGE = 0.5
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}", re.ASCII)


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of ``edgeseg calibrate-camera``."""
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="images of the board: a folder, a glob in quotes, or a film; of one camera in the mode that will run",
    )
    parser.add_argument(
        "--board",
        required=True,
        metavar="CxR",
        help="its inner corners, such as 9x6 for a board of 10 x 7 squares",
    )
    parser.add_argument("--square", required=True, metavar="LENGTH", help="side of a square, such as 25mm")
    parser.add_argument("--fisheye", action="store_true", help="fit a fisheye; default: Brown's distortion")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE.yaml", help="the calibration, as ROS has it"
    )
    parser.add_argument("--sheet", type=Path, metavar="FILE.png", help="draw the corners that were found")
    parser.add_argument("--name", default="camera", help="of the camera, in the file; default: %(default)s")
    parser.add_argument(
        "--most-error",
        type=float,
        default=1.0,
        metavar="PX",
        help="the largest error that is accepted, in pixels; default: %(default)s",
    )
    parser.add_argument("--force", action="store_true", help="replace files that are there")


def run(args: argparse.Namespace) -> int:
    """Calibrates, prints what was found, and writes; returns 0."""
    from ..core.outputs import prepare_output, write_atomically
    from ..embedding.camera.chessboard import collect_views
    from ..embedding.camera.file import write_camera
    from ..embedding.camera.fit import fit_camera
    from ..embedding.camera.sheet import calibration_sheet
    from ..runtime.sources import open_source

    board = _board(args.board, args.square)
    if not 0 < args.most_error <= 100:
        raise UsageError(f"--most-error {args.most_error:g}: expected more than 0 and at most 100 pixels")
    if not _NAME.fullmatch(args.name):
        raise UsageError(f"--name {args.name!r}: expected letters, digits, and the signs _ . -")
    out = _output("--out", args.out, (".yaml", ".yml"))
    sheet = None if args.sheet is None else _output("--sheet", args.sheet, (".png",))
    for path in filter(None, (out, sheet)):
        prepare_output(path, args.force)
    with open_source(args.source) as source:
        found = collect_views(source, board, _progress)
    fit = fit_camera(found, board, "fisheye" if args.fisheye else "brown", args.most_error)
    print(printable_lines(report(found, fit)))
    if sheet is not None:
        import cv2

        _, data = cv2.imencode(".png", calibration_sheet(fit, board))
        write_atomically(sheet, data.tobytes(), args.force)
        print(f"wrote {printable(str(sheet))}")
    write_camera(out, fit.camera, args.name)
    print(f"wrote {printable(str(out))}")
    return 0


def _output(option: str, path: Path, suffixes: tuple[str, ...]) -> Path:
    if path.suffix.lower() not in suffixes:
        raise UsageError(f"{option} {path}: expected a name that ends with {suffixes[0]}")
    return path


def _board(corners: str, square: str) -> Chessboard:
    from ..embedding.camera.chessboard import Chessboard

    sides = _BOARD.fullmatch(corners)
    if sides is None:
        raise UsageError(f"--board {corners}: expected inner corners such as 9x6")
    length = _LENGTH.fullmatch(square)
    if length is None:
        raise UsageError(f"--square {square}: expected a length with its unit, such as 25mm, 2.5cm or 0.025m")
    return Chessboard(int(sides[1]), int(sides[2]), float(length["number"]) * _UNITS_M[length["unit"]])


def _progress(frames: int, views: int) -> None:
    if frames % 10 == 0:
        print(f"… {frames} frames, {views} views of the board that differ", file=sys.stderr, flush=True)


def report(found: FoundViews, fit: CameraFit) -> str:
    """Returns what was found, as text."""
    camera = fit.camera
    height, width = camera.size_hw
    degrees = 2 * math.degrees(math.atan(width / 2 / camera.fx)) if camera.model == "brown" else None
    view = "" if degrees is None else f", {degrees:.1f} degrees wide"
    lines = [
        f"frames       {found.frames}, of which {found.with_board} show the whole board; {len(fit.views)} views used",
        f"error        {fit.error_px:.3f} px, at worst {max(fit.view_errors_px):.3f} px in"
        f" {fit.views[fit.view_errors_px.index(max(fit.view_errors_px))].name}",
        f"camera       {width} x {height}, {camera.model}{view}",
        f"focal length {camera.fx:.2f}, {camera.fy:.2f} px, known to {fit.focal_error:.2%}",
        f"centre       {camera.cx:.2f}, {camera.cy:.2f} px",
        f"distortion   {', '.join(f'{value:.5f}' for value in camera.distortion)}",
        f"board        {fit.distances_m[0]:.2f} to {fit.distances_m[1]:.2f} m away, in {fit.coverage:.0%} of the frame",
    ]
    if fit.left_out:
        lines.append(f"left out     {', '.join(fit.left_out)}: they fit none of the others")
    if fit.coverage < _LEAST_COVERAGE:
        lines.append(
            "note         corners were seen in little of the frame: the distortion towards its edges is a guess"
        )
    return "\n".join(lines)
