"""One step in its own process: ``python -m edgeseg.benchmarks.gpu.child ORDER RESULT``.

The result is written each time the step adds facts, so that it exists even if the process is killed.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from pathlib import Path
from typing import Any

from ...core.errors import EdgesegError
from .order import FAILED, NOT_RUN, PASSED, NotRunError, StepOrder, first_line, write_json
from .prepared import use_packages

_UNKNOWN = 3


def run_order(order: StepOrder, result: Path) -> dict[str, Any]:
    """Runs a step in this process, writes its outcome, and returns it."""
    record: dict[str, Any] = {"outcome": FAILED, "why": "it has not ended", "result": {}}

    def note(**facts: Any) -> None:
        record["result"].update(facts)
        write_json(result, record)

    try:
        note()
        if order.prepared:
            use_packages(Path(order.prepared))
        step = getattr(importlib.import_module(order.module), order.function)
        step(order, note)
        record.update(outcome=PASSED, why="")
    except NotRunError as error:
        record.update(outcome=NOT_RUN, why=first_line(error))
    except EdgesegError as error:
        record.update(outcome=FAILED, why=first_line(error))
    except Exception as error:
        # A fault in our code or in a library: the report has one line, and the log has the traceback.
        traceback.print_exc()
        place = traceback.extract_tb(error.__traceback__)[-1]
        record.update(
            outcome=FAILED,
            why=f"{type(error).__name__}: {first_line(error)} ({Path(place.filename).name}:{place.lineno})",
        )
    note()
    return record


def main() -> int:
    """Runs the order; returns 0 if there is an outcome, passed or not."""
    if len(sys.argv) != 3:
        print("usage: python -m edgeseg.benchmarks.gpu.child ORDER RESULT", file=sys.stderr)
        return _UNKNOWN
    run_order(StepOrder.from_json(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
