"""The findings as text for a terminal of 80 columns, and as JSON for scripts."""

from __future__ import annotations

import textwrap
from typing import Any

from ...core.printable import printable
from .diagnosis import Diagnosis, Severity
from .examine import Findings
from .summary import summarize

SCHEMA = 1
"""Version of the JSON. It rises when a key is removed or changes its meaning; new keys may come at any time."""

_COLUMNS = 80
_MARK_WIDTH = 9
_LABEL_WIDTH = 17
_COLOURS: dict[Severity, str] = {"ok": "32", "note": "2", "missing": "33", "problem": "31"}


def as_text(findings: Findings, coloured: bool = False) -> str:
    """The report for a reader. Each command is on one line of its own, ready to copy."""
    lines = []
    for probe, all_of_it in findings.items():
        shown = [finding for finding in all_of_it if not finding.quiet]
        if shown:
            lines += [probe.title, *(line for one in shown for line in _finding(one, coloured)), ""]
    conclusion = summarize(finding for some in findings.values() for finding in some).text
    return "\n".join([*lines, *textwrap.wrap(conclusion, _COLUMNS)])


def as_json(findings: Findings) -> dict[str, Any]:
    """The report for scripts.

    Returns:
        ``schema``; ``can``: the functions, by name, True if they work; ``summary``: in words; ``findings``: by key,
        each with its section, label, status (``ok``, ``note``, ``missing``, ``problem``), text, purpose, commands and
        facts.
    """
    everything = [(probe, finding) for probe, some in findings.items() for finding in some]
    summary = summarize(finding for _, finding in everything)
    return {
        "schema": SCHEMA,
        "can": dict(summary.can),
        "summary": summary.text,
        "findings": {
            finding.key: {
                "section": probe.title,
                "label": finding.label,
                "status": finding.status,
                "text": finding.text,
                "needed_for": finding.needed_for,
                "fix": list(finding.fix),
                "facts": dict(finding.facts),
            }
            for probe, finding in everything
        },
    }


def _finding(finding: Diagnosis, coloured: bool) -> list[str]:
    mark = f"{finding.status:{_MARK_WIDTH}}"
    if coloured:
        mark = f"\x1b[{_COLOURS[finding.status]}m{mark}\x1b[0m"
    indent = " " * (2 + _MARK_WIDTH + _LABEL_WIDTH)
    width = _COLUMNS - len(indent)
    text, *more = textwrap.wrap(printable(finding.text), width, break_on_hyphens=False) or [""]
    lines = [
        f"  {mark}{printable(finding.label):{_LABEL_WIDTH}}{text}".rstrip(),
        *(indent + line for line in more),
    ]
    if finding.needed_for and finding.status in ("missing", "problem"):
        wanted = textwrap.wrap(f"needed for {finding.needed_for}", width, break_on_hyphens=False)
        lines += [indent + line for line in wanted]
    return [*lines, *(f"{' ' * (2 + _MARK_WIDTH)}$ {printable(command)}" for command in finding.fix)]
