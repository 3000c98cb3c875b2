"""Build options that no TensorRT takes."""

from __future__ import annotations

from typing import Any

import pytest
from edgeseg.core.errors import UsageError
from edgeseg.runtime.tensorrt.options import BuildOptions


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"batch": (0, 1)}, r"batch 0\.\.1: expected 1 or more"),
        ({"batch": (8, 1)}, r"batch 8\.\.1: expected .* the smaller one first"),
        ({"frame_size_hw": (0, 4)}, "frame size 0x4: expected a height and width of 1 pixel or more"),
        ({"dla_core": -1}, "DLA core -1: expected 0 or more"),
        ({"workspace_bytes": 0}, "workspace of 0 bytes: expected 1 or more"),
        ({"optimization_level": 6}, "optimization level 6: expected 0 to 5"),
    ],
)
def test_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        BuildOptions(**given)


def test_static() -> None:
    assert BuildOptions().static
    assert BuildOptions(batch=(4, 4)).static
    assert not BuildOptions(batch=(1, 4)).static
