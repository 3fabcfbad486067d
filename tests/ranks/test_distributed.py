"""What the ranks draw: all of a step's samples together, none twice, in equally many steps."""

from __future__ import annotations

import random
from itertools import product
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer.states import RunningStage
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, SequentialSampler
from torch.utils.data.distributed import DistributedSampler

from lighter._distributed import DistributedBatches
from lighter.exact.distribute import distribute_batches

from .parts import ByLength, Points, Shuffled


@pytest.mark.parametrize(("ranks", "size", "drop_last"), [*product((1, 2, 3, 8), (1, 4), (False, True))])
def test_all_ranks_draw_together_what_one_process_would(ranks: int, size: int, drop_last: bool) -> None:
    for samples in range(1, 70):
        given = BatchSampler(SequentialSampler(range(samples)), size, drop_last)
        parts = [DistributedBatches(given, ranks, rank) for rank in range(ranks)]
        drawn = [list(part) for part in parts]
        expected = list(BatchSampler(range(samples), size * ranks, drop_last))
        assert [len(batches) for batches in drawn] == [len(part) for part in parts] == [len(expected)] * ranks
        for step, together in enumerate(expected):
            weights = [part.weights.get(step, 1.0) for part in parts]
            counted = [index for rank in range(ranks) if weights[rank] for index in drawn[rank][step]]
            assert sorted(counted) == together
            assert sum(weights) == pytest.approx(ranks)
            means = [weights[rank] * np.mean(drawn[rank][step]) for rank in range(ranks)]
            assert np.mean(means) == pytest.approx(np.mean(together))
            assert all(batches[step] for batches in drawn)


def test_batches_of_ones_own_are_dealt_whole() -> None:
    parts = [DistributedBatches(ByLength([3, 2, 4]), 2, rank) for rank in (0, 1)]
    assert [list(part) for part in parts] == [[[0, 1, 2], [5, 6, 7, 8]], [[3, 4], [5, 6, 7, 8]]]
    assert [len(part) for part in parts] == [2, 2]
    assert parts[0].weights == {0: pytest.approx(1.2), 1: 2.0}
    assert parts[1].weights == {0: pytest.approx(0.8), 1: 0.0}


@pytest.mark.parametrize("kind", ["torch", "own"])
def test_ranks_that_need_not_step_together_draw_nothing_twice_but_to_have_a_step(kind: str) -> None:
    for samples, ranks in product(range(1, 30), (1, 2, 3)):
        given: Any = BatchSampler(range(samples), 4, False) if kind == "torch" else ByLength([2] * samples)
        parts = [DistributedBatches(given, ranks, rank, together=False) for rank in range(ranks)]
        drawn = [list(part) for part in parts]
        assert [len(batches) for batches in drawn] == [len(part) for part in parts]
        assert all(drawn)
        counted = [
            index
            for part, batches in zip(parts, drawn, strict=True)
            for step, batch in enumerate(batches)
            for index in batch
            if part.weights.get(step) != 0
        ]
        assert sorted(counted) == sorted(index for batch in given for index in batch)
        assert {step for part in parts for step, weight in part.weights.items() if weight == 0} <= {0}


@pytest.mark.parametrize("kind", ["torch", "own"])
def test_with_a_shared_seed_the_ranks_draw_alike_and_leave_the_generators_alone(kind: str) -> None:
    def drawn(rank: int) -> list[list[list[int]]]:
        torch.manual_seed(rank)
        random.seed(rank)
        sampler: Any = RandomSampler(range(21)) if kind == "torch" else Shuffled(21)
        part = DistributedBatches(BatchSampler(sampler, 4, False), 2, rank, seed=5)
        epochs = []
        for _ in range(2):
            before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index]
            epochs.append(list(part))
            assert torch.equal(torch.get_rng_state(), before[0])
            assert (random.getstate(), np.random.get_state()[1].tolist()) == before[1:]  # type: ignore[index]
        return epochs

    first, second = drawn(0), drawn(1)
    for epoch in (0, 1):
        assert sorted(index for batches in (first[epoch], second[epoch]) for batch in batches for index in batch) == [
            *range(21)
        ]
    assert first[0] != first[1]


def test_weights_are_those_of_the_epoch_that_is_drawn() -> None:
    part = DistributedBatches(BatchSampler(range(5), 2, False), 2, 1)
    assert list(part) == [[1, 3], [4]]
    assert part.weights == {1: 0.0}
    next(iter(part))
    assert part.weights == {}


def test_the_epoch_is_passed_on_to_the_sampler() -> None:
    data = Points(4)
    part = DistributedBatches(DistributedSampler(data, num_replicas=1, rank=0), 2, 0)
    part.set_epoch(3)
    assert part.sampler.epoch == 3
    DistributedBatches(range(4), 2, 0).set_epoch(3)


class Ranked:
    """A batch sampler that sees to the ranks itself."""

    batch_size, num_replicas = 2, 2

    def __len__(self) -> int:
        return 2

    def __iter__(self) -> Any:
        return iter([[0, 1], [2, 3]])


@pytest.mark.parametrize("by", ["sampler", "batch sampler", "the Trainer"])
def test_a_loader_that_sees_to_the_ranks_itself_is_left_alone(by: str) -> None:
    data = Points(8)
    loader: DataLoader[Any] = {
        "sampler": DataLoader(data, sampler=DistributedSampler(data, num_replicas=2, rank=0)),
        "batch sampler": DataLoader(data, batch_sampler=Ranked()),
        "the Trainer": DataLoader(data),
    }[by]
    trainer = pl.Trainer(
        accelerator="cpu", devices=2, strategy="ddp_fork", use_distributed_sampler=by != "the Trainer", logger=False
    )
    distribute_batches(trainer, seeded=True)
    connector: Any = trainer._data_connector
    assert connector._prepare_dataloader(loader, shuffle=False, mode=RunningStage.TRAINING) is loader
