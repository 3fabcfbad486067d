"""Data of a project's own."""

from __future__ import annotations

from typing import Any, Literal

import pytorch_lightning as pl
from torch.utils.data import DataLoader, Dataset


class Table(Dataset[Any]):
    def __init__(self, path: str, *, split: Literal["train", "val", "test"], columns: list[str] | None = None) -> None:
        self.path, self.split, self.columns = path, split, columns


class Prices(pl.LightningDataModule):
    def __init__(self, folder: str, batch_size: int = 32, **options: Any) -> None:
        super().__init__()
        self.folder, self.batch_size, self.workers = folder, batch_size, options.pop("workers", 0)
        if options:
            raise TypeError(f"unknown options: {options}")

    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(Table(f"{self.folder}/train.csv", split="train"), self.batch_size)

    def val_dataloader(self) -> DataLoader[Any]:
        return DataLoader(Table(f"{self.folder}/val.csv", split="val"), self.batch_size)

    def test_dataloader(self) -> DataLoader[Any]:
        return DataLoader(Table(f"{self.folder}/test.csv", split="test"), self.batch_size)


def unpack(batch: Any) -> tuple[Any, Any, None]:
    return batch["features"], batch["price"], None
