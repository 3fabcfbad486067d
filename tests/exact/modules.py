"""LightningModules that are no System, and data that comes in a LightningDataModule."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torchmetrics.classification import MulticlassAccuracy

from .parts import CLASSES, Net, loader


class Plain(pl.LightningModule):
    """Log as the books do: means, extremes and metrics of the epoch, which Lightning sums up."""

    def __init__(self) -> None:
        super().__init__()
        self.net = Net()
        self.criterion = nn.CrossEntropyLoss()
        self.accuracy = MulticlassAccuracy(CLASSES, average="micro")
        self.by_hand = MulticlassAccuracy(CLASSES, average="micro")

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        x, y = batch
        logits = self.net(x)
        loss: Tensor = self.criterion(logits, y)
        self.accuracy(logits, y)
        self.by_hand(logits, y)
        self.log("loss", loss, on_step=True, on_epoch=True)
        self.log("largest", loss, on_step=False, on_epoch=True, reduce_fx=max)
        self.log("accuracy", self.accuracy, on_step=False, on_epoch=True)
        if batch_idx == 0:
            self.log("first", loss, on_step=False, on_epoch=True, reduce_fx="sum")
        return loss

    def on_train_epoch_end(self) -> None:
        self.log("by_hand", self.by_hand.compute())
        self.by_hand.reset()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        x, y = batch
        self.log("val", self.criterion(self.net(x), y))

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.parameters(), lr=0.02)
        scheduler = ReduceLROnPlateau(optimizer, factor=0.5, patience=0, mode="max")
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "monitor": "loss_epoch"}}

    def train_dataloader(self) -> Any:
        return loader()

    def val_dataloader(self) -> Any:
        return loader(shuffle=False)


class Manual(Plain):
    """Two optimizers by hand, one of which steps only after every third batch."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        first, second = self.optimizers()  # type: ignore[attr-defined]
        loss = super().training_step(batch, batch_idx)
        self.manual_backward(loss)
        first.step()
        first.zero_grad()
        if batch_idx % 3 == 2:
            second.step()
            second.zero_grad()
        return loss

    def configure_optimizers(self) -> Any:
        first, *others = self.net.parameters()
        return [torch.optim.Adam([first], lr=0.02), torch.optim.SGD(others, lr=0.1, momentum=0.9)]


class Data(pl.LightningDataModule):
    def train_dataloader(self) -> Any:
        return loader()

    def val_dataloader(self) -> Any:
        return loader(shuffle=False)
