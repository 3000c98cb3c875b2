"""A file of kernel timings, so that the next build on the same GPU need not measure them again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...core.errors import OutputError
from ...core.files import read_regular
from ...core.outputs import prepare_output, write_atomically
from .messages import Messages

_MOST_BYTES = 1 << 30


def read_timing_cache(config: Any, path: Path, messages: Messages) -> bool:
    """Gives a builder's configuration the timings of a file; none if the file is missing, broken or of another device.

    Args:
        config: the builder's.
        path: the file.
        messages: gets the warning that a file is ignored.

    Returns:
        True if the build's timings may be written there: never over a file with other contents.

    Raises:
        OutputError: the file cannot be read, or could not be written afterwards.
    """
    prepare_output(path, force=True)
    try:
        data = read_regular(path, _MOST_BYTES) if path.exists() else b""
    except OSError as error:
        raise OutputError(f"cannot read the timing cache {path}: {error.strerror}") from error
    # TensorRT's errors here are about an ignored file. They must not appear as the cause of a later failure.
    before = list(messages.errors)
    cache = config.create_timing_cache(data)
    complaints = [line for line in messages.errors if line not in before]
    if cache is not None and not complaints and config.set_timing_cache(cache, False):
        return True
    complaints = [line for line in messages.errors if line not in before]
    messages.errors[:] = before
    reason = "; ".join(complaints)
    messages.add_warning(
        f"{path} holds no timings of this TensorRT and device, and stays as it is; remove it, or name another file"
        + (f" ({reason})" if reason else "")
    )
    config.set_timing_cache(config.create_timing_cache(b""), False)
    return False


def write_timing_cache(config: Any, path: Path) -> None:
    """Writes a build's timings, whole or not at all.

    Raises:
        OutputError: the file cannot be written.
    """
    write_atomically(path, bytes(config.get_timing_cache().serialize()), force=True)
