"""The metrics of each epoch, as a CSV file that grows by a line an epoch."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from lighter.runs.atomic import write_text

Row = Mapping[str, float | int]


class MetricsFile:
    """Append rows to a CSV file; a value that has no column yet gets one, and earlier rows an empty cell."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._columns: list[str] = []

    def append(self, row: Row) -> None:
        new = [name for name in row if name not in self._columns]
        if new:
            columns = [*self._columns, *new]
            head = {name: name for name in columns}
            write_text(self.path, _text([head, *self._earlier(), row], columns))
            self._columns = columns
        else:
            _append(self.path, _text([row], self._columns).encode())

    def _earlier(self) -> list[dict[str, str]]:
        if not self._columns:
            return []
        with self.path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))


def _text(rows: Iterable[Mapping[str, object]], columns: list[str]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writerows(rows)
    return text.getvalue()


def _append(path: Path, line: bytes) -> None:
    """Append a line, or nothing of it."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        size = os.fstat(file).st_size
        if os.write(file, line) != len(line):  # the disk is full
            os.ftruncate(file, size)
            raise OSError(f"{path} cannot take another line")
    finally:
        os.close(file)
