from __future__ import annotations

import csv
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from lighter.callbacks import TableWriter, _csv_table, _parquet_table
from lighter.errors import ConfigError

from .parts import ADVICE, Growth, Numbers, Predictor, predict, trainer

pytestmark = ADVICE

SUFFIXES = pytest.mark.parametrize("suffix", [".csv", ".parquet"])


def read(path: Path) -> list[dict[str, Any]]:
    """Return a table's rows; numbers are numbers, whatever the format."""
    if path.suffix == ".parquet":
        rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
        return rows
    with path.open(newline="", encoding="utf-8") as file:
        return [{name: _number(value) for name, value in row.items()} for row in csv.DictReader(file)]


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


@SUFFIXES
@pytest.mark.parametrize(
    ("function", "columns"),
    [
        (lambda batch: batch[:, 0], ["pred"]),
        (lambda batch: batch, ["pred_0", "pred_1"]),
        (lambda batch: {"identifier": None, "pred": batch, "input": batch, "loss": None}, ["pred_0", "pred_1"]),
        (lambda batch: {"x": batch[:, 0], "y": {"z": batch[:, 1]}}, ["x", "y_z"]),
        (lambda batch: (batch[:, 0], batch[:, 1:]), ["pred_0", "pred_1_0"]),
        (lambda batch: list(batch), ["pred_0", "pred_1"]),
        (lambda batch: [{"x": row[0], "y": row[1].item()} for row in batch], ["x", "y"]),
        (lambda batch: batch.numpy(), ["pred_0", "pred_1"]),
        (lambda batch: batch.bfloat16(), ["pred_0", "pred_1"]),
    ],
)
def test_a_prediction_becomes_columns(
    tmp_path: Path, suffix: str, function: Callable[[Tensor], Any], columns: list[str]
) -> None:
    path = tmp_path / "new" / f"table{suffix}"
    predict(TableWriter(path), function)
    values = [(index, index, -index) for index in range(10)]
    assert read(path) == [dict(zip(["identifier", *columns], row, strict=False)) for row in values]
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@SUFFIXES
@pytest.mark.parametrize(
    ("writer", "columns"),
    [
        (lambda sample: sample[0], ["pred"]),
        (lambda sample: sample[0].item(), ["pred"]),
        (lambda sample: sample, ["pred_0", "pred_1"]),
        (lambda sample: sample.tolist(), ["pred_0", "pred_1"]),
        (lambda sample: {"x": sample[0], "y": sample[1].item()}, ["x", "y"]),
        (lambda sample: {"x": sample[0], "y": [sample[1]]}, ["x", "y_0"]),
    ],
)
def test_a_writer_makes_the_columns(
    tmp_path: Path, suffix: str, writer: Callable[[Tensor], Any], columns: list[str]
) -> None:
    path = tmp_path / f"table{suffix}"
    predict(TableWriter(path, writer))
    values = [(index, index, -index) for index in range(10)]
    assert read(path) == [dict(zip(["identifier", *columns], row, strict=False)) for row in values]


@SUFFIXES
def test_identifiers_and_texts_come_back(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"table{suffix}"
    names = ['a,"b"', "c\nd", "é", "e/f"]
    predict(TableWriter(path), lambda batch: {"identifier": names, "pred": names[::-1]}, samples=4)
    assert read(path) == [{"identifier": a, "pred": b} for a, b in zip(names, names[::-1], strict=True)]


def test_csv_cells_are_plain(tmp_path: Path) -> None:
    cells = {"a": 1, "b": 0.5, "c": None, "d": True, "e": "x"}
    predict(TableWriter(tmp_path / "t.csv", lambda sample: cells), samples=1)
    assert (tmp_path / "t.csv").read_bytes() == b"identifier,a,b,c,d,e\n0,1,0.5,,True,x\n"


def test_parquet_has_row_groups_and_types(tmp_path: Path) -> None:
    predict(TableWriter(tmp_path / "t.parquet"), lambda batch: (batch[:, 0].long(), batch[:, 1]), 20_000, 5000)
    table = pq.ParquetFile(tmp_path / "t.parquet")
    assert table.schema_arrow.types == [pa.int64(), pa.int64(), pa.float64()]
    assert table.num_row_groups == 2


@SUFFIXES
def test_several_dataloaders_have_a_column(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"table{suffix}"
    loaders = [DataLoader(Numbers(3), 2), DataLoader(Numbers(2, start=10), 2)]
    trainer(TableWriter(path)).predict(Predictor(lambda batch: batch[:, 0]), loaders, return_predictions=False)
    expected = [(0, 0, 0), (1, 0, 1), (2, 0, 2), (0, 1, 10), (1, 1, 11)]
    assert read(path) == [dict(zip(["identifier", "dataloader", "pred"], row, strict=True)) for row in expected]


@SUFFIXES
@pytest.mark.parametrize("loaders", [1, 2])
def test_ranks_end_in_one_table_in_dataset_order(tmp_path: Path, suffix: str, loaders: int) -> None:
    path = tmp_path / f"table{suffix}"
    run = trainer(TableWriter(path), strategy="ddp_fork", devices=2)
    data = [DataLoader(Numbers(7, start=10 * index), 2) for index in range(loaders)]
    run.predict(Predictor(lambda batch: batch[:, 0]), data, return_predictions=False)
    rows = read(path)
    assert [row["identifier"] for row in rows] == list(range(7)) * loaders
    assert [row["pred"] for row in rows] == [10 * index + value for index in range(loaders) for value in range(7)]
    assert list(rows[0]) == ["identifier", *["dataloader"] * (loaders - 1), "pred"]
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.filterwarnings("ignore:Couldn't infer the batch")
def test_ranks_of_an_iterable_dataset_are_interleaved(tmp_path: Path) -> None:
    class Stream(IterableDataset[Tensor]):
        def __iter__(self) -> Iterator[Tensor]:
            rank = torch.distributed.get_rank()
            return iter(torch.arange(rank, 5.0, 2))

    run = trainer(TableWriter(tmp_path / "t.csv"), strategy="ddp_fork", devices=2)
    run.predict(Predictor(lambda batch: batch), DataLoader(Stream(), 2), return_predictions=False)
    assert [(row["identifier"], row["pred"]) for row in read(tmp_path / "t.csv")] == [(n, n) for n in range(5)]


def test_ranks_with_types_that_differ_end_in_the_wider(tmp_path: Path) -> None:
    def halves(sample: Tensor) -> float | int | None:
        value = int(sample[0])
        return value / 2 if value % 2 else value if value else None

    arguments: dict[str, Any] = {"samples": 6, "batch_size": 3, "strategy": "ddp_fork", "devices": 2}
    predict(TableWriter(tmp_path / "t.parquet", halves), **arguments)
    assert [row["pred"] for row in read(tmp_path / "t.parquet")] == [None, 0.5, 2, 1.5, 4, 2.5]


# --- dataloaders that do not go in dataset order ---

# Lightning's advice against it.
SHUFFLED = pytest.mark.filterwarnings("ignore:.*sampler has shuffling enabled")


def quoted(batch: Tensor) -> dict[str, Any]:
    """Predict texts that a CSV file has to quote, a column of integers and one of floats."""
    texts = [["plain", 'a\n"b"', '"\n', "\r\n,", ""][int(value) % 5] for value in batch[:, 0]]
    return {"pred": {"text": texts, "value": batch[:, 0].long(), "half": batch[:, 0] / 2}}


def in_order(samples: range) -> list[dict[str, Any]]:
    expected = quoted(torch.tensor([[float(index)] for index in samples]))["pred"]
    columns = [expected["text"], expected["value"].tolist(), expected["half"].tolist()]
    rows = zip(range(len(samples)), *columns, strict=True)
    return [dict(zip(["identifier", "text", "value", "half"], row, strict=True)) for row in rows]


@SUFFIXES
@SHUFFLED
@pytest.mark.parametrize(("devices", "samples"), [(1, 2), (1, 23), (2, 2), (2, 23)])
def test_rows_of_a_shuffled_dataloader_end_in_dataset_order(
    tmp_path: Path, suffix: str, devices: int, samples: int
) -> None:
    path = tmp_path / f"table{suffix}"
    run = trainer(TableWriter(path), strategy="ddp_fork" if devices > 1 else "auto", devices=devices)
    loader = DataLoader(Numbers(samples), 4, shuffle=True, generator=torch.Generator().manual_seed(1))
    run.predict(Predictor(quoted), loader, return_predictions=False)
    assert read(path) == in_order(range(samples))
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@SUFFIXES
@SHUFFLED
@pytest.mark.parametrize("devices", [1, 2])
def test_each_dataloader_has_an_order_of_its_own(tmp_path: Path, suffix: str, devices: int) -> None:
    path = tmp_path / f"table{suffix}"
    loaders = [DataLoader(Numbers(9, start=10 * index), 2, sampler=range(9)[:: 1 - 2 * index]) for index in range(3)]
    loaders[2] = DataLoader(Numbers(9, start=20), 2, sampler=[4, 3, 5, 2, 6, 1, 7, 0, 8])
    run = trainer(TableWriter(path), strategy="ddp_fork" if devices > 1 else "auto", devices=devices)
    run.predict(Predictor(lambda batch: batch[:, 0]), loaders, return_predictions=False)
    expected = [(index, loader, 10 * loader + index) for loader in range(3) for index in range(9)]
    assert read(path) == [dict(zip(["identifier", "dataloader", "pred"], row, strict=True)) for row in expected]


@SUFFIXES
def test_a_sample_that_came_several_times_keeps_the_order_of_its_rows(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"table{suffix}"
    count = iter(range(100))
    loader = DataLoader(Numbers(5), 2, sampler=[3, 1, 3, 3, 0, 1, 3])
    function = Predictor(lambda batch: [next(count) for _ in batch])
    trainer(TableWriter(path)).predict(function, loader, return_predictions=False)
    assert [(row["identifier"], row["pred"]) for row in read(path)] == [
        *((0, 4), (1, 1), (1, 5)),
        *((3, 0), (3, 2), (3, 3), (3, 6)),
    ]


@SUFFIXES
def test_a_sampler_may_leave_samples_out(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"table{suffix}"
    loader = DataLoader(Numbers(1000), 2, sampler=[0, 500, 900, 20, 30])
    trainer(TableWriter(path)).predict(Predictor(lambda batch: batch[:, 0]), loader, return_predictions=False)
    assert [(row["identifier"], row["pred"]) for row in read(path)] == [(n, n) for n in (0, 20, 30, 500, 900)]


@SHUFFLED
def test_a_long_shuffled_parquet_table_is_sorted_across_row_groups(tmp_path: Path) -> None:
    loader = DataLoader(Numbers(30_000), 1000, shuffle=True)
    run = trainer(TableWriter(tmp_path / "t.parquet"))
    run.predict(Predictor(quoted), loader, return_predictions=False)
    assert read(tmp_path / "t.parquet") == in_order(range(30_000))


@SUFFIXES
def test_rows_in_dataset_order_are_not_sorted(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (_csv_table, _parquet_table):
        monkeypatch.setattr(module, "sort", lambda *_: pytest.fail("sorted in vain"))
    loaders = [DataLoader(Numbers(5), 2, sampler=sampler) for sampler in ([0, 1, 2, 3, 4], [1, 1, 4], [0])]
    run = trainer(TableWriter(tmp_path / f"t{suffix}"))
    run.predict(Predictor(lambda batch: batch), loaders, return_predictions=False)
    assert len(read(tmp_path / f"t{suffix}")) == 9


def test_sorting_holds_few_bytes_a_row(tmp_path: Path) -> None:
    part, order = tmp_path / "part", np.random.default_rng(1).permutation(50_000)
    table = _csv_table.Part(part)
    table.write(["identifier", "text"], [range(50_000), ["x" * 100] * 50_000])
    table.close()
    tracemalloc.start()
    _csv_table.sort(part, order)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * 50_000
    assert [row["identifier"] for row in read(part)] == order.tolist()


# --- nothing is lost ---

KILLED = """
import os, sys
sys.path.insert(0, {tests!r})
from callbacks.parts import Predictor, Numbers, trainer
from lighter.callbacks import TableWriter
from torch.utils.data import DataLoader

def function(batch):
    if batch[0, 0] == 8:
        os._exit(9)
    return batch

writers = TableWriter({folder!r} + "/t.csv"), TableWriter({folder!r} + "/t.parquet")
trainer(*writers).predict(Predictor(function), DataLoader(Numbers(10), 4))
"""


def test_a_killed_run_keeps_the_rows_of_its_finished_batches(tmp_path: Path) -> None:
    code = KILLED.format(tests=str(Path(__file__).parents[1]), folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert done.returncode == 9, done.stderr.decode()
    parts = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert sorted(parts) == ["t.csv.part-0", "t.parquet.part-0"]
    lines = parts["t.csv.part-0"].decode().splitlines()
    assert lines == ["identifier,pred_0,pred_1", *(f"{index},{index}.0,{-float(index)}" for index in range(8))]
    rows = [row for batch in pa.ipc.open_stream(parts["t.parquet.part-0"]) for row in batch.to_pylist()]
    assert rows == [{"identifier": index, "pred_0": index, "pred_1": -index} for index in range(8)]


@SUFFIXES
def test_a_part_left_behind_is_kept_unless_overwritten(tmp_path: Path, suffix: str) -> None:
    path, part = tmp_path / f"t{suffix}", tmp_path / f"t{suffix}.part-1"
    part.write_text("precious")
    with pytest.raises(ConfigError, match=r"part-1 exists, left by a run that did not end\n.*overwrite: true.*move"):
        predict(TableWriter(path), lambda batch: pytest.fail("predicted in vain"))
    assert part.read_text() == "precious"
    predict(TableWriter(path, overwrite=True))
    assert len(read(path)) == 10
    assert not part.exists()


@SUFFIXES
def test_a_run_that_failed_before_its_first_row_does_not_stop_the_next(tmp_path: Path, suffix: str) -> None:
    def fail(_: Tensor) -> Tensor:
        raise RuntimeError("out of memory")

    path = tmp_path / f"t{suffix}"
    with pytest.raises(RuntimeError, match="out of memory"):
        predict(TableWriter(path), fail)
    predict(TableWriter(path))
    assert len(read(path)) == 10


@SUFFIXES
def test_a_failed_run_keeps_its_rows(tmp_path: Path, suffix: str) -> None:
    def function(batch: Tensor) -> Tensor:
        if batch[0, 0] == 8:
            raise RuntimeError("out of memory")
        return batch

    with pytest.raises(RuntimeError, match="out of memory"):
        predict(TableWriter(tmp_path / f"t{suffix}"), function)
    assert [file.name for file in tmp_path.iterdir()] == [f"t{suffix}.part-0"]


def test_an_existing_table_is_kept_unless_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("precious")
    with pytest.raises(ConfigError, match=r"t.csv exists\n.*overwrite: true"):
        predict(TableWriter(path), lambda batch: pytest.fail("predicted in vain"))
    assert path.read_text() == "precious"


def test_overwrite_keeps_the_old_table_until_the_new_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    predict(TableWriter(path), samples=1)

    def function(batch: Tensor) -> Tensor:
        assert path.read_text() == "identifier,pred_0,pred_1\n0,0.0,-0.0\n"
        return batch

    predict(TableWriter(path, overwrite=True), function)
    assert len(read(path)) == 10


def test_memory_stays_flat(tmp_path: Path) -> None:
    growth = Growth(every=50)
    run = trainer(TableWriter(tmp_path / "t.csv"), TableWriter(tmp_path / "t.parquet"), growth)
    with growth:
        loader = DataLoader(Numbers(20_000), 50)
        run.predict(Predictor(lambda batch: {"pred": batch}), loader, return_predictions=False)
    assert growth.sizes[-1] - growth.sizes[0] < 50_000  # 17,500 samples: less than 3 bytes each


# --- refusals ---


@pytest.mark.parametrize("path", ["table", "table.xlsx", "table.cvs"])
def test_another_suffix_is_an_error(path: str) -> None:
    with pytest.raises(ConfigError, match=r"`path` ends in \.csv or \.parquet"):
        TableWriter(path)


def test_a_writer_that_is_no_callable_is_an_error() -> None:
    with pytest.raises(ConfigError, match="`writer` is a callable, not 'tensor'"):
        TableWriter("t.csv", "tensor")  # type: ignore[arg-type]


def test_parquet_without_pyarrow_is_refused_before_predicting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lighter.callbacks.table_writer.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'lighter\[parquet\]'"):
        predict(TableWriter(tmp_path / "t.parquet"), lambda batch: pytest.fail("predicted in vain"))


@pytest.mark.parametrize(
    ("writer", "message"),
    [
        (lambda s: s[: 1 + int(s[0] > 5)], "columns pred_0, pred_1; before it, rows had pred_0$"),
        (lambda s: {"a" if s[0] < 8 else "b": 1}, "columns identifier, b; before it, rows had identifier, a"),
        (lambda s: {"identifier": 1}, "two columns have the name 'identifier'"),
        (lambda s: {"a": [1], "a_0": 1}, "two columns have the name 'a_0'"),
        (lambda s: object(), "can hold a object"),
    ],
)
def test_rows_that_fit_no_table_are_errors(tmp_path: Path, writer: Callable[[Tensor], Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        predict(TableWriter(tmp_path / "t.csv", writer))


def test_images_are_no_rows(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"shape \(3, 4, 5\) is no row of a table"):
        predict(TableWriter(tmp_path / "t.csv"), lambda batch: torch.zeros(len(batch), 3, 4, 5))


def test_parquet_columns_keep_their_type(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="column 'pred' is not int64 in every row"):
        predict(TableWriter(tmp_path / "t.parquet", lambda s: int(s[0]) if s[0] < 5 else 0.5))
