"""``edgeseg data import`` and ``edgeseg data split``: conversion to VOC layout, and lists of train and val."""

from __future__ import annotations

import argparse
import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.claims import claimed
from ..core.errors import DataError, OutputError, UsageError
from ..core.outputs import check_output, discard, prepare_output
from ..core.printable import printable
from ..core.reads import Reads

if TYPE_CHECKING:
    from ..data.class_lists import NamedClass
    from ..data.imports.registry import Form
    from ..data.imports.write import Imported, Splitting

_MOST_SEED = 2**31 - 1
_MOST_SHOWN = 3
_MOST_REASONS = 20


def configure_import(parser: argparse.ArgumentParser) -> None:
    """Adds the options of ``edgeseg data import``."""
    parser.add_argument("src", type=Path, metavar="SRC", help="the data set: a folder or a zip archive")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder to create, in VOC layout"
    )
    parser.add_argument("--format", metavar="F", help="its form; default: recognised")
    parser.add_argument("--images", metavar="PATTERN", help="the images, such as 'rgb/*.png', below SRC")
    parser.add_argument("--masks", metavar="PATTERN", help="the masks")
    parser.add_argument(
        "--classes",
        type=Path,
        metavar="FILE",
        help="the classes, one a line, as name, name,r,g,b or value,name; or the word voc for PASCAL VOC's",
    )
    parser.add_argument(
        "--merge",
        action="append",
        default=[],
        metavar="A,B=C",
        help="join classes A and B as C; may be repeated",
    )
    parser.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="NAME",
        help="make a class void; may be repeated",
    )
    parser.add_argument("--force", action="store_true", help="replace an existing DIR")
    _configure_splitting(parser, None)


def configure_split(parser: argparse.ArgumentParser) -> None:
    """Adds the options of ``edgeseg data split``."""
    parser.add_argument("dir", type=Path, metavar="DIR", help="a data set in VOC layout")
    parser.add_argument("--force", action="store_true", help="replace the lists train and val")
    _configure_splitting(parser, 0.2)


def _configure_splitting(parser: argparse.ArgumentParser, default: float | None) -> None:
    default_text = "default: 0.2" if default else "default: the set's own lists, or 0.2"
    parser.add_argument(
        "--val",
        type=float,
        default=default,
        metavar="SHARE",
        help=f"share of images for val ({default_text})",
    )
    parser.add_argument(
        "--group",
        metavar="HOW",
        help="keep images together: folder, prefix:N or a regular expression (default: the last by name are val)",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="of the choice among groups; default: %(default)s",
    )


def run_import(args: argparse.Namespace) -> int:
    """Reads a data set of any form, and writes it in VOC layout."""
    from ..core.progress import ProgressLine
    from ..data.imports.archive import unpacked
    from ..data.imports.base import Asked, FileTree
    from ..data.imports.registry import FORMS, read
    from ..data.imports.target import make_target, parse_merge
    from ..data.imports.write import write_items
    from ..data.staging import new_dataset

    splitting = _splitting(args)
    parse_merge(args.merge)
    if args.format is not None and args.format not in FORMS:
        raise UsageError(f"--format {args.format!r}: expected one of {', '.join(FORMS)}")
    asked = Asked(args.images, args.masks, _classes(args.classes))
    is_archive = os.path.isfile(args.src)
    if not is_archive and not os.path.isdir(args.src):
        raise DataError(f"there is no data set {args.src}; expected a folder or a zip archive")
    reads = Reads()
    for description, path in (
        (f"the data set {args.src}", args.src),
        (f"the list of classes {args.classes}", args.classes),
    ):
        if path is not None:
            # The output may be neither inside an input nor around it: --force would delete the input.
            reads.add(description, path).add_source(description, [path], frozenset())
    with new_dataset(args.out, args.force, reads) as building, ExitStack() as stack:
        root = stack.enter_context(unpacked(args.src, building.parent)) if is_archive else args.src
        form, found = read(FileTree.of(root), args.format, asked)
        target = make_target(found.classes, args.merge, args.ignore)
        line = ProgressLine()
        result = write_items(
            building, found, target, splitting, lambda done, total: line.count(done, total, "images")
        )
    _report(args.out, form, result)
    return 0


def run_split(args: argparse.Namespace) -> int:
    """Writes the lists train and val of a data set in VOC layout."""
    from ..data.groups import choose_val
    from ..data.lists import find_split, read_split, split_names, stored_ids
    from ..data.voc import find_root

    splitting = _splitting(args)
    root = find_root(args.dir)
    folder = root / "ImageSets" / "Segmentation"
    with claimed(folder):
        there = [name for each in ("train", "val") if (name := find_split(root, each)) is not None]
        if there and not args.force:
            raise OutputError(
                f"{root} has the {'lists' if len(there) > 1 else 'list'} {' and '.join(there)} already; "
                "give --force to replace them"
            )
        rest = [name for name in split_names(root) if name not in there and name.lower() != "test"]
        ids = {name for split in (there or rest) for name in read_split(root, split)} or stored_ids(root)
        test_split = find_split(root, "test")
        if test_split:
            ids -= set(read_split(root, test_split))
        if not ids:
            raise DataError(f"{root} has no image to split")
        val = choose_val(sorted(ids), splitting.share or 0.2, splitting.group_of, splitting.seed)
        _write_lists(folder, {"train": sorted(ids - val), "val": sorted(val)})
        for name in there:
            if name not in ("train", "val"):
                check_output(folder / f"{name}.txt")
                discard(folder / f"{name}.txt")
    print(f"wrote {len(ids - val)} images to train and {len(val)} to val in {printable(str(folder))}")
    return 0


def _write_lists(folder: Path, lists: dict[str, list[str]]) -> None:
    """Writes the lists. None gets its name before all are whole on the disk."""
    partial: dict[Path, Path] = {}
    try:
        for name, ids in lists.items():
            path = folder / f"{name}.txt"
            partial[path] = prepare_output(path, force=True)
            partial[path].write_text("\n".join(ids) + "\n", encoding="utf-8")
        for path, written in partial.items():
            os.replace(written, path)
    except OSError as error:
        raise OutputError(f"cannot write the lists in {folder}: {error.strerror}") from error
    finally:
        for written in partial.values():
            discard(written)


def _splitting(args: argparse.Namespace) -> Splitting:
    from ..data.groups import check_share, parse_group
    from ..data.imports.write import Splitting

    if args.val is not None:
        check_share(args.val)
    if not 0 <= args.seed <= _MOST_SEED:
        raise UsageError(f"--seed {args.seed}: expected a whole number from 0 to {_MOST_SEED}")
    return Splitting(args.val, None if args.group is None else parse_group(args.group), args.seed)


def _classes(path: Path | None) -> list[NamedClass] | None:
    from ..core.labels import voc_labels
    from ..data.class_lists import NamedClass, read_list

    if path is None:
        return None
    if str(path) == "voc":
        return [NamedClass(each.name, each.rgb) for each in voc_labels().labels]
    return read_list(path)


def _report(out: Path, form: Form, result: Imported) -> None:
    from ..data.imports.write import shares

    count = sum(len(names) for names in result.splits.values())
    lists = ", ".join(f"{name} {len(names)}" for name, names in result.splits.items())
    print(f"{form.title}: {count} images ({printable(lists)}), {len(result.labels)} classes")
    for name, share in shares(result):
        print(f"  {printable(name):>20}  {100 * share:6.2f} % of pixels")
    reasons = sorted(result.left_out.items(), key=lambda each: -len(each[1]))
    for reason, names in reasons[:_MOST_REASONS]:
        shown = ", ".join(names[:_MOST_SHOWN]) + (" …" if len(names) > _MOST_SHOWN else "")
        print(f"left out: {len(names)}, {printable(reason)}: {printable(shown)}")
    if len(reasons) > _MOST_REASONS:
        rest = sum(len(names) for _, names in reasons[_MOST_REASONS:])
        print(f"left out: {rest} more, for {len(reasons) - _MOST_REASONS} other reasons")
    for note in result.notes:
        print(f"note: {printable(note)}")
    print(f"wrote {printable(str(out))}; check it with `edgeseg data check {printable(str(out))}`")
