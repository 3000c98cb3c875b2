"""``--config camera.toml``: a file that gives values for a verb's flags.

The form is flat: each key is a flag without its dashes, and each value is the flag's value. A flag that may be
repeated has a list; a flag without a value has ``true`` or ``false``. Flags on the command line override the
file. Relative paths start at the working directory, as in flags.
"""

from __future__ import annotations

import argparse
import copy
import difflib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from ..core.errors import EdgesegError, UsageError
from ..core.files import read_text
from ..core.toml import parse_toml
from .parser import end_of_flags

_MOST_BYTES = 1 << 20
_NOT_IN_A_FILE = ("--config", "--help", "--version")
_EXPECTED = {int: "a whole number", float: "a number"}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds ``--config``."""
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE.toml",
        help="take options from a file, `frames = 100` for `--frames 100`; those given here win",
    )


def parse_with_config(parser: argparse.ArgumentParser, argv: Sequence[str]) -> argparse.Namespace:
    """Parses a command line, with the file of ``--config`` if the parser has that option.

    Args:
        parser: of the verb.
        argv: the words after the verb.

    Raises:
        UsageError: the file cannot be read, or has a key or value that the parser does not accept.
        SystemExit: as ``parser.parse_args``.
    """
    words = list(argv)
    end = end_of_flags(parser, words)
    given = _flags_of(parser, words[: end + 1])
    if "--config" not in given:
        return parser.parse_args(words)
    path = _config_path(parser, words[:end])
    if path is None:
        return parser.parse_args(words)
    keys = _keys_of(parser)
    from_file: list[str] = []
    last: list[str] = []
    for key, value in _read(path).items():
        if key not in keys:
            raise UsageError(f"{path}: there is no option {key!r}; {_nearest(key, keys)}")
        action = keys[key]
        tokens = _tokens(path, key, action, value)
        if given & _settled_by(parser, action):
            continue
        if action.nargs == argparse.REMAINDER:
            last = tokens
        else:
            from_file += tokens
    return parser.parse_args([*words[:end], *from_file, *last, *words[end:]])


def _flags_of(parser: argparse.ArgumentParser, words: Sequence[str]) -> set[str]:
    """The flags of a command line, each with its other forms."""
    known = parser._option_string_actions
    flags = {word.partition("=")[0] for word in words}
    return {form for flag in flags & known.keys() for form in known[flag].option_strings}


def _config_path(parser: argparse.ArgumentParser, words: Sequence[str]) -> Path | None:
    """The last ``--config``; None if its value is missing, which the parser then reports."""
    path = None
    for index, word in enumerate(words):
        flag, equals, value = word.partition("=")
        if not flag.startswith("--") or "--config" not in _flags_of(parser, [flag]):
            continue
        if not equals:
            value = words[index + 1] if index + 1 < len(words) else "-"
        path = Path(value) if equals or not value.startswith("-") else None
    return path


def _keys_of(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    """The keys that a file may set: the flags of a parser, without their dashes."""
    return {
        flag[2:]: action
        for flag, action in parser._option_string_actions.items()
        if flag.startswith("--")
        and flag not in _NOT_IN_A_FILE
        and not (isinstance(action, argparse.BooleanOptionalAction) and flag.startswith("--no-"))
    }


def _settled_by(parser: argparse.ArgumentParser, action: argparse.Action) -> set[str]:
    """The flags that override an action: its own, and those that exclude it."""
    flags = set(action.option_strings)
    for group in parser._mutually_exclusive_groups:
        if action in group._group_actions:
            flags.update(flag for each in group._group_actions for flag in each.option_strings)
    return flags


def _read(path: Path) -> Mapping[str, Any]:
    text = read_text(path, "--config", most_bytes=_MOST_BYTES, error=UsageError)
    return parse_toml(text, f"--config {path}")


def _nearest(key: str, keys: Mapping[str, argparse.Action]) -> str:
    plain = key.strip().lstrip("-").replace("_", "-").lower()
    near = difflib.get_close_matches(plain, keys, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else "the options are those of --help, without their dashes"


class _Checker(argparse.ArgumentParser):
    """A parser of one option that raises an error instead of ending the program."""

    def error(self, message: str) -> NoReturn:
        raise argparse.ArgumentError(None, message)


def _tokens(path: Path, key: str, action: argparse.Action, value: object) -> list[str]:
    """The words that give a value on the command line, checked by argparse's own rules."""
    where = f"{path}: {key} = {_shown(value)}"
    flag = f"--{key}"
    if isinstance(value, Mapping):
        raise UsageError(f"{path}: [{key}] is a table; expected no tables: one line `option = value` each")
    if action.nargs == 0 or isinstance(action, argparse.BooleanOptionalAction):
        if not isinstance(value, bool):
            raise UsageError(f"{where}: expected true or false")
        if isinstance(action, argparse.BooleanOptionalAction):
            return [flag if value else f"--no-{key}"]
        return [flag] if value else []
    repeated = isinstance(action, (argparse._AppendAction, argparse._ExtendAction))
    several = action.nargs not in (None, "?")
    if isinstance(value, list) and not (repeated or several):
        raise UsageError(f"{where}: expected one value, not a list")
    words = [_word(where, action, each) for each in (value if isinstance(value, list) else [value])]
    tokens = [flag, *words] if several else [f"{flag}={word}" for word in words]
    if not words:
        return []
    checker = _Checker(add_help=False, exit_on_error=False, allow_abbrev=False)
    checker._add_action(copy.copy(action))
    try:
        checker.parse_args(tokens)
    except argparse.ArgumentError as error:
        raise UsageError(f"{where}: {_complaint(action, error.message)}") from error
    except EdgesegError as error:
        raise UsageError(f"{where}: {error}") from error
    return tokens


def _word(where: str, action: argparse.Action, value: object) -> str:
    if isinstance(value, str):
        if "\0" in value:
            raise UsageError(f"{where}: holds a NUL, which no option can")
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    expected = _EXPECTED.get(action.type, "a text or a number") if isinstance(action.type, type) else "a text"
    raise UsageError(f"{where}: expected {expected}")


def _complaint(action: argparse.Action, message: str) -> str:
    if action.choices is not None:
        return f"expected one of {', '.join(str(choice) for choice in action.choices)}"
    if message.startswith("invalid ") and isinstance(action.type, type) and action.type in _EXPECTED:
        return f"expected {_EXPECTED[action.type]}"
    return message


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, (str, bool)) else str(value)
    return text if len(text) <= 60 else text[:57] + "…"
