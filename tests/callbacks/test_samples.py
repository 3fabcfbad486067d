from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, IterableDataset, SequentialSampler

from lighter.callbacks._samples import Batch, SampleWriter, batch_size, unbatch
from lighter.errors import ConfigError

from .parts import ADVICE, Numbers, Predictor, trainer

pytestmark = ADVICE


class Collect(SampleWriter):
    """Keep what a writer is given."""

    def __init__(self) -> None:
        super().__init__("", overwrite=False)
        self.batches: list[Batch] = []

    def prepare(self, trainer: Trainer) -> None:
        pass

    def write(self, trainer: Trainer, batch: Batch) -> None:
        self.batches.append(batch)

    @property
    def places(self) -> list[tuple[object, int]]:
        return [place for batch in self.batches for place in zip(batch.identifiers, batch.positions, strict=True)]


class Stream(IterableDataset[Tensor]):
    def __iter__(self) -> Iterator[Tensor]:
        return iter(torch.arange(5.0))


def collect(function: Callable[[Tensor], Any], *loaders: Any, **arguments: Any) -> Collect:
    writer = Collect()
    trainer(writer, **arguments).predict(Predictor(function), list(loaders), return_predictions=False)
    return writer


@pytest.mark.parametrize("workers", [0, 2])
def test_a_sample_is_identified_by_its_position(workers: int) -> None:
    writer = collect(lambda batch: batch, DataLoader(Numbers(7), 3, num_workers=workers))
    assert writer.places == [(index, index) for index in range(7)]


@pytest.mark.filterwarnings("ignore:.*sampler has shuffling enabled")
def test_positions_follow_a_shuffled_loader() -> None:
    writer = collect(lambda batch: batch[:, 0], DataLoader(Numbers(7), 3, shuffle=True))
    assert [position for _, position in writer.places] == torch.cat([b.pred for b in writer.batches]).tolist()  # type: ignore[misc]


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda batch: [f"n{value:.0f}" for value in batch[:, 0]], "n5"),
        (lambda batch: batch[:, 0].int(), 5),
        (lambda batch: batch[:, 0].int().numpy(), 5),
        (lambda batch: batch[:, 0].int().numpy().astype(str), "5"),
        (lambda batch: tuple(batch[:, 0].int()), 5),
        (lambda batch: None, 5),
    ],
)
def test_identifiers_come_from_the_output(make: Callable[[Tensor], Any], expected: object) -> None:
    writer = collect(lambda batch: {"identifier": make(batch), "pred": batch, "loss": None}, DataLoader(Numbers(7), 3))
    assert writer.places[5] == (expected, 5)
    assert all(isinstance(batch.pred, Tensor) for batch in writer.batches)


def test_samples_with_identifiers_may_be_more_or_fewer_than_the_batch() -> None:
    def even(batch: Tensor) -> Any:
        values = [value for value in batch[:, 0].int().tolist() for _ in range(2 - value % 2 * 2)]
        return {"identifier": [f"{value}" for value in values], "pred": values}

    assert [name for name, _ in collect(even, DataLoader(Numbers(5), 2)).places] == list("002244")


def test_an_iterable_dataset_is_counted() -> None:
    with pytest.warns(UserWarning, match="Couldn't infer the batch indices"):
        writer = collect(lambda batch: batch, DataLoader(Stream(), 2))
    assert writer.places == [(index, index) for index in range(5)]


def test_an_iterable_dataset_after_another_does_not_get_its_positions() -> None:
    with pytest.warns(UserWarning, match="Couldn't infer the batch indices"):
        writer = collect(lambda batch: batch, DataLoader(Numbers(4), 2), DataLoader(Stream(), 2))
    assert [(batch.dataloader_idx, *batch.positions) for batch in writer.batches] == [
        (0, 0, 1),
        (0, 2, 3),
        (1, 0, 1),
        (1, 2, 3),
        (1, 4),
    ]


def test_keys_that_are_no_positions_are_counted() -> None:
    class Named(Numbers):
        def __getitem__(self, index: Any) -> Tensor:
            return torch.tensor([float(ord(index))])

    writer = collect(lambda batch: batch, DataLoader(Named(3), 2, sampler=list("abc")))
    assert writer.places == [(0, 0), (1, 1), (2, 2)]


def test_lightning_keeps_no_positions_of_finished_batches() -> None:
    class Look(Callback):
        kept: list[int] = []

        def on_predict_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
            loader: Any = trainer.predict_dataloaders
            self.kept.append(sum(map(len, loader.batch_sampler.seen_batch_indices)))

    first, second, look = Collect(), Collect(), Look()
    sampler = BatchSampler(SequentialSampler(range(9)), 3, drop_last=False)
    run = trainer(first, second, look)
    run.predict(Predictor(lambda batch: batch), DataLoader(Numbers(9), batch_sampler=sampler), return_predictions=False)
    assert look.kept == [0, 0, 0]
    assert first.places == second.places == [(index, index) for index in range(9)]


def test_other_stages_write_nothing() -> None:
    class Refuse(Collect):
        def prepare(self, trainer: Trainer) -> None:
            raise AssertionError

    class Tested(Predictor):
        def test_step(self, batch: Tensor, batch_idx: int) -> None:
            pass

    trainer(Refuse()).test(Tested(lambda batch: batch), DataLoader(Numbers(2)), verbose=False)


def test_a_prediction_is_taken_apart_by_its_kind() -> None:
    boxes = torch.arange(4.0).reshape(2, 2)
    names = ["a", "b"]
    assert [sample.tolist() for sample in unbatch(boxes, 2)] == [[0, 1], [2, 3]]
    assert unbatch(names, 2) == names
    first, second = unbatch({"out": (boxes, names), "masks": None}, 2)
    assert first["out"][0].tolist() == [0, 1]
    assert (second["out"][1], second["masks"]) == ("b", None)


def test_a_missing_prediction_is_an_error() -> None:
    with pytest.raises(ConfigError, match="Collect: predict_step returned no prediction"):
        collect(lambda batch: {"pred": None}, DataLoader(Numbers(3), 2))


def test_a_squeezed_batch_of_one_is_one_sample() -> None:
    assert unbatch(torch.tensor(3), 1) == [torch.tensor(3)]
    assert batch_size(torch.tensor(3)) == 1


@pytest.mark.parametrize(
    ("pred", "message"),
    [
        (torch.zeros(3, 2), r"a tensor of shape \(3, 2\) apart into 2 samples"),
        ([torch.zeros(2)] * 3, "a list of 3 apart into 2 samples"),
        ({"a": torch.zeros(2), "b": torch.tensor(1)}, r"a tensor of shape \(\) apart"),
        (None, "a NoneType apart"),
        ({}, "a dict of 0 apart"),
    ],
)
def test_a_prediction_of_another_size_is_an_error(pred: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        unbatch(pred, 2)
