"""The exclusion list as a text file with one operator on each line, to read, edit and pass back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..core.errors import DataError
from ..core.files import read_text
from ..core.outputs import write_atomically
from .graph import Graph


def write_exclusions(
    path: Path, graph: Graph, target: str, excluded: Sequence[str], errors: Mapping[str, float]
) -> None:
    """Writes a list, with a description of each operator.

    Args:
        path: the file.
        graph: has the operators.
        target: of the variant, for the heading.
        excluded: names, in the order of the file.
        errors: by name, the relative logit error if only this operator is quantized; some names may have none.

    Raises:
        OutputError: the file cannot be written.
    """
    total = sum(operator.macs for operator in graph.operators.values())
    lines = [
        f"# Convolutions that stay in float in the int8-{target} variant.",
        "# One a line; edit it and pass it back with --exclude.",
    ]
    for name in excluded:
        operator = graph.operators[name]
        error = f", alone {100 * errors[name]:.2f} % of logit error" if name in errors else ""
        lines.append(
            f"{name:16} # {operator.description}, {100 * operator.macs / total:.1f} % of the work{error}"
        )
    write_atomically(path, ("\n".join(lines) + "\n").encode(), force=True)


def read_exclusions(path: Path, graph: Graph) -> tuple[str, ...]:
    """Reads a list.

    Args:
        path: the file; text after a ``#`` is a comment.
        graph: has the operators that the list may name.

    Raises:
        DataError: the file cannot be read, or names an operator that the graph lacks; the message gives the line.
    """
    names = []
    for number, line in enumerate(read_text(path, "the exclusion list").splitlines(), 1):
        name = line.partition("#")[0].strip()
        if name and name not in graph.operators:
            raise DataError(
                f"{path}, line {number}: the graph has no convolution {name!r};"
                f" expected names such as {', '.join(list(graph.operators)[:2])}"
            )
        if name:
            names.append(name)
    return tuple(dict.fromkeys(names))
