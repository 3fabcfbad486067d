"""Models of a project's own."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn


class Base(nn.Module):
    """Hold a backbone.

    Args:
        features: how many numbers describe a sample.
        width: how many the backbone makes of them.
    """

    def __init__(self, features: int, width: int = 16) -> None:
        super().__init__()
        self.backbone = nn.Linear(features, width)


class Network(Base):
    """Predict a price.

    Args:
        heads: how many numbers each head predicts.
        groups: which heads are trained together.
    """

    def __init__(
        self,
        depth: int = 1,
        heads: dict[str, int] | None = None,
        groups: list[list[int]] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.heads, self.groups = heads, groups
        self.head = nn.Sequential(*(nn.LazyLinear(1) for _ in range(depth)))

    @classmethod
    def of_depth(cls, depth: int, **kwargs: Any) -> Network:
        return cls(depth=depth, **kwargs)

    def forward(self, features: Tensor) -> Any:
        return self.head(self.backbone(features))


class Norm(enum.Enum):
    BATCH = 1
    LAYER = 2


@dataclass
class Shape:
    width: int = 8
    depth: int = 1


class Configured(nn.Module):
    def __init__(self, config: Shape | None = None, norm: Norm = Norm.BATCH) -> None:
        super().__init__()
        self.config, self.norm = config, norm


def make(name: str, **kwargs: Any) -> nn.Module:
    """Make a model.

    Args:
        name: the kind of model.
    """
    return {"wide": Network}[name](**kwargs)
