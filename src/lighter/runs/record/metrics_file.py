"""The metrics of each epoch, as a CSV file that grows by a line an epoch."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from lighter.runs.record.atomic import write_text

Row = Mapping[str, float | int]


class MetricsFile:
    """Append rows to a CSV file; a value that has no column yet gets one, and earlier rows an empty cell."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._columns: list[str] = []

    def keep(self, is_kept: Callable[[Mapping[str, str]], bool]) -> list[dict[str, str]]:
        """Go on with an earlier process's file, without the rows that are not to be kept; return the others."""
        rows, self._columns = read_rows(self.path)
        kept = [row for row in rows if len(row) == len(self._columns) and None not in row.values() and is_kept(row)]
        if kept != rows or (rows and not self.path.read_bytes().endswith(b"\n")):  # the last one was cut short
            head = {name: name for name in self._columns}
            write_text(self.path, _text([head, *kept], self._columns))
        return kept

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
        return read_rows(self.path)[0] if self._columns else []


def read_rows(path: Path) -> tuple[list[dict[str, str]], list[str]]:
    """Return the rows and the columns of a CSV file, none of one that is not there, but no row that was cut short."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return [], []
    reader = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1]))
    return list(reader), list(reader.fieldnames or ())


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
