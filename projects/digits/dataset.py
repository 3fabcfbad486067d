"""The digits as datasets: 8x8 images in [0, 1], one channel, with the label from 0 to 9."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

FILE = Path(__file__).parent / "data" / "digits.npz"
SPLITS = {"train": (0, 1257), "val": (1257, 1527), "test": (1527, 1797)}
BRIGHTEST = 16


class Digits(Dataset[tuple[Tensor, int]]):
    """Give `(image, label)` of one split: train, val or test."""

    def __init__(self, split: str, transform: Callable[[Tensor], Tensor] | None = None) -> None:
        if split not in SPLITS:
            raise ValueError(f"split is {split!r}, but must be one of {', '.join(SPLITS)}")
        with np.load(FILE) as arrays:
            images, labels = arrays["images"], arrays["labels"]
        # RandomState's streams are frozen, so the split is the same with every version of numpy.
        self.rows = np.random.RandomState(0).permutation(len(labels))[slice(*SPLITS[split])]
        self.images = torch.from_numpy(images[self.rows]).unsqueeze(1) / BRIGHTEST
        self.labels = labels[self.rows].tolist()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = self.images[index]
        return (self.transform(image) if self.transform else image), self.labels[index]


class DigitRecords(Dataset[dict[str, Tensor | int | str]]):
    """Give each digit as a record: its image, its label, and a name that says which row of the file it is."""

    def __init__(self, split: str) -> None:
        self.digits = Digits(split)

    def __len__(self) -> int:
        return len(self.digits)

    def __getitem__(self, index: int) -> dict[str, Tensor | int | str]:
        image, label = self.digits[index]
        return {"image": image, "label": label, "name": f"digit-{self.digits.rows[index]:04d}"}
