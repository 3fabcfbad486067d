"""What a loader yields is a function of seed and epoch, wherever it is loaded and from wherever it starts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    RandomSampler,
    Subset,
    WeightedRandomSampler,
    get_worker_info,
)

from lighter.exact.loader import ExactLoader, exact, what_is_not_exact

from .parts import BATCH, SAMPLES, SEED, Noisy, Stream, loader, mixing, seed_at_random

KINDS: dict[str, Any] = {
    "shuffled": lambda **options: loader(**options),
    "in order": lambda **options: loader(shuffle=False, **options),
    "drop_last": lambda **options: loader(drop_last=True, **options),
    "random collate": lambda **options: loader(collate_fn=mixing, **options),
    "subset": lambda **options: loader(Subset(Noisy(), range(3, 20)), **options),
    "own generator": lambda **options: loader(generator=torch.Generator(), **options),
    "weighted": lambda **options: loader(
        shuffle=False, sampler=WeightedRandomSampler(torch.rand(SAMPLES).tolist(), 17), **options
    ),
    "without batches": lambda **options: loader(batch_size=None, **options),
    "batches by sampler": lambda **options: DataLoader(
        Noisy(), batch_sampler=BatchSampler(RandomSampler(Noisy()), 5, False), **options
    ),
    "lazy sampler": lambda **options: DataLoader(Noisy(), batch_sampler=Lazy(), **options),
}


class Lazy:
    """A batch sampler that draws at every batch, as those that make buckets do."""

    def __len__(self) -> int:
        return 7

    def __iter__(self) -> Any:
        for _ in range(7):
            yield [int(torch.randint(SAMPLES, ())), int(np.random.randint(SAMPLES))]


def epoch(made: DataLoader[Any], number: int = 0, start: int = 0) -> list[Tensor]:
    assert isinstance(made, ExactLoader)
    made.set_epoch(number)
    made.start_at(start)
    seed_at_random()
    batches = []
    for x, _ in made:
        batches.append(torch.cat([x.flatten(), torch.rand(1)]))  # and what a step then draws
        seed_at_random()
    return batches


def equal(one: list[Tensor], other: list[Tensor]) -> bool:
    return len(one) == len(other) and all(map(torch.equal, one, other))


@pytest.mark.parametrize("kind", KINDS)
def test_an_epoch_is_the_same_whenever_and_wherever_it_is_loaded(kind: str) -> None:
    torch.manual_seed(0)
    build = KINDS[kind]
    made = exact(build(), SEED)
    first = epoch(made, 1)
    assert len(first) == len(made) == len(build())
    assert equal(epoch(made, 1), first)
    assert not equal(epoch(made, 2), first)
    torch.manual_seed(0)
    for workers in (1, 2):
        torch.manual_seed(0)
        assert equal(epoch(exact(build(num_workers=workers), SEED), 1), first)
    torch.manual_seed(0)
    assert not equal(epoch(exact(build(), SEED + 1), 1), first)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_goes_on_from_any_batch(kind: str, workers: int) -> None:
    torch.manual_seed(0)
    made = exact(KINDS[kind](num_workers=workers), SEED)
    whole = epoch(made, 3)
    for start in (1, len(whole) - 1):
        assert equal(epoch(made, 3, start), whole[start:])


def test_no_data_is_read_of_the_batches_before_the_start() -> None:
    read = []

    class Counting(Noisy):
        def __getitem__(self, index: int) -> tuple[Tensor, int]:
            read.append(index)
            return super().__getitem__(index)

    epoch(exact(loader(Counting()), SEED), start=4)
    assert len(read) == SAMPLES - 4 * BATCH


def test_workers_that_stay_know_the_epoch() -> None:
    made = exact(loader(num_workers=1, persistent_workers=True), SEED)
    plain = exact(loader(), SEED)
    for number in range(3):
        assert equal(epoch(made, number), epoch(plain, number))


def test_samples_that_are_drawn_twice_are_augmented_anew() -> None:
    ones = exact(DataLoader(Noisy(1), sampler=WeightedRandomSampler([1.0], 8)), SEED)
    assert len({x[0].item() for x in epoch(ones)}) == 8


def test_a_loader_that_goes_round_draws_anew_and_goes_on_in_its_round() -> None:
    made = exact(loader(), SEED)
    assert isinstance(made, ExactLoader)
    made.set_epoch(0)
    rounds = [[x for x, _ in made] for _ in range(2)]
    assert not equal(rounds[0], rounds[1])
    made.set_epoch(0)
    made.start_at(len(made) + 2)
    assert equal([x for x, _ in made], rounds[1][2:])


def test_an_iterable_dataset_is_read_again_and_warned_of() -> None:
    for workers in (0, 1):
        plain = DataLoader(Stream(), batch_size=BATCH, num_workers=workers)
        made = exact(plain, SEED)
        whole = epoch(made, 1)
        assert equal(epoch(made, 1), whole)
        assert equal(epoch(made, 1, 3), whole[3:])
        assert [reason[:30] for reason in what_is_not_exact(plain)] == ["Stream is an iterable dataset."]


def test_a_generator_of_the_dataset_s_own_is_warned_of() -> None:
    class Transform:
        def __init__(self) -> None:
            self.rng = np.random.default_rng(0)

    class Hidden(Noisy):
        def __init__(self) -> None:
            super().__init__()
            self.transforms = [Transform()]

    (reason,) = what_is_not_exact(loader(Subset(Hidden(), [0])))
    assert reason.startswith("Subset.dataset.transforms[0].rng is a random generator of the dataset's own")
    assert what_is_not_exact(loader(Subset(Noisy(), [0]))) == []


def test_a_loader_with_ways_of_its_own_is_left_alone_and_warned_of() -> None:
    class Own(DataLoader[Any]):
        def __iter__(self) -> Any:
            return super().__iter__()

    own = Own(Noisy())
    assert exact(own, SEED) is own
    assert what_is_not_exact(own) == ["Own loads in a way of its own, which `seed` does not cover."]


def _shift(worker: int) -> None:
    info = get_worker_info()
    assert info is not None
    assert isinstance(info.dataset, Noisy)
    info.dataset.y = info.dataset.y * 0 + 7


def test_worker_init_fn_finds_the_dataset_itself() -> None:
    made = exact(loader(num_workers=1, worker_init_fn=_shift), SEED)
    assert {int(y) for _, ys in made for y in ys} == {7}


def test_the_dataset_of_the_loader_has_the_attributes_of_the_given_one() -> None:
    made: Any = exact(loader(), SEED)
    assert len(made.dataset) == SAMPLES
    assert made.dataset.x.shape[0] == SAMPLES
    assert isinstance(made.dataset, Dataset)
