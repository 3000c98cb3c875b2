"""The split of images into train and val, which keeps images of one group together."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

import numpy as np

from ..core.errors import UsageError

GroupOf = Callable[[str], str]
"""A function from an image's id to its group."""

_PREFIX = re.compile(r"prefix:([1-9]\d{0,2})", re.ASCII)
_MOST_PATTERN = 1000


def parse_group(text: str) -> GroupOf:
    """Reads ``folder``, ``prefix:N`` or a regular expression.

    A regular expression groups images by the match of its first parentheses, or else by its whole match.

    Raises:
        UsageError: it is none of them.
    """
    if text == "folder":
        return lambda name: str(PurePosixPath(name).parent)
    prefix = _PREFIX.fullmatch(text)
    if prefix:
        return lambda name: PurePosixPath(name).name[: int(prefix[1])]
    if text.startswith("prefix:") or not text or len(text) > _MOST_PATTERN:
        raise UsageError(
            f"--group {text[:40]!r}: expected folder, prefix:N with N from 1, or a regular expression"
        )
    try:
        pattern = re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise UsageError(f"--group {text!r} is no regular expression: {error}") from error

    def by_pattern(name: str) -> str:
        match = pattern.search(name)
        if match is None:
            return f"alone: {name}"
        return (match[1] or "") if pattern.groups else match[0]

    return by_pattern


def check_share(share: float) -> None:
    """Refuses a share of images for val that leaves one of the two splits empty.

    Raises:
        UsageError: it is not above 0 and below 1.
    """
    if not (math.isfinite(share) and 0 < share < 1):
        raise UsageError(f"--val {share}: expected a share above 0 and below 1, such as 0.2")


def choose_val(names: Sequence[str], share: float, group_of: GroupOf | None, seed: int) -> set[str]:
    """Chooses the images for val.

    Args:
        names: ids of all images.
        share: of them that go to val.
        group_of: images of a group stay together, and groups are drawn at random. If None, the last images by name are
            chosen: neighbours in a video are similar, so a random choice would measure on images like those of train.
        seed: of the draw.

    Returns:
        The ids for val: at least one, but not all.

    Raises:
        UsageError: there are fewer than two images, or groups.
    """
    ordered = sorted(set(names))
    if group_of is None:
        if len(ordered) < 2:
            raise UsageError(
                f"{len(ordered)} images cannot be split into train and val; expected two or more"
            )
        count = min(max(round(len(ordered) * share), 1), len(ordered) - 1)
        return set(ordered[-count:])
    groups: dict[str, list[str]] = {}
    for name in ordered:
        groups.setdefault(group_of(name), []).append(name)
    if len(groups) < 2:
        raise UsageError(
            f"--group puts all {len(ordered)} images into one group; expected two or more: take another one"
        )
    wanted = len(ordered) * share
    keys = sorted(groups)
    drawn = [groups[keys[at]] for at in np.random.Generator(np.random.PCG64(seed)).permutation(len(keys))]
    chosen: set[str] = set()
    for members in drawn:
        if abs(len(chosen) + len(members) - wanted) <= abs(len(chosen) - wanted):
            chosen.update(members)
    if not chosen or len(chosen) == len(ordered):
        sizes = [len(members) for members in drawn]
        chosen = set(drawn[sizes.index(min(sizes))])
    return chosen
