"""``edgeseg data``: imports, checks and splits a data set, fetches PASCAL VOC, writes the aerial world."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.claims import claimed
from ..core.errors import DataError, MissingDependencyError, UsageError
from ..core.labels import VOID
from ..core.outputs import check_output
from ..core.printable import printable
from ..core.sizes import parse_size
from . import data_import as import_command

if TYPE_CHECKING:
    from ..data.check import DatasetReport


_MOST_PIXELS = 64 << 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the jobs of ``edgeseg data``."""
    jobs = parser.add_subparsers(dest="job", required=True, metavar="JOB")
    check = jobs.add_parser(
        "check", help="report missing pairs, sizes, unknown colours, class coverage, leaks"
    )
    check.add_argument("dir", type=Path, metavar="DIR", help="a data set in VOC layout")
    check.add_argument("--json", action="store_true", help="print the report as JSON")
    imports = jobs.add_parser("import", help="write a data set of another form in VOC layout")
    import_command.configure_import(imports)
    split = jobs.add_parser("split", help="write the lists train and val of a data set")
    import_command.configure_split(split)
    voc = jobs.add_parser("voc", help="PASCAL VOC 2012: where it is, or fetch it")
    voc.add_argument("--download", action="store_true", help="fetch and unpack it (2 GB)")
    voc.add_argument(
        "--dir", type=Path, default=Path("datasets"), help="where VOCdevkit/ is or goes (default: datasets)"
    )
    aerial = jobs.add_parser("aerial", help="write images of the synthetic aerial world in VOC layout")
    aerial.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder to create, in VOC layout"
    )
    aerial.add_argument(
        "--count", type=int, required=True, metavar="N", help="how many images, both splits together"
    )
    aerial.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of the random places; default: %(default)s"
    )
    aerial.add_argument(
        "--size", default="512x512", metavar="HxW", help="height and width; default: %(default)s"
    )
    aerial.add_argument(
        "--heights",
        default="22,62",
        metavar="LOW,HIGH",
        help="of the camera, in metres; default: %(default)s",
    )
    aerial.add_argument(
        "--val", type=float, default=0.2, metavar="SHARE", help="share of images for val (default: 0.2)"
    )
    aerial.add_argument("--force", action="store_true", help="replace an existing DIR")


def run(args: argparse.Namespace) -> int:
    """Does the chosen job."""
    return {
        "check": _check,
        "import": import_command.run_import,
        "split": import_command.run_split,
        "voc": _voc,
        "aerial": _aerial,
    }[args.job](args)


def _check(args: argparse.Namespace) -> int:
    from ..data.check import check_dataset

    report = check_dataset(args.dir)
    if args.json:
        print(json.dumps(_as_json(report), indent=2))
    else:
        _print_report(report)
    return 1 if report.problems else 0


def _voc(args: argparse.Namespace) -> int:
    if not args.download:
        from ..data.voc import VocDataset

        root = args.dir / "VOCdevkit"
        if not os.path.isdir(root):
            raise DataError(
                f"there is no {root}; fetch it with `edgeseg data voc --download --dir {args.dir}`"
            )
        for split in ("train", "val"):
            print(f"{split}: {len(VocDataset(root, split))} images in {root}")
        return 0
    check_output(args.dir, folder=True)
    try:
        from torchvision.datasets import VOCSegmentation
    except ImportError as error:
        raise MissingDependencyError("torchvision", "export", "fetching PASCAL VOC") from error
    try:
        with claimed(args.dir / "VOCdevkit"):
            VOCSegmentation(str(args.dir), year="2012", image_set="train", download=True)
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"could not fetch PASCAL VOC 2012 ({error}); check that this machine reaches the network, or unpack "
            f"VOCtrainval_11-May-2012.tar into {args.dir} yourself"
        ) from error
    print(f"wrote {args.dir / 'VOCdevkit'}; check it with `edgeseg data check {args.dir / 'VOCdevkit'}`")
    return 0


def _aerial(args: argparse.Namespace) -> int:
    from ..core.progress import ProgressLine
    from ..data.aerial.dataset import AerialRequest, write_dataset

    size_hw = parse_size(args.size)
    if size_hw[0] * size_hw[1] > _MOST_PIXELS:
        raise UsageError(f"--size {args.size}: expected at most {_MOST_PIXELS >> 20} million pixels an image")

    line = ProgressLine()
    request = AerialRequest(args.count, args.seed, size_hw, args.val, _heights(args.heights))
    write_dataset(
        args.out,
        request,
        force=args.force,
        progress=lambda done, total: line.count(done, total, "images"),
    )
    print(
        f"wrote {args.count} images to {args.out}; "
        f"train with `edgeseg train --model lraspp --data {args.out} --out runs/aerial`"
    )
    return 0


def _print_report(report: DatasetReport) -> None:
    print(f"{printable(str(report.root))}: {len(report.labels)} classes")
    for split, summary in report.splits.items():
        sizes = ", ".join(f"{w} x {h}: {count}" for (w, h), count in summary.sizes.most_common(4))
        rest = f", and {len(summary.sizes) - 4} more sizes" if len(summary.sizes) > 4 else ""
        print(f"\n{printable(split)}: {summary.images} images ({sizes}{rest})")
        total = max(1, sum(summary.pixels.values()))
        rows = [*enumerate(report.labels.names), (VOID, "void")]
        for class_id, name in rows:
            if class_id == VOID and not summary.pixels[VOID]:
                continue
            share = 100 * summary.pixels[class_id] / total
            print(f"  {name:>14}  {share:6.2f} % of pixels, in {summary.images_with[class_id]} images")
    print()
    if report.unknown:
        print("lines that labelmap.txt lacks, names of your own instead of these:")
        print("\n".join(f"  {line}" for line in report.lines_to_add()))
    for note in report.notes:
        print(f"note: {printable(note)}")
    for problem in report.problems:
        print(f"problem: {printable(problem)}")
    count = len(report.problems)
    if count == 0:
        print("no problems")
    elif count == 1:
        print("1 problem")
    else:
        print(f"{count} problems")


def _as_json(report: DatasetReport) -> dict[str, object]:
    names = {**dict(enumerate(report.labels.names)), VOID: "void"}
    return {
        "root": str(report.root),
        "classes": list(report.labels.names),
        "splits": {
            split: {
                "pictures": summary.images,
                "sizes_wh": {f"{w}x{h}": count for (w, h), count in summary.sizes.items()},
                "pixels": {names[key]: value for key, value in sorted(summary.pixels.items())},
                "pictures_with": {names[key]: value for key, value in sorted(summary.images_with.items())},
            }
            for split, summary in report.splits.items()
        },
        "lines_to_add": report.lines_to_add(),
        "problems": report.problems,
        "notes": report.notes,
    }


def _heights(text: str) -> tuple[float, float]:
    """Reads ``LOW,HIGH``, in metres."""
    try:
        low, high = (float(value) for value in text.split(","))
    except ValueError:
        raise UsageError(f"--heights {text}: expected two heights in metres, such as 22,62") from None
    return low, high
