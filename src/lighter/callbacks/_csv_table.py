"""A table as CSV: the part that a rank streams rows to, and the table made of all parts."""

from __future__ import annotations

import csv
import heapq
import mmap
from array import array
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lighter.errors import ConfigError


class Part:
    """A new CSV file that takes rows a batch at a time and holds back none."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("x", newline="", encoding="utf-8")
        self._writer = csv.writer(self._file, lineterminator="\n")

    def write(self, names: Sequence[str], columns: Sequence[Sequence[object]]) -> None:
        self.write_rows(names, zip(*columns, strict=True))

    def write_rows(self, names: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        if not self._file.tell():
            self._writer.writerow(names)
        self._writer.writerows(rows)
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def sort(part: Path, order: NDArray[np.int64]) -> None:
    """Bring a part's rows into this order; in memory are only the places where they end."""
    ordered = part.with_name(f"{part.name}-sorted")
    with (
        part.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text,
        ordered.open("xb") as out,
    ):
        ends = _row_ends(text)  # the first is the header's
        assert len(ends) == len(order) + 1
        out.write(text[: ends[0]])
        out.writelines(text[ends[row] : ends[row + 1]] for row in order)
    ordered.replace(part)


def finish(parts: Sequence[Path], target: Path, *, keyed: bool) -> None:
    """Make the table of the parts; where they are keyed, rows go by their first two columns, which are left out."""
    if parts and not keyed:
        parts[0].replace(target)  # it is the table already
        return
    with ExitStack() as stack:
        files = [stack.enter_context(part.open(newline="", encoding="utf-8")) for part in parts]
        readers = [csv.reader(file) for file in files]
        headers = [next(reader) for reader in readers] or [["dataloader", "position", "identifier"]]
        if any(header != headers[0] for header in headers):
            raise ConfigError("TableWriter: the ranks wrote different columns; their parts are kept")
        rows = heapq.merge(*readers, key=lambda row: (int(row[0]), int(row[1])))
        out = Part(target)
        stack.callback(out.close)
        out.write_rows(headers[0][2:], (row[2:] for row in rows))


def _row_ends(text: mmap.mmap) -> array[int]:
    """Return the offset after each row; a newline ends one unless an odd number of quotes stands before it."""
    ends = array("q")
    quoted = False
    for line in iter(text.readline, b""):
        quoted ^= line.count(b'"') % 2 == 1
        if not quoted:
            ends.append(text.tell())
    return ends
