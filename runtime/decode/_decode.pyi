from typing import Any

import numpy.typing as npt

Buffer = npt.NDArray[Any]

def best(
    logits: Buffer, classes: int, start: int, stop: int, class_step: int, position_step: int, out: Buffer, /
) -> bool: ...
def cells(
    logits: Buffer,
    classes: int,
    height: int,
    width: int,
    class_step: int,
    position_step: int,
    coarse: Buffer | None,
    row_cells: Buffer,
    row_weight: Buffer,
    column_cells: Buffer,
    column_weight: Buffer,
    start: int,
    stop: int,
    out: Buffer,
    /,
) -> int: ...
