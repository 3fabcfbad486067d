"""Say in one screen how a checkpoint's weights differ from the model that was to take them."""

from __future__ import annotations

import re
from pathlib import Path

from lighter.errors import RunError

SHOWN = 3  # of each kind of difference

_LISTS = {"missing in it": "Missing", "not in the model": "Unexpected"}
_SHAPES = re.compile(
    r"size mismatch for (\S+): copying a param with shape torch\.Size\((.*?)\) from checkpoint, "
    r"the shape in current model is torch\.Size\((.*?)\)"
)


def mismatch(checkpoint: Path, error: RuntimeError) -> RunError | None:
    """Return what torch's error about a state dict says of a checkpoint, or None if it is another error."""
    text = str(error)
    if "Error(s) in loading state_dict" not in text:
        return None
    lines = [f"the weights in {str(checkpoint)!r} do not fit the model"]
    for what, word in _LISTS.items():
        if listed := re.search(rf'{word} key\(s\) in state_dict: (".*?")\.\s', f"{text}\n"):
            lines += _some(what, re.findall(r'"(.*?)"', listed[1]))
    shapes = [f"{name} {theirs}, here {ours}" for name, theirs, ours in _SHAPES.findall(text)]
    lines += _some("of another shape", shapes)
    return RunError("\n".join(lines), value=str(checkpoint), suggestion="from another config or override?")


def _some(what: str, items: list[str]) -> list[str]:
    more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return [f"  {what}: {', '.join(items[:SHOWN])}{more}"] if items else []
