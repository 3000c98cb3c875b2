"""Recognises errors that mean a lack of memory, by the words of the libraries that raise them."""

from __future__ import annotations

import errno

_ERRNOS = (errno.ENOMEM,)
_WORDS = (
    "can't start new thread",
    "failed to map segment",
    "cannot allocate memory",
    "can't allocate memory",
    "cannot allocate",
    "failed to allocate memory",
    "bad_alloc",
    "bad allocation",
    "insufficient memory",
    "out of memory",
)


def why_no_memory(error: BaseException | None) -> str:
    """The library's words on a lack of memory; empty if an error has another cause.

    Args:
        error: as raised; the errors that it was raised from are searched too.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        text = " ".join(str(error).split())
        if isinstance(error, MemoryError):
            return text or "an allocation failed"
        if isinstance(error, OSError) and error.errno in _ERRNOS:
            return error.strerror or text
        known = isinstance(error, (ImportError, RuntimeError)) or type(error).__module__.startswith(
            ("cv2", "onnxruntime")
        )
        if known and any(word in text.lower() for word in _WORDS):
            return text
        error = error.__cause__ or error.__context__
    return ""
