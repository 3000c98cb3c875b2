from __future__ import annotations

import errno

import cv2
import pytest
from edgeseg.core.errors import MissingDependencyError
from edgeseg.core.no_memory import why_no_memory


def raised_from(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), "an allocation failed"),
        (MemoryError("Unable to allocate 3.9 GiB"), "Unable to allocate 3.9 GiB"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "Cannot allocate memory"),
        (
            ImportError("libx.so: failed to map segment from shared object"),
            "libx.so: failed to map segment from shared object",
        ),
        (RuntimeError("can't start new thread"), "can't start new thread"),
        (RuntimeError("std::bad_alloc"), "std::bad_alloc"),
        (
            cv2.error("Insufficient memory: Failed to allocate\n 9 bytes"),
            "Insufficient memory: Failed to allocate 9 bytes",
        ),
        (
            raised_from(
                MissingDependencyError("x", "y", "z"), ImportError("x: cannot allocate memory in static TLS")
            ),
            "x: cannot allocate memory in static TLS",
        ),
    ],
)
def test_memory_that_is_short_is_told_in_the_librarys_words(error: Exception, reason: str) -> None:
    assert why_no_memory(error) == reason


@pytest.mark.parametrize(
    "error",
    [
        ValueError("out of memory"),
        ImportError("no module named x"),
        OSError(errno.EIO, "x"),
        RuntimeError("a bug"),
        raised_from(ValueError("x"), KeyError("y")),
    ],
)
def test_other_errors_are_others(error: Exception) -> None:
    assert why_no_memory(error) == ""
