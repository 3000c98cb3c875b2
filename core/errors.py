"""The errors that edgeseg raises on purpose.

Every message says what was wrong, what was expected and what to do. The command line prints the message
alone and exits with ``exit_status``; anything that is not an ``EdgesegError`` is a bug and keeps its traceback.
"""

from __future__ import annotations


class EdgesegError(Exception):
    """Root of every error that a user can correct."""

    exit_status = 2


class UsageError(EdgesegError):
    """A command-line option or argument has an invalid value."""


class MissingDependencyError(EdgesegError):
    """A package that an optional part needs is not installed.

    Args:
        package: the package that could not be imported.
        extra: the extra of ``edgeseg`` that brings it.
        purpose: the task that needs it, for the message.
    """

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f'{purpose} needs {package}, which is not installed: pip install "edgeseg[{extra}]"')


class DataError(EdgesegError):
    """A data set, an image, a mask or a label map is missing, malformed or inconsistent."""


class SourceError(EdgesegError):
    """A camera, video or folder of images cannot be opened or read."""


class ImageError(SourceError, DataError):
    """An image of a source or data set is missing, damaged, too large or of an unsupported form."""


class CheckpointError(EdgesegError):
    """A checkpoint cannot be read, or does not fit the network it is loaded into."""


class ModelError(EdgesegError):
    """A network is unknown, or does not accept its arguments or input size."""


class BundleError(EdgesegError):
    """A bundle is missing, altered, incomplete or written by a newer edgeseg."""


class BackendError(EdgesegError):
    """An inference backend is not available, or failed."""


class OutputError(EdgesegError):
    """A file or folder cannot be written."""


class OutputGoneError(OutputError):
    """The target of an output accepts no more data, such as a pipe whose reader has gone."""


class SessionError(EdgesegError):
    """A run began well and was ended from outside: the camera is gone for good, or the network fails repeatedly.

    What was recorded until then is kept.
    """

    exit_status = 1


class TrainingError(EdgesegError):
    """A training began well and cannot continue: its loss is not a number, or memory ran out.

    What it wrote until then is kept.
    """

    exit_status = 1


class VerificationError(EdgesegError):
    """A variant's masks depart from the PyTorch reference by more than its gates allow."""

    exit_status = 1
