"""Write predictions as the rows of one table."""

from __future__ import annotations

import glob
import tempfile
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_lightning import LightningModule, Trainer

from lighter.callbacks._samples import Batch, SampleWriter, several_dataloaders, to_cpu, unbatch, unbatch_or_none
from lighter.errors import ConfigError, did_you_mean

Value = TypeVar("Value")

# Each has a class Part and functions sort and finish; imported when rows are to be written, since pyarrow is an extra.
_FORMATS = {".csv": "lighter.callbacks._csv_table", ".parquet": "lighter.callbacks._parquet_table"}


class TableWriter(SampleWriter):
    """Write the predictions of a predict run to one `.csv` or `.parquet` table, a row a sample, in dataset order.

    `writer` turns one sample's prediction into a scalar (column `pred`), a list or 1-D tensor (`pred_0`, `pred_1`, …)
    or a dict (a column a key); without it the prediction itself is taken so. The first column is `identifier`, the
    sample's position in the dataset if the module gives none; with several dataloaders the second is `dataloader`.

    Rows go to `<path>.part-<rank>` as they come (CSV, or an Arrow IPC stream for Parquet; on several ranks with the
    columns to sort by in front) and become the table at the end: it is never half there, a killed run keeps its rows.
    A part whose rows did not come in dataset order, as with `shuffle`, is sorted first; a sample that came several
    times has its rows in the order in which they came, those of the first rank before those of the next.

    Raises:
        ConfigError: the suffix is another; the table, or a part that a killed run left, exists and `overwrite` is
            False; a row's columns are not those of the first.
    """

    def __init__(
        self, path: str | Path, writer: Callable[[Any], object] | None = None, overwrite: bool = False
    ) -> None:
        super().__init__(path, overwrite)
        if self.path.suffix not in _FORMATS:
            raise ConfigError(
                f"TableWriter: `path` ends in {' or '.join(_FORMATS)}, unlike {str(path)!r}",
                value=str(path),
                suggestion=did_you_mean(self.path.suffix, _FORMATS),
            )
        if writer is not None and not callable(writer):
            raise ConfigError(f"TableWriter: `writer` is a callable, not {writer!r}", value=writer)
        self.writer = writer
        self._part: Any = None
        self._order: _Order | None = None
        self._names: list[str] = []

    def prepare(self, trainer: Trainer) -> None:
        if self.path.suffix == ".parquet" and find_spec("pyarrow") is None:
            raise ConfigError("TableWriter: Parquet needs pyarrow", suggestion="pip install 'lighter[parquet]'")
        found = sorted(self.path.parent.glob(f"{glob.escape(self.path.name)}.part-*"))
        parts = [part for part in found if part.stat().st_size]  # an empty one holds nothing to lose
        for existing in [*parts, self.path]:
            if existing.exists() and not self.overwrite:
                raise ConfigError(
                    f"TableWriter: {existing} exists" + (", left by a run that did not end" if parts else ""),
                    value=str(existing),
                    suggestion="set `overwrite: true` to replace it, move it, or choose another `path`",
                )
        if trainer.is_global_zero:
            for part in found:
                part.unlink()

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._part = self._format.Part(self._part_of(trainer.global_rank))
        self._order = _Order(self.path.parent)
        self._names = []

    def write(self, trainer: Trainer, batch: Batch) -> None:
        size = len(batch.identifiers)
        pred = to_cpu(batch.pred)
        if self.writer is None:
            columns = _unique(_columns("", pred, size))
        else:
            columns = _transpose([_unique(_cells("", self.writer(sample))) for sample in unbatch(pred, size)])
        leading: list[tuple[str, Sequence[object]]] = [("identifier", batch.identifiers)]
        if several_dataloaders(trainer):
            leading.append(("dataloader", [batch.dataloader_idx] * size))
        columns = _unique([*leading, *columns.items()])
        self._names = self._names or list(columns)
        _check_names(columns, self._names)
        key = [[batch.dataloader_idx] * size, batch.positions] if trainer.world_size > 1 else []
        names = ["dataloader", "position", *self._names] if key else self._names
        self._part.write(names, [*key, *(columns[name] for name in self._names)])
        assert self._order is not None
        self._order.add(batch.dataloader_idx, batch.positions)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        self._part.close()
        assert self._order is not None
        if not self._order.kept:
            self._format.sort(self._part_of(trainer.global_rank), self._order.rows())
        self._order.close()
        trainer.strategy.barrier("all parts of the table are written")
        if trainer.is_global_zero:
            self._finish([self._part_of(rank) for rank in range(trainer.world_size)])
        trainer.strategy.barrier("the table is written")

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:  # noqa: ARG002
        if self._part is not None:
            self._part.close()
        if self._order is not None:
            self._order.close()

    @property
    def _format(self) -> Any:
        return import_module(_FORMATS[self.path.suffix])

    def _part_of(self, rank: int) -> Path:
        return self.path.with_name(f"{self.path.name}.part-{rank}")

    def _finish(self, parts: list[Path]) -> None:
        missing = [str(part) for part in parts if not part.exists()]
        if missing:
            raise ConfigError(
                f"TableWriter: {', '.join(missing)} cannot be seen from the first rank",
                suggestion="let `path` be in a folder that all nodes share",
            )
        merged = self.path.with_name(f"{self.path.name}.part-merged")
        self._format.finish([part for part in parts if part.stat().st_size], merged, keyed=len(parts) > 1)
        merged.replace(self.path)
        for part in parts:
            part.unlink(missing_ok=True)


class _Order:
    """Where a part's rows belong: their positions, in a nameless file until they are needed."""

    def __init__(self, folder: Path) -> None:
        self.kept = True  # so far, rows came in dataset order
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - open until close()
        self._rows = 0
        self._last: int | None = None
        self._starts: dict[int, int] = {}  # the first row of each dataloader; they come one after another

    def add(self, dataloader_idx: int, positions: Sequence[int]) -> None:
        if dataloader_idx not in self._starts:
            self._starts[dataloader_idx] = self._rows
            self._last = None
        since = positions if self._last is None else [self._last, *positions]
        self.kept = self.kept and all(a <= b for a, b in pairwise(since))
        self._last = positions[-1]
        self._rows += len(positions)
        self._file.write(array("q", positions))

    def rows(self) -> NDArray[np.int64]:
        """Return the rows in dataset order, those of one position as they came."""
        self._file.seek(0)
        order = np.fromfile(self._file, np.int64)  # each dataloader's positions give way to its rows
        for start, stop in pairwise([*self._starts.values(), self._rows]):
            order[start:stop] = np.argsort(order[start:stop], kind="stable")
            order[start:stop] += start
        return order

    def close(self) -> None:
        self._file.close()


def _columns(name: str, pred: Any, size: int) -> Iterator[tuple[str, Sequence[object]]]:
    """Yield the columns of a batched prediction."""
    if isinstance(pred, Mapping):
        for key, value in pred.items():
            yield from _columns(f"{name}_{key}" if name else str(key), value, size)
    elif isinstance(pred, tuple):
        for index, value in enumerate(pred):
            yield from _columns(f"{name or 'pred'}_{index}", value, size)
    elif isinstance(pred, torch.Tensor) and len(pred.shape) == 2 and len(pred) == size:
        for index, column in enumerate(pred.T.tolist()):
            yield f"{name or 'pred'}_{index}", column
    elif isinstance(pred, torch.Tensor) and pred.shape == (size,):
        yield name or "pred", pred.tolist()
    elif isinstance(pred, torch.Tensor) and pred.ndim > 2:
        raise ConfigError(
            f"TableWriter: a prediction of shape {tuple(pred.shape[1:])} is no row of a table",
            suggestion="give a `writer` that returns a scalar, a list or a dict, or use FileWriter",
        )
    else:
        rows = [_unique(_cells(name, sample)) for sample in unbatch_or_none(pred, size)]
        yield from _transpose(rows).items()


def _cells(name: str, value: Any) -> Iterator[tuple[str, object]]:
    """Yield the columns and cells of one sample."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, (str, int, float)) or value is None:
        yield name or "pred", value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _cells(f"{name}_{key}" if name else str(key), item)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _cells(f"{name or 'pred'}_{index}", item)
    else:
        raise ConfigError(f"TableWriter: no cell of a table can hold a {type(value).__name__}", value=value)


def _unique(pairs: Iterable[tuple[str, Value]]) -> dict[str, Value]:
    columns: dict[str, Value] = {}
    for name, value in pairs:
        if name in columns:
            raise ConfigError(f"TableWriter: two columns have the name {name!r}", value=name)
        columns[name] = value
    return columns


def _transpose(rows: Sequence[Mapping[str, object]]) -> dict[str, Sequence[object]]:
    for row in rows:
        _check_names(row, rows[0])
    return {name: [row[name] for row in rows] for name in rows[0]}


def _check_names(names: Collection[str], expected: Collection[str]) -> None:
    if set(names) != set(expected):
        raise ConfigError(
            f"TableWriter: a row has the columns {_shorten(names)}; before it, rows had {_shorten(expected)}"
        )


def _shorten(columns: Collection[str]) -> str:
    names = list(columns)
    return ", ".join(names[:8]) + (f", … ({len(names)})" if len(names) > 8 else "")
