"""What a run's `epochs.csv` tells: the values of each metric, epoch by epoch."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lighter._run_folder import EPOCHS

INDEX = ("epoch", "step", "seconds")  # columns that are no metrics


@dataclass
class Curve:
    """A metric over epochs; nan and infinite values are among them."""

    epochs: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)


def read_curves(folder: Path) -> dict[str, Curve]:
    """Return the curves of a run by metric, in the order of its columns; none of a run without epochs."""
    curves: dict[str, Curve] = {}
    for row in _rows(folder):
        epoch = _number(row.get("epoch"))
        for name, text in row.items():
            value = _number(text) if name not in INDEX else None
            if epoch is None or value is None:
                continue
            curve = curves.setdefault(name, Curve())
            curve.epochs.append(epoch)
            curve.values.append(value)
    return curves


def row_at(folder: Path, step: int) -> dict[str, float] | None:
    """Return the metrics of the epoch that ended at a step; None where there is none."""
    for row in _rows(folder):
        if row.get("step") == str(step):
            found = {name: _number(text) for name, text in row.items() if name not in INDEX}
            return {name: value for name, value in found.items() if value is not None}
    return None


def _rows(folder: Path) -> Iterator[dict[str, str]]:
    """Yield the rows; what cannot be read is as if it were not there."""
    try:
        with (folder / EPOCHS).open(encoding="utf-8", errors="replace", newline="") as file:
            for row in csv.DictReader(file):
                yield {name: text for name, text in row.items() if isinstance(name, str) and isinstance(text, str)}
    except (OSError, csv.Error):
        return


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None
