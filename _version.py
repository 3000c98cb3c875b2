"""The version, in one place, so that nothing has to ask the package above it."""

__version__ = "0.1.0"
