"""Print text in columns, as wide as a terminal or, where something else reads it, as wide as it takes."""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Sequence
from datetime import datetime

from lighter.errors import shorten

GAP = "  "
NARROWEST = 12  # to which a column is cut
BRIEF = 40

BOLD, DIM, RED, GREEN, YELLOW = "1", "2", "31", "32", "33"


def write(text: str) -> None:
    """Print text as it is, whatever the locale."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
    print(text, end="")


def styled(text: str, style: str) -> str:
    """Return a text in a style, where a terminal shows it."""
    return f"\x1b[{style}m{text}\x1b[0m" if sys.stdout.isatty() and "NO_COLOR" not in os.environ else text


def columns(rows: Sequence[Sequence[str]], right: Sequence[int] = (), cut: int | None = None) -> list[str]:
    """Return rows as aligned lines, the columns in `right` to the right.

    With `cut` no line is longer than the terminal is wide, where there is one: that column takes what is left.
    """
    if not rows:
        return []
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    longest = None
    if cut is not None and sys.stdout.isatty():
        longest = shutil.get_terminal_size().columns
        others = sum(widths) - widths[cut] + len(GAP) * (len(widths) - 1)
        widths[cut] = min(widths[cut], max(longest - others, NARROWEST))
    lines = (
        GAP.join(
            _shortened(cell, width).rjust(width) if index in right else _shortened(cell, width).ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    )
    return [_shortened(line, longest or len(line)) for line in lines]


def printable(text: str) -> str:
    """Escape what a terminal would obey."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def number(value: float) -> str:
    """Return a number of a metric, as short as tells it from its like."""
    return f"{value:.4g}"


def brief(path: str, value: object) -> str:
    """Return a value of a config in a word or two: of a class its own name."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = str(value)
    return shorten(text.rsplit(".", 1)[-1] if path.endswith("_target_") else text, BRIEF)


def moment(text: str) -> str:
    """Return a time of a record as a clock here shows it."""
    try:
        return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return text


def duration(seconds: float) -> str:
    """Return seconds as a person says them."""
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, hours = seconds / 60, seconds / 3600
    if minutes < 60:
        return f"{int(minutes)}m{int(seconds % 60):02}s"
    return f"{int(hours)}h{int(minutes % 60):02}m" if hours < 48 else f"{int(hours / 24)}d{int(hours % 24):02}h"


def _shortened(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"
