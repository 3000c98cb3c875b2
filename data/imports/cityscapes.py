"""Cityscapes: ``leftImg8bit`` beside ``gtFine``, whose labelIds become the 19 classes for training."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from ..class_lists import NamedClass
from ..lists import usual_name
from .base import Asked, FileTree, Found, Item
from .coding import by_values
from .forms import reader_of

_TRAINED = (
    (7, "road", 128, 64, 128), (8, "sidewalk", 244, 35, 232), (11, "building", 70, 70, 70), (12, "wall", 102, 102, 156),
    (13, "fence", 190, 153, 153), (17, "pole", 153, 153, 153), (19, "traffic light", 250, 170, 30),
    (20, "traffic sign", 220, 220, 0), (21, "vegetation", 107, 142, 35), (22, "terrain", 152, 251, 152),
    (23, "sky", 70, 130, 180), (24, "person", 220, 20, 60), (25, "rider", 255, 0, 0), (26, "car", 0, 0, 142),
    (27, "truck", 0, 0, 70), (28, "bus", 0, 60, 100), (31, "train", 0, 80, 100), (32, "motorcycle", 0, 0, 230),
    (33, "bicycle", 119, 11, 32),
)  # fmt: skip
"""labelId, name and colour of each class for training, in order of their trainIds (Cordts et al. 2016)."""

LABEL_IDS = "labelids.png"
TRAIN_IDS = "labeltrainids.png"

_END = re.compile(r"_gt(Fine|Coarse)_label(Train)?Ids\.png$", re.IGNORECASE)


def read(tree: FileTree, asked: Asked) -> Found:
    """Reads all images that have a mask of labelIds, or else of trainIds. Other values are void."""
    classes = [NamedClass(name, (r, g, b)) for _, name, r, g, b in _TRAINED]
    found = Found(classes)
    by_label = by_values(classes, {label: at for at, (label, *_) in enumerate(_TRAINED)})
    by_train = by_values(classes, {at: at for at in range(len(_TRAINED))})
    images = {
        re.sub(r"_leftImg8bit$", "", path.stem, flags=re.IGNORECASE): path
        for path in tree.images()
        if "_gt" not in path.stem
    }
    masks: dict[str, PurePosixPath] = {}
    for path in (*tree.ending(TRAIN_IDS), *tree.ending(LABEL_IDS)):
        masks[_END.sub("", path.name)] = path
    for stem, path in sorted(masks.items()):
        if stem not in images:
            found.leave_out("a mask without an image", str(path))
            continue
        split = next(
            (usual_name(part) for part in path.parts[:-1] if usual_name(part) in ("train", "val", "test")), ""
        )
        read_mask = by_train if path.name.lower().endswith(TRAIN_IDS) else by_label
        item = Item(
            f"{path.parent.name}/{stem}",
            tree.root / images[stem],
            split,
            reader_of(read_mask, tree.root / path),
        )
        found.items.append(item)
    found.notes.append("the 19 classes that Cityscapes trains on; its other labels are void")
    if asked.classes is not None:
        found.notes.append("--classes is not used: Cityscapes' classes are known")
    return found
