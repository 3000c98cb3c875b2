"""Model cards: the description in a checkpoint, as a page."""

from __future__ import annotations

from collections.abc import Mapping

from .checkpoint import CheckpointInfo

_MOST_COLUMNS = 92


def render_card(info: CheckpointInfo, title: str, curves: str = "") -> str:
    """Renders a checkpoint's description as Markdown: the network, its training, and its metrics.

    Args:
        info: the checkpoint's description.
        title: the card's heading.
        curves: path of an image of the training curves, to show; empty for none.

    Returns:
        The card. It comes only from the file, so the two always agree.
    """
    height, width = info.input_size_hw
    options = ", ".join(f"{key}={value}" for key, value in info.arguments.items()) or "none"
    lines = [
        f"# {title}",
        "",
        f"- network: `{info.architecture}`, options: {options}",
        f"- input: {height} x {width}, RGB mean {_numbers(info.mean)} and deviation {_numbers(info.std)} of 0..1",
        f"- classes: {', '.join(info.labels.names)}",
        "",
        "## Training",
        "",
        *_training(info.recipe),
    ]
    if curves:
        lines += ["", f"![Loss and validation figures against epochs]({curves})"]
    for name, figures in info.metrics.items():
        assert isinstance(figures, Mapping)
        lines += ["", f"## Measured on {name}", "", *_figures(figures, info.labels.names)]
    return "\n".join(lines) + "\n"


def _training(recipe: Mapping[str, object]) -> list[str]:
    """Returns every stage of the training, from the first one on."""
    before = recipe.get("started_from")
    lines = [*_training(before), "", "and, started from that:", ""] if isinstance(before, Mapping) else []
    if "command" in recipe:
        lines += ["```bash", *_command_lines(str(recipe["command"])), "```", ""]
    shown = {
        key: value for key, value in recipe.items() if key not in ("command", "started_from", "augmentation")
    }
    augmentation = recipe.get("augmentation")
    if isinstance(augmentation, Mapping):
        shown |= {f"augmentation: {key}": value for key, value in augmentation.items()}
    lines += ["| choice | value |", "|---|---|"]
    return [*lines, *(f"| {key.replace('_', ' ')} | {_plain(value)} |" for key, value in shown.items())]


def _command_lines(command: str) -> list[str]:
    """Breaks a shell command before its options, so that its lines fit a page."""
    first, *options = command.split(" --")
    lines = [first]
    for option in options:
        if len(lines[-1]) + len(option) > _MOST_COLUMNS:
            lines[-1] += " \\"
            lines.append(f"    --{option}")
        else:
            lines[-1] += f" --{option}"
    return lines


def _figures(figures: Mapping[str, object], classes: tuple[str, ...]) -> list[str]:
    scalars = {key: value for key, value in figures.items() if isinstance(value, float)}
    lines = ["| figure | value |", "|---|---:|"]
    lines += [
        f"| {key.replace('_', ' ').replace('miou', 'mean IoU')} | {value:.3f} |"
        for key, value in scalars.items()
    ]
    per_class = figures.get("per_class_iou")
    if isinstance(per_class, Mapping):
        lines += ["", "| class | IoU |", "|---|---:|"]
        for name in classes:
            iou = per_class.get(name)
            lines.append(f"| {name} | {f'{iou:.3f}' if isinstance(iou, int | float) else 'absent'} |")
    return lines


def _plain(value: object) -> str:
    return _numbers(value) if isinstance(value, list | tuple) else str(value)


def _numbers(values: object) -> str:
    assert isinstance(values, list | tuple)
    return ", ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)
