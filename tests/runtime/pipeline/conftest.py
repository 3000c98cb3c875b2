"""A segmenter for the tests of the pipeline, and a check that no thread outlives a test."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from edgeseg.runtime.segmenter import Segmenter


@pytest.fixture
def segmenter(bundle_folder: Path) -> Iterator[Segmenter]:
    with Segmenter(bundle_folder, threads=1) as seg:
        yield seg


@pytest.fixture
def no_thread_stays() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + 5
    while (left := set(threading.enumerate()) - before) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not left
