"""What a loader yields is a function of seed and epoch, wherever it is loaded and from wherever it starts."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    RandomSampler,
    Subset,
    TensorDataset,
    WeightedRandomSampler,
    get_worker_info,
)

from lighter.exact.loader import ExactLoader, has_own_way

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
    "own generators": lambda **options: loader(Keeping(), **options),
    "own generators in workers": lambda **options: loader(Keeping(), worker_init_fn=new_generators, **options),
    "sampler with generators": lambda **options: loader(shuffle=False, sampler=Choosing(), **options),
    "collate with a generator": lambda **options: loader(
        collate_fn=partial(shifting, np.random.default_rng()), **options
    ),
    "collate that encloses a generator": lambda **options: loader(collate_fn=enclosing(), **options),
    "at once": lambda **options: loader(AtOnce(), **options),
}


class Ends(Noisy):
    """A dataset that has nothing at any index."""

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        raise StopIteration


class Lazy:
    """A batch sampler that draws at every batch, as those that make buckets do."""

    def __len__(self) -> int:
        return 7

    def __iter__(self) -> Any:
        for _ in range(7):
            yield [int(torch.randint(SAMPLES, ())), int(np.random.randint(SAMPLES))]


class Shift:
    """A transform that keeps a generator of its own, as those of some libraries do."""

    def __init__(self) -> None:
        self.state = np.random.RandomState()

    def __call__(self, x: Tensor) -> Tensor:
        return x + float(self.state.uniform())


class Keeping(Noisy):
    """Samples augmented from generators of every kind that the dataset keeps."""

    def __init__(self) -> None:
        super().__init__()
        self.numpy, self.python, self.torch = np.random.default_rng(), random.Random(), torch.Generator()
        self.transforms = [Shift()]

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        x, y = super().__getitem__(index)
        noise = float(self.numpy.normal()) + self.python.random() + torch.rand(len(x), generator=self.torch)
        return self.transforms[0](x + noise), y


def new_generators(worker: int) -> None:
    info = get_worker_info()
    assert info is not None
    info.dataset.numpy = np.random.default_rng(info.seed)  # type: ignore[attr-defined]


class Choosing:
    """A sampler with a generator of its own."""

    def __init__(self) -> None:
        self.generator = np.random.default_rng()

    def __len__(self) -> int:
        return 17

    def __iter__(self) -> Any:
        return (int(self.generator.integers(SAMPLES)) for _ in range(17))


class AtOnce(Noisy):
    def __getitems__(self, indices: list[int]) -> list[tuple[Tensor, int]]:
        noise = torch.rand(len(indices))
        return [(self.x[index] + extra, int(self.y[index])) for index, extra in zip(indices, noise, strict=True)]


def enclosing() -> Any:
    generator = np.random.default_rng()

    def collate(samples: list[Any]) -> Any:
        return shifting(generator, samples)

    return collate


def shifting(generator: np.random.Generator, samples: list[Any]) -> Any:
    x, y = mixing(samples)
    return x + float(generator.normal()), y


class Exact:
    """A loader with the epoch at hand."""

    def __init__(self, given: DataLoader[Any], seed: int = SEED, *, rank: int = 0, goes_round: bool = True) -> None:
        self.now = 0
        self.made = ExactLoader(given, seed, lambda: self.now, rank=rank, goes_round=goes_round)

    def epoch(self, number: int = 0, start: int = 0) -> list[Tensor]:
        """Return the batches of an epoch, each with what a step then draws, whatever else draws in between."""
        self.now = number
        self.made.go_to(start, goes_round=True)
        seed_at_random()
        batches = []
        for x, _ in self.made:
            batches.append(torch.cat([x.flatten(), torch.rand(1)]))
            seed_at_random()
        return batches


def equal(one: list[Tensor], other: list[Tensor]) -> bool:
    return len(one) == len(other) and all(map(torch.equal, one, other))


@pytest.mark.parametrize("kind", KINDS)
def test_an_epoch_is_the_same_whenever_and_wherever_it_is_loaded(kind: str) -> None:
    torch.manual_seed(0)
    build = KINDS[kind]
    made = Exact(build())
    first = made.epoch(1)
    assert len(first) == len(made.made) == len(build())
    assert equal(made.epoch(1), first)
    assert not equal(made.epoch(2), first)
    torch.manual_seed(0)
    assert equal(Exact(build(num_workers=2)).epoch(1), first)
    torch.manual_seed(0)
    assert not equal(Exact(build(), SEED + 1).epoch(1), first)


@pytest.mark.parametrize("kind", KINDS)
def test_an_epoch_goes_on_from_any_batch(kind: str) -> None:
    torch.manual_seed(0)
    made = Exact(KINDS[kind]())
    whole = made.epoch(3)
    for start in (1, len(whole) - 1):
        assert equal(made.epoch(3, start), whole[start:])


@pytest.mark.parametrize("kind", ["lazy sampler", "own generators"])
def test_an_epoch_goes_on_with_workers(kind: str) -> None:
    assert equal(Exact(KINDS[kind](num_workers=1)).epoch(3, 2), Exact(KINDS[kind]()).epoch(3)[2:])


def test_no_data_is_read_of_the_batches_before_the_start() -> None:
    read = []

    class Counting(Noisy):
        def __getitem__(self, index: int) -> tuple[Tensor, int]:
            read.append(index)
            return super().__getitem__(index)

    made = Exact(loader(Counting()))
    made.epoch(start=4)
    assert len(read) == SAMPLES - 4 * BATCH + BATCH  # the first batch was read twice, to see whether it is the same
    read.clear()
    made.epoch(start=4)
    assert len(read) == SAMPLES - 4 * BATCH


def test_workers_that_stay_know_the_epoch_and_can_be_sent_away() -> None:
    made = Exact(loader(num_workers=1, persistent_workers=True))
    plain = Exact(loader())
    for number in range(3):
        assert equal(made.epoch(number), plain.epoch(number))
    (worker,) = made.made._iterator._workers
    made.made._iterator._shutdown_workers()
    assert not worker.is_alive()


class ByEpoch:
    """A batch sampler that goes by what it is told."""

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Any:
        yield [self.epoch] * 2


def test_a_batch_sampler_is_told_the_epoch() -> None:
    made = Exact(DataLoader(TensorDataset(torch.arange(9), torch.arange(9)), batch_sampler=ByEpoch()))
    assert [made.epoch(number)[0][0].item() for number in (3, 5)] == [3, 5]


def test_ranks_draw_in_one_order_and_augment_differently() -> None:
    data = [loader(TensorDataset(torch.arange(9), torch.arange(9))) for _ in range(2)]
    assert equal(Exact(data[0]).epoch(1), Exact(data[1], rank=1).epoch(1))
    assert not equal(Exact(loader()).epoch(1), Exact(loader(), rank=1).epoch(1))


def test_samples_that_are_drawn_twice_are_augmented_anew() -> None:
    ones = Exact(DataLoader(Noisy(1), sampler=WeightedRandomSampler([1.0], 8)))
    assert len({x[0].item() for x in ones.epoch()}) == 8


def test_a_loader_that_goes_round_draws_anew_and_goes_on_in_its_round() -> None:
    made = Exact(loader())
    rounds = [[x for x, _ in made.made] for _ in range(2)]
    assert not equal(rounds[0], rounds[1])
    made.made.go_to(len(made.made) + 2, goes_round=True)
    assert equal([x for x, _ in made.made], rounds[1][2:])


def test_a_loader_that_has_ended_stays_so_and_seeds_nothing() -> None:
    made = Exact(loader()).made
    made.go_to(len(made) + 2, goes_round=False)
    state = torch.get_rng_state()
    assert list(made) == []
    assert torch.equal(torch.get_rng_state(), state)


def test_a_loader_that_does_not_go_round_draws_the_same_in_an_epoch() -> None:
    made = Exact(loader(), goes_round=False)
    assert equal(*[[x for x, _ in made.made] for _ in range(2)])


def test_an_iterable_dataset_is_read_again() -> None:
    for workers in (0, 1):
        made = Exact(DataLoader(Stream(), batch_size=BATCH, num_workers=workers))
        whole = made.epoch(1)
        assert equal(made.epoch(1), whole)
        assert equal(made.epoch(1, 3), whole[3:])


@pytest.mark.parametrize("draw", ["module", "clock", "late"])
def test_hidden_randomness_is_warned_of(draw: str) -> None:
    made = Exact(loader(Hidden(draw)))
    with pytest.warns(UserWarning, match="exactly: Hidden loads other samples from the same seed") as caught:
        made.epoch()
    assert len(caught) == 1
    made.epoch(1)


GENERATOR = np.random.default_rng()


class Hidden(Noisy):
    def __init__(self, draw: str) -> None:
        super().__init__()
        self.draw = draw

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        x, y = super().__getitem__(index)
        if self.draw == "module":
            return x + float(GENERATOR.normal()), y
        if self.draw == "clock":
            return x + random.SystemRandom().random(), y
        if not hasattr(self, "generator"):
            self.generator = random.Random()
        return x + self.generator.random(), y


def test_a_loader_with_ways_of_its_own_is_told_from_one_that_only_begins_otherwise() -> None:
    class Own(DataLoader[Any]):
        def __iter__(self) -> Any:
            return super().__iter__()

    class Begun(DataLoader[Any]):
        def __init__(self, dataset: Any) -> None:
            super().__init__(dataset, collate_fn=mixing)

    assert has_own_way(Own(Noisy()))
    assert not has_own_way(Begun(Noisy()))


def _shift(worker: int) -> None:
    info = get_worker_info()
    assert info is not None
    assert isinstance(info.dataset, Noisy)
    info.dataset.y = info.dataset.y * 0 + 7


def test_worker_init_fn_finds_the_dataset_itself() -> None:
    made = Exact(loader(num_workers=1, worker_init_fn=_shift)).made
    assert {int(y) for _, ys in made for y in ys} == {7}


def _offset(worker: int) -> None:
    info = get_worker_info()
    assert info is not None
    info.dataset.x += torch.initial_seed() % 97  # type: ignore[attr-defined]


@pytest.mark.parametrize("generator", [None, torch.Generator()])
def test_workers_are_seeded_by_the_epoch(generator: torch.Generator | None) -> None:
    made = Exact(loader(num_workers=1, worker_init_fn=_offset, generator=generator, shuffle=False))
    first = made.epoch(1)
    assert equal(made.epoch(1), first)
    assert abs(float(first[0][0] - made.epoch(2)[0][0])) > 4  # an augmented sample differs by less


def test_an_exact_loader_looks_like_the_given_one() -> None:
    given = loader(num_workers=1)
    made = Exact(given).made
    assert (made.dataset, made.sampler, made.batch_sampler) == (given.dataset, given.sampler, given.batch_sampler)
    assert (made.batch_size, made.num_workers, len(made)) == (BATCH, 1, len(given))
    assert len(made.dataset[0]) == 2


@pytest.mark.parametrize("batch", [BATCH, None])
def test_a_dataset_that_raises_stop_iteration_does_not_end_the_epoch_without_a_word(batch: int | None) -> None:
    with pytest.raises(RuntimeError, match="the dataset raised StopIteration at index"):
        list(ExactLoader(loader(Ends(), batch_size=batch), SEED, lambda: 0))
