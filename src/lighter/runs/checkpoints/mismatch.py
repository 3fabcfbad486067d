"""Say in one screen how a checkpoint's weights differ from the model that was to take them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from lighter.errors import RunError

Shapes: TypeAlias = Mapping[str, tuple[int, ...]]  # by name

SHOWN = 3  # of each kind of difference

MISSING, UNKNOWN, ANOTHER_SHAPE = "missing in it", "not in the model", "of another shape"

_LISTS = {MISSING: "Missing", UNKNOWN: "Unexpected"}
_SHAPES = re.compile(
    r"size mismatch for (\S+): copying a param with shape torch\.Size\((.*?)\) from checkpoint, "
    r"the shape in current model is torch\.Size\((.*?)\)"
)


def mismatch(checkpoint: Path, error: RuntimeError) -> RunError | None:
    """Return what torch's error about a state dict says of a checkpoint, or None if it is another error."""
    text = str(error)
    if "Error(s) in loading state_dict" not in text:
        return None
    lines = []
    for what, word in _LISTS.items():
        if listed := re.search(rf'{word} key\(s\) in state_dict: (".*?")\.\s', f"{text}\n"):
            lines += _some(what, re.findall(r'"(.*?)"', listed[1]))
    shapes = [f"{name} {theirs}, here {ours}" for name, theirs, ours in _SHAPES.findall(text)]
    return _misfit(checkpoint, [*lines, *_some(ANOTHER_SHAPE, shapes)])


def misfit(checkpoint: Path, theirs: Shapes, ours: Shapes) -> RunError | None:
    """Return what to say of weights with other names or shapes than the model's, or None if they fit."""
    shapes = [
        f"{name} {list(shape)}, here {list(ours[name])}"
        for name, shape in theirs.items()
        if ours.get(name, shape) != shape
    ]
    lines = _some(MISSING, [name for name in ours if name not in theirs])
    lines += _some(UNKNOWN, [name for name in theirs if name not in ours]) + _some(ANOTHER_SHAPE, shapes)
    return _misfit(checkpoint, lines) if lines else None


def _misfit(checkpoint: Path, lines: list[str]) -> RunError:
    text = "\n".join([f"the weights in {str(checkpoint)!r} do not fit the model", *lines])
    return RunError(text, value=str(checkpoint), suggestion="from another config or override?")


def _some(what: str, items: list[str]) -> list[str]:
    more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return [f"  {what}: {', '.join(items[:SHOWN])}{more}"] if items else []
