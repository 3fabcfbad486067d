from __future__ import annotations

from functools import partial

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from lighter.errors import ConfigError
from lighter.utils.data import collate_replace_corrupted


class Holed(Dataset[int | None]):
    """Sample i is i, or None where i is a multiple of `hole`."""

    def __init__(self, hole: int) -> None:
        self.hole = hole

    def __len__(self) -> int:
        return 30

    def __getitem__(self, index: int) -> int | None:
        return index if index % self.hole else None


def batches(dataset: Holed, workers: int = 0) -> list[list[int]]:
    torch.manual_seed(1)
    collate = partial(collate_replace_corrupted, dataset=dataset)
    return [batch.tolist() for batch in DataLoader(dataset, 10, collate_fn=collate, num_workers=workers)]


@pytest.mark.parametrize("workers", [0, 1])
def test_corrupted_samples_are_replaced_by_others_of_the_dataset(workers: int) -> None:
    found = [sample for batch in batches(Holed(3), workers) for sample in batch]
    assert len(found) == 30
    assert all(index == sample for index, sample in enumerate(found) if index % 3)
    assert all(sample % 3 for sample in found)


def test_replacements_follow_the_seed() -> None:
    assert batches(Holed(3)) == batches(Holed(3))


def test_the_given_function_collates() -> None:
    assert collate_replace_corrupted([1, 2], Holed(3), default_collate_fn=sum) == 3


def test_a_dataset_of_corrupted_samples_is_an_error() -> None:
    with pytest.raises(ConfigError, match="were all None"):
        batches(Holed(1))
