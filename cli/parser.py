"""The parser of a verb's flags, with error messages of one line."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from ..core.errors import UsageError


class VerbParser(argparse.ArgumentParser):
    """A parser that raises UsageError with one line. Argparse itself would print all flags and end the program.

    A flag has to be written in full. An abbreviation would change its meaning when a verb gets another flag, and
    ``--frame`` would mean ``--frames`` in one verb and a size in another.

    Args:
        options: as for :class:`argparse.ArgumentParser`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **options})

    def error(self, message: str) -> NoReturn:
        """Refuses a command line.

        Raises:
            UsageError: always.
        """
        raise UsageError(f"{' '.join(message.split())}; see {self.prog} --help")

    def refuse_unknown_flags(self, argv: Sequence[str]) -> None:
        """Refuses unknown flags and suggests similar ones, before argparse reports missing required flags.

        Args:
            argv: the words after the verb.

        Raises:
            UsageError: a flag is none of the parser's.
        """
        words = argv[: end_of_flags(self, argv)]
        if "-h" in words or "--help" in words:
            return
        known = set(self._flags())
        unknown = []
        for flag in (word.partition("=")[0] for word in words if word.startswith("--")):
            # A value may begin with dashes. A blank in it shows that it is not a flag.
            if " " in flag or flag == "--" or flag in known:
                continue
            near = _nearest(flag, sorted(known))
            unknown.append(f"{flag} (did you mean {near}?)" if near else flag)
        if unknown:
            self.error(f"unrecognized arguments: {', '.join(unknown)}")

    def _flags(self) -> Iterator[str]:
        for action in self._actions:
            yield from action.option_strings
            if isinstance(action, argparse._SubParsersAction):
                for parser in action.choices.values():
                    yield from parser._flags()


def end_of_flags(parser: argparse.ArgumentParser, words: Sequence[str]) -> int:
    """Returns the index from which words are none of a verb's: of ``--``, or of a flag that takes all that follow."""
    takes_all = {
        flag for flag, action in parser._option_string_actions.items() if action.nargs == argparse.REMAINDER
    }
    ends = (index for index, word in enumerate(words) if word == "--" or word in takes_all)
    return next(ends, len(words))


def _nearest(flag: str, known: Sequence[str]) -> str:
    """The flag that was probably meant: the only one that begins so, else the most similar one; empty if none."""
    longer = [each for each in known if each.startswith(flag)]
    near = longer if len(longer) == 1 else difflib.get_close_matches(flag, known, n=1, cutoff=0.7)
    return near[0] if near else ""
