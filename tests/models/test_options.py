"""Network options from the command line."""

from __future__ import annotations

import pytest
from edgeseg.cli.network_options import parse_options
from edgeseg.core.errors import UsageError


def test_values_are_json_or_text() -> None:
    assert parse_options(["width=32", "batch_norm=false", "up=bilinear", "x=a=b"]) == {
        "width": 32, "batch_norm": False, "up": "bilinear", "x": "a=b",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (["width"], "--option width: expected KEY=VALUE"),
        (["=3"], "expected KEY=VALUE"),
        (["a=1", "a=2"], "given twice"),
    ],
)
def test_refusals(pairs: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_options(pairs)
