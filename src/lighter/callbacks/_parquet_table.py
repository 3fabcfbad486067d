"""A table as Parquet: the part that a rank streams rows to, and the table made of all parts.

An unfinished Parquet file cannot be read; an unfinished Arrow IPC stream can, up to its last batch. So a part is one.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import chain, islice
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
from numpy.typing import NDArray

from lighter.errors import ConfigError

ROW_GROUP = 8192


class Part:
    """A new Arrow IPC stream that takes rows a batch at a time and holds back none; the first batch fixes the types."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb")
        self._schema: Any = None
        self._stream: Any = None

    def write(self, names: Sequence[str], columns: Sequence[Sequence[object]]) -> None:
        kinds = self._schema.types if self._schema else [None] * len(names)
        arrays = [_array(values, name, kind) for values, name, kind in zip(columns, names, kinds, strict=True)]
        batch = pa.RecordBatch.from_arrays(arrays, names=names)
        if self._stream is None:
            self._schema = batch.schema
            self._stream = pa.ipc.new_stream(self._file, self._schema)
        self._stream.write_batch(batch)
        self._file.flush()

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        self._file.close()


def sort(part: Path, order: NDArray[np.int64]) -> None:
    """Bring a part's rows into this order: sort runs of a row group's size, then gather each row group from all runs.

    In memory are a row group and 8 bytes a row; `Table.take` on the whole part would copy all of it.
    """
    places = np.argsort(order)  # where each row goes
    runs, ordered = (part.with_name(f"{part.name}-{name}") for name in ("runs", "sorted"))
    _write_sorted_runs(part, runs, places)
    with pa.memory_map(str(runs)) as file, ordered.open("xb") as target:
        table = pa.ipc.open_stream(file).read_all()
        with pa.ipc.new_stream(target, table.schema) as out:
            for group in _gathered(table.to_batches(), places):
                out.write_table(group)
    runs.unlink()
    ordered.replace(part)


def finish(parts: Sequence[Path], target: Path, *, keyed: bool) -> None:
    """Make the table of the parts; where they are keyed, rows go by their first two columns, which are left out."""
    with ExitStack() as stack:
        streams = [pa.ipc.open_stream(stack.enter_context(part.open("rb"))) for part in parts]
        schema = _common_schema([pa.schema(list(stream.schema)[2 if keyed else 0 :]) for stream in streams])
        tables = _merged(streams, schema) if keyed else _grouped(streams)
        with pq.ParquetWriter(target, schema) as out:
            for table in tables:
                out.write_table(table)


def _write_sorted_runs(part: Path, target: Path, places: NDArray[np.int64]) -> None:
    """Write the part's rows in runs, each a batch sorted by its rows' places; sort `places` in the same way."""
    start = 0
    with (
        part.open("rb") as file,
        target.open("xb") as out,
        pa.ipc.open_stream(file) as stream,
        pa.ipc.new_stream(out, stream.schema) as sink,
    ):
        for table in _grouped([stream]):
            run = places[start : start + len(table)]
            sink.write_table(table.combine_chunks().take(np.argsort(run)))
            run.sort()
            start += len(table)
    assert start == len(places)


def _gathered(runs: Sequence[Any], places: NDArray[np.int64]) -> Iterator[Any]:
    """Yield the rows of sorted runs by their places, a row group at a time."""
    run_places = np.split(places, np.cumsum([len(run) for run in runs])[:-1])
    for first in range(0, len(places), ROW_GROUP):
        spans = [np.searchsorted(run, (first, first + ROW_GROUP)) for run in run_places]
        rows = [run.slice(start, stop - start) for run, (start, stop) in zip(runs, spans, strict=True)]
        found = np.concatenate([run[start:stop] for run, (start, stop) in zip(run_places, spans, strict=True)])
        yield pa.Table.from_batches(rows).combine_chunks().take(np.argsort(found))


def _array(values: Sequence[object], name: str, kind: Any) -> Any:
    """Return a column, of this type unless it is None; pyarrow itself would cut 0.5 down to an int64 without a word."""
    cause: Exception | None = None
    try:
        array = pa.array(values)
        if kind in (None, array.type):
            return array
        if pa.types.is_null(array.type) or (pa.types.is_integer(array.type) and pa.types.is_floating(kind)):
            return array.cast(kind)
    except (pa.ArrowException, OverflowError) as error:
        cause = error
    raise ConfigError(
        f"TableWriter: column {name!r} is not {kind or 'of one type'} in every row",
        suggestion="let `writer` return one type for a column",
    ) from cause


def _common_schema(schemas: Sequence[Any]) -> Any:
    if not schemas:
        return pa.schema([("identifier", pa.string())])
    if any(schema.names != schemas[0].names for schema in schemas):
        raise ConfigError("TableWriter: the ranks wrote different columns; their parts are kept")
    try:
        return pa.unify_schemas(schemas, promote_options="permissive")
    except pa.ArrowException as error:
        raise ConfigError(f"TableWriter: the ranks wrote different types: {error}; their parts are kept") from error


def _grouped(streams: Sequence[Any]) -> Iterator[Any]:
    """Yield the streams' rows as they are, a row group at a time."""
    batches: list[Any] = []
    rows = 0
    for batch in chain.from_iterable(streams):
        batches.append(batch)
        rows += batch.num_rows
        if rows >= ROW_GROUP:
            yield pa.Table.from_batches(batches)
            batches, rows = [], 0
    if batches:
        yield pa.Table.from_batches(batches)


def _merged(streams: Sequence[Any], schema: Any) -> Iterator[Any]:
    """Yield the rows of several keyed streams in the order of their keys, a row group at a time."""
    rows = heapq.merge(*map(_rows, streams), key=itemgetter(0, 1))
    while group := list(islice(rows, ROW_GROUP)):
        columns = list(zip(*group, strict=True))[2:]
        arrays = [_array(values, field.name, field.type) for values, field in zip(columns, schema, strict=True)]
        yield pa.Table.from_arrays(arrays, schema=schema)


def _rows(stream: Any) -> Iterator[tuple[Any, ...]]:
    for batch in stream:
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)
