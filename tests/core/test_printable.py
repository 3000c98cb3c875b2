from __future__ import annotations

import pytest
from edgeseg.core.printable import printable, printable_lines


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain — é 日本\tx", "plain — é 日本\tx"),
        ("a\x1b[2Kb", r"a\x1b[2Kb"),
        ("a\r\nb", r"a\r\nb"),
        ("\x00\x7f\x9b31m", r"\x00\x7f\x9b31m"),
        ("x\u2028y\u2029", r"x\u2028y\u2029"),
        ("user\u202egnp.exe", r"user\u202egnp.exe"),
        ("caf\udce9", r"caf\udce9"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
        ("می‌خواهم 👩‍🚒", "می‌خواهم 👩‍🚒"),
    ],
)
def test_foreign_text_does_nothing_but_be_read(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(printable(text)) == shown
    printable(text).encode("utf-8")


def test_lines_of_our_own_stay() -> None:
    assert printable_lines("a\n  b\x1b[31m\r") == "a\n  b\\x1b[31m\\r"
