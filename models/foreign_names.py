"""The names of the same tensors in torchvision, timm, segmentation_models.pytorch and mmsegmentation.

A *dialect* turns a foreign key into the network's own, or into an empty text. The user names none: all are tried, and
the one whose tensors fit best is used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate

Dialect = Callable[[str], str]

_WRAPPERS = ("module.", "model.", "network.", "net.", "_orig_mod.", "backbone.", "encoder.")
"""The prefixes that training frameworks add to every key."""
_MOST_WRAPPERS = 3

_MOBILENET_STAGES = (1, 2, 3, 4, 2, 3, 1)
_MOBILENET_GATED = (4, 5, 6, 11, 12, 13, 14, 15)
_LITE0_STAGES = (1, 2, 2, 3, 3, 4, 1)
_FIRST = re.compile(r"(conv1|bn1|layer[1-4])\.")
_TIMM_BLOCK = re.compile(r"blocks\.(\d+)\.(\d+)\.(conv_pw|conv_dw|conv_pwl|conv|bn\d|se\.conv_\w+)\.(\w+)")
_MM_BLOCK = re.compile(
    r"layer(\d+)\.(?:(expand_conv|depthwise_conv|linear_conv)\.)?(conv|bn|se\.conv[12]\.conv)\.(\w+)"
)
_SMP_HEAD = {"aspp": "0", "conv": "1", "bn": "2"}
_GOOGLENET = re.compile(r"(conv[123]|inception\d\w)\.")
_LINEAR = {"0": "fc6", "1": "fc6", "3": "fc7", "4": "fc7"}


def readings(keys: Iterable[str]) -> Iterator[Mapping[str, str]]:
    """Yields every way to read some foreign keys: own key by foreign key."""
    for bare in _unwrapped(tuple(keys)):
        for dialect in _DIALECTS:
            yield {key: own for key, name in bare.items() if (own := dialect(name))}


def _unwrapped(keys: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """Yields the keys unchanged, then without each prefix that some have; keys without that prefix are left out."""
    waiting = [dict(zip(keys, keys, strict=True))]
    for _ in range(_MOST_WRAPPERS + 1):
        yield from waiting
        waiting = [
            {key: name.removeprefix(prefix) for key, name in names.items() if name.startswith(prefix)}
            for names in waiting
            for prefix in _WRAPPERS
            if any(name.startswith(prefix) for name in names.values())
        ]


def _resnet(key: str) -> str:
    """ResNet of torchvision, timm and mmsegmentation -> the dilated trunk's keys."""
    return f"backbone.{key}" if _FIRST.match(key) else ""


def _resnet_in_a_row(key: str) -> str:
    """The same -> the layers' positions, as in ``fcn_resnet18``."""
    if not _FIRST.match(key):
        return ""
    first, rest = key.split(".", 1)
    place = {"conv1": 0, "bn1": 1}.get(first)
    return f"trunk.{int(first[-1]) + 3 if place is None else place}.{rest}"


def _features(key: str) -> str:
    """MobileNetV3 classifier of torchvision."""
    return f"backbone.{key.removeprefix('features.')}" if key.startswith("features.") else ""


def _made_convolutional(key: str) -> str:
    """VGG-16 and AlexNet of torchvision: two linear layers are convolutions in the trunk."""
    first, _, rest = key.partition(".")
    if first == "features":
        return f"trunk.{key}"
    number, _, kind = rest.partition(".")
    return f"trunk.{_LINEAR[number]}.{kind}" if first == "classifier" and number in _LINEAR else ""


def _googlenet(key: str) -> str:
    """GoogLeNet of torchvision, without its classifiers."""
    return f"trunk.{key}" if _GOOGLENET.match(key) else ""


def _lite0_port(key: str) -> str:
    """EfficientNet-Lite0 of the published port: every part of a key begins with an underscore."""
    if key.startswith("_fc"):
        return ""
    return "backbone." + ".".join(part.removeprefix("_") for part in key.split("."))


def _timm_lite0(key: str) -> str:
    ends = {"conv_stem": "conv_stem", "bn1": "bn0", "conv_head": "conv_head", "bn2": "bn1"}
    first, _, rest = key.partition(".")
    if first in ends:
        return f"backbone.{ends[first]}.{rest}"
    match = _TIMM_BLOCK.fullmatch(key)
    if match is None:
        return ""
    stage, number = int(match[1]), int(match[2])
    parts = {"conv_pw": "expand_conv", "bn1": "bn0", "conv_dw": "depthwise_conv", "bn2": "bn1",
             "conv_pwl": "project_conv", "bn3": "bn2"}  # fmt: skip
    if stage == 0:
        parts = {"conv_dw": "depthwise_conv", "bn1": "bn1", "conv_pw": "project_conv", "bn2": "bn2"}
    place = _position(_LITE0_STAGES, stage, number)
    return f"backbone.blocks.{place}.{parts[match[3]]}.{match[4]}" if match[3] in parts else ""


def _timm_mobilenet(key: str) -> str:
    stems = {"conv_stem": 0, "bn1": 1}
    first, _, rest = key.partition(".")
    if first in stems:
        return f"backbone.0.{stems[first]}.{rest}"
    match = _TIMM_BLOCK.fullmatch(key)
    if match is None:
        return ""
    place, part, kind = _position(_MOBILENET_STAGES, int(match[1]), int(match[2])) + 1, match[3], match[4]
    if place == 16:
        return f"backbone.16.{1 if part.startswith('bn') else 0}.{kind}"
    parts = {"conv_pw": ("expand", 0), "bn1": ("expand", 1), "conv_dw": ("depth", 0), "bn2": ("depth", 1),
             "conv_pwl": ("project", 0), "bn3": ("project", 1)}  # fmt: skip
    if place == 1:
        parts = {
            "conv_dw": ("depth", 0),
            "bn1": ("depth", 1),
            "conv_pw": ("project", 0),
            "bn2": ("project", 1),
        }
    gates = {"se.conv_reduce": "fc1", "se.conv_expand": "fc2"}
    if part in gates:
        return _mobilenet_key(place, "gate", gates[part], kind)
    return _mobilenet_key(place, parts[part][0], str(parts[part][1]), kind) if part in parts else ""


def _mm_mobilenet(key: str) -> str:
    """MobileNetV3 of mmsegmentation."""
    match = _MM_BLOCK.fullmatch(key)
    if match is None:
        return ""
    place, convolution, part, kind = int(match[1]), match[2], match[3], match[4]
    if place in (0, 16):
        return f"backbone.{place}.{1 if part == 'bn' else 0}.{kind}"
    if part.startswith("se."):
        return _mobilenet_key(place, "gate", f"fc{part[len('se.conv')]}", kind)
    names = {"expand_conv": "expand", "depthwise_conv": "depth", "linear_conv": "project"}
    if convolution not in names:
        return ""
    return _mobilenet_key(place, names[convolution], "1" if part == "bn" else "0", kind)


def _mobilenet_key(place: int, layer: str, part: str, kind: str) -> str:
    """Returns torchvision's key of one part of a MobileNetV3 block: layers are numbered, and some blocks lack some."""
    gated = place in _MOBILENET_GATED
    layers = [*(["expand"] if place > 1 else []), "depth", *(["gate"] if gated else []), "project"]
    return f"backbone.{place}.block.{layers.index(layer)}.{part}.{kind}" if layer in layers else ""


def _position(stages: tuple[int, ...], stage: int, number: int) -> int:
    """Returns the number of a block among all, from 0."""
    starts = (0, *accumulate(stages))
    return starts[stage] + number if stage < len(stages) else -1


def _as_it_is(key: str) -> str:
    return key


def _smp(trunk: Dialect) -> Dialect:
    """Returns the dialect of segmentation_models.pytorch; its DeepLabV3 has torchvision's head."""

    def dialect(key: str) -> str:
        first, _, rest = key.partition(".")
        if first == "encoder":
            return trunk(rest.removeprefix("model."))
        if first == "decoder":
            part, _, end = rest.partition(".")
            return f"classifier.{_SMP_HEAD.get(part, part)}.{end}"
        return f"classifier.4.{rest.removeprefix('0.')}" if first == "segmentation_head" else ""

    return dialect


def _mm(trunk: Dialect) -> Dialect:
    """Returns the dialect of mmsegmentation; its FCN head of one convolution is torchvision's."""

    def dialect(key: str) -> str:
        first, _, rest = key.partition(".")
        if first == "backbone":
            return trunk(rest)
        head = {"decode_head": "classifier", "auxiliary_head": "aux_classifier"}.get(first)
        parts = {"convs.0.conv.": "0.", "convs.0.bn.": "1.", "conv_seg.": "4."}
        for theirs, own in parts.items():
            if head and rest.startswith(theirs):
                return f"{head}.{own}{rest.removeprefix(theirs)}"
        return ""

    return dialect


_TRUNKS = (
    _resnet,
    _resnet_in_a_row,
    _features,
    _made_convolutional,
    _googlenet,
    _lite0_port,
    _timm_lite0,
    _timm_mobilenet,
    _mm_mobilenet,
)
_DIALECTS: tuple[Dialect, ...] = (
    _as_it_is,
    *_TRUNKS,
    *(_smp(trunk) for trunk in _TRUNKS),
    *(_mm(trunk) for trunk in _TRUNKS),
)
