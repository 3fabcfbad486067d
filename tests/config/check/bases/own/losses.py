"""Losses and metrics of a project's own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import Metric


def weighted(prediction: Tensor, truth: Tensor, *, weight: float = 1.0) -> Tensor:
    return weight * (prediction - truth).abs().mean()


class Margin(nn.Module):
    def __init__(self, margin: float = 0.0) -> None:
        super().__init__()
        self.margin = margin

    def forward(self, scores: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        return (weights * (self.margin - scores * labels)).mean()


class Spread(Metric):
    values: Tensor

    def __init__(self, quantile: float = 0.5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.quantile = quantile
        self.add_state("values", torch.zeros(1), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        self.values += (preds - target).quantile(self.quantile)

    def compute(self) -> Tensor:
        return self.values


LIMIT = 0.5
