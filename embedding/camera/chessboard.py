"""Views of a chessboard: its corners in frames, and the choice of views that differ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from ...core.arrays import Doubles, Floats, Frame
from ...core.errors import DataError, UsageError
from ...core.source import Source

_MOST_VIEWS = 60
"""More take minutes to solve, and add nothing."""
_MOST_FRAMES = 2000
_DIFFERS = 0.02
"""Two views differ if their corners are that far apart on average, as a share of the frame's diagonal."""
_FILM_STEP_S = 0.25
_WINDOW = 0.4
"""Half the side of the window in which a corner is refined, as a share of the shortest side of a square."""
_MOST_SIDE_PX = 960
"""Boards are looked for in smaller frames first, because looking for one that is not there takes long."""


@dataclass(frozen=True)
class Chessboard:
    """A chessboard.

    Attributes:
        columns, rows: *inner* corners along each side: a board of 10 x 7 squares has 9 x 6.
        square_m: side of a square.
    """

    columns: int
    rows: int
    square_m: float

    def __post_init__(self) -> None:
        if not (3 <= self.columns <= 100 and 3 <= self.rows <= 100):
            raise UsageError(
                f"a board of {self.columns} x {self.rows} inner corners; expected 3 to 100 along each side: a board of"
                " 10 x 7 squares has 9 x 6"
            )
        if not 1e-4 <= self.square_m <= 10:
            raise UsageError(f"squares of {self.square_m:g} m; expected 0.0001 to 10 metres, such as 25mm")

    @property
    def points(self) -> Doubles:
        """The corners on the board, float64 [columns * rows, 3], in metres."""
        grid = np.mgrid[0 : self.columns, 0 : self.rows].T.reshape(-1, 2)
        return np.column_stack([grid * self.square_m, np.zeros(len(grid))])


@dataclass(frozen=True, eq=False)
class BoardView:
    """A frame that shows the whole board.

    Attributes:
        name: of the frame.
        corners: float32 [N, 2], columns and rows in pixels, in the order of the board's points.
        frame_bgr: uint8 [H, W, 3].
    """

    name: str
    corners: Floats
    frame_bgr: Frame


@dataclass(frozen=True)
class FoundViews:
    """The views that were chosen from a source.

    Attributes:
        views: they differ from each other.
        frames: number of frames that were looked at.
        with_board: number of those that show the whole board.
        size_hw: of all of them.
    """

    views: tuple[BoardView, ...]
    frames: int
    with_board: int
    size_hw: tuple[int, int]


def find_board(frame_bgr: Frame, board: Chessboard) -> Floats | None:
    """Finds the corners of a board, to a fraction of a pixel.

    Args:
        frame_bgr: uint8 [H, W, 3].
        board: the board.

    Returns:
        float32 [N, 2]; None if the frame does not show the whole board.
    """
    grey = cv2.cvtColor(frame_bgr, cv2.COLOR_BGR2GRAY)
    size = (board.columns, board.rows)
    scale = min(1.0, _MOST_SIDE_PX / max(grey.shape))
    if scale < 1:
        small = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        if not cv2.findChessboardCornersSB(small, size, flags=cv2.CALIB_CB_NORMALIZE_IMAGE)[0]:
            return None
    found, corners = cv2.findChessboardCornersSB(grey, size, flags=cv2.CALIB_CB_NORMALIZE_IMAGE)
    if not found:
        return None
    # On rendered boards, this brings the corners from 0.15 pixels to 0.04. The window stays within the squares around.
    grid = corners.reshape(board.rows, board.columns, 2)
    side = min(float(np.linalg.norm(np.diff(grid, axis=axis), axis=-1).min()) for axis in (0, 1))
    window = int(np.clip(_WINDOW * side, 2, 11))
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_MAX_ITER, 50, 1e-3)
    start = np.ascontiguousarray(corners, np.float32)
    refined = cv2.cornerSubPix(grey, start, (window, window), (-1, -1), criteria)
    return np.asarray(refined, np.float32).reshape(-1, 2)


def collect_views(
    source: Source, board: Chessboard, on_progress: Callable[[int, int], None] = lambda frames, views: None
) -> FoundViews:
    """Looks for a board in all frames of a source, of a film in four a second, and keeps the views that differ.

    Args:
        source: images or a film.
        board: the board.
        on_progress: gets the numbers of frames and of views so far.

    Raises:
        UsageError: the source is live, shows no frame, or does not end.
        DataError: the frames are of several sizes.
    """
    if source.live:
        raise UsageError(
            f"{source.name} is live and has no end; record a film or take images of the board, and give those"
        )
    views: list[BoardView] = []
    frames = with_board = 0
    size_hw: tuple[int, int] | None = None
    next_at = -np.inf
    while (frame_bgr := source.read()) is not None:
        at = source.frame_time_s
        if at is not None:
            if at < next_at:
                continue
            next_at = at + _FILM_STEP_S
        frames += 1
        if frames > _MOST_FRAMES:
            raise UsageError(
                f"{source.name} has more than {_MOST_FRAMES} frames; expected images of a board, or a film of up to"
                f" {_MOST_FRAMES * _FILM_STEP_S / 60:.0f} minutes"
            )
        here = (frame_bgr.shape[0], frame_bgr.shape[1])
        if size_hw is not None and here != size_hw:
            raise DataError(
                f"{source.frame_name or source.name} is {here[1]} x {here[0]}, those before it {size_hw[1]} x "
                f"{size_hw[0]}; expected images of one camera in one mode"
            )
        size_hw = here
        corners = find_board(frame_bgr, board)
        if corners is not None:
            with_board += 1
            if len(views) < _MOST_VIEWS and _differs(corners, views, here):
                name = source.frame_name or (f"{at:.2f} s" if at is not None else str(frames - 1))
                views.append(BoardView(name, corners, frame_bgr.copy()))
        on_progress(frames, len(views))
    if size_hw is None:
        raise UsageError(f"{source.name} has no frames; expected images or a film of a chessboard")
    return FoundViews(tuple(views), frames, with_board, size_hw)


def _differs(corners: Floats, views: list[BoardView], size_hw: tuple[int, int]) -> bool:
    least = _DIFFERS * float(np.hypot(*size_hw))
    return all(float(np.linalg.norm(corners - view.corners, axis=1).mean()) >= least for view in views)
