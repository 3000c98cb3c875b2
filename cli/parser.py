"""The parser of a verb's flags, with error messages of one line."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Iterator, Sequence
from typing import NoReturn

from ..core.errors import UsageError


class VerbParser(argparse.ArgumentParser):
    """A parser that raises UsageError with one line. Argparse itself would print all flags and end the program."""

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
            UsageError: a flag is neither one of the parser's nor the beginning of one.
        """
        words = argv[: argv.index("--")] if "--" in argv else argv
        if "-h" in words or "--help" in words:
            return
        known = set(self._flags())
        unknown = []
        for flag in (word.partition("=")[0] for word in words if word.startswith("--")):
            # A value may begin with dashes. A blank in it shows that it is not a flag.
            if " " in flag or any(each.startswith(flag) for each in known):
                continue
            near = difflib.get_close_matches(flag, sorted(known), n=1, cutoff=0.7)
            unknown.append(f"{flag} (did you mean {near[0]}?)" if near else flag)
        if unknown:
            self.error(f"unrecognized arguments: {', '.join(unknown)}")

    def _flags(self) -> Iterator[str]:
        for action in self._actions:
            yield from action.option_strings
            if isinstance(action, argparse._SubParsersAction):
                for parser in action.choices.values():
                    yield from parser._flags()
