"""The project that the valid configs share: data, models, losses and hooks of the kinds that users write."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import BasePredictionWriter
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset
from torchmetrics import Metric, MetricCollection, classification

from lighter import System

# --- data


class Points(Dataset[Any]):
    """Points with the side of a plane that they lie on; `regression` gives their height instead."""

    def __init__(
        self,
        count: int = 8,
        features: int = 4,
        *,
        split: Literal["train", "val", "test"] = "train",
        regression: bool = False,
        noise: float = 0.0,
        transform: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        generator = torch.Generator().manual_seed(len(split))
        self.x = torch.randn(count, features, generator=generator)
        height = self.x.sum(1, keepdim=True) + noise
        self.y = height if regression else (height[:, 0] > 0).long()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        x = self.x[index]
        return (x if self.transform is None else self.transform(x)), self.y[index]


class Records(Points):
    """The same points as mappings, with what else a sample has under `extras`."""

    def __init__(self, *args: Any, extras: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.extras = dict(extras or {})

    def __getitem__(self, index: int) -> dict[str, Any]:  # type: ignore[override]
        x, y = super().__getitem__(index)
        return {"image": x, "label": y, "name": f"sample-{index}", **self.extras}


class Stream(IterableDataset[Any]):
    """Points that come one after the other, and nobody knows how many."""

    def __init__(self, count: int, features: int) -> None:
        self.count, self.features = count, features

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for index in range(self.count):
            yield torch.randn(self.features), torch.tensor(index % 2)


class Boxes(Dataset[Any]):
    """Images with as many boxes as their index says."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> tuple[Tensor, dict[str, Tensor]]:
        return torch.rand(3, 8, 8), {"boxes": torch.rand(1 + index % 2, 4), "labels": torch.ones(1 + index % 2).long()}


def collate_boxes(samples: Sequence[tuple[Tensor, Any]], pad_to: int | None = None) -> tuple[Tensor, list[Any]]:
    images = torch.stack([image for image, _ in samples])
    if pad_to is not None:
        images = functional.pad(images, (0, pad_to - images.shape[-1], 0, pad_to - images.shape[-2]))
    return images, [target for _, target in samples]


def make_loader(dataset: Dataset[Any], train: bool = False, **kwargs: Any) -> DataLoader[Any]:
    """Give every loader of the lab the same settings."""
    defaults: dict[str, Any] = {"batch_size": 4, "shuffle": train, "drop_last": train}
    return DataLoader(dataset, **{**defaults, **kwargs})


class PointsModule(pl.LightningDataModule):
    def __init__(self, root: Path, count: int = 8, *features: int, batch_size: int = 4, **loader: Any) -> None:
        super().__init__()
        self.root = Path(root)
        self.shape = (count, *(features or (4,)))
        self.batch_size = batch_size
        self.loader = loader

    def _loader(self) -> DataLoader[Any]:
        dataset = TensorDataset(torch.randn(self.shape), torch.arange(self.shape[0]) % 2)
        return DataLoader(dataset, batch_size=self.batch_size, **self.loader)

    def train_dataloader(self) -> DataLoader[Any]:
        return self._loader()

    def val_dataloader(self) -> DataLoader[Any]:
        return self._loader()

    def test_dataloader(self) -> DataLoader[Any]:
        return self._loader()

    def predict_dataloader(self) -> DataLoader[Any]:
        return self._loader()


# --- models


class Net(nn.Module):
    """A perceptron, with a `backbone` and a `head` to be named in configs."""

    def __init__(
        self, features: int = 4, classes: int = 2, width: int = 8, activation: Callable[[], nn.Module] = nn.ReLU
    ) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(features, width), activation())
        self.head = nn.Linear(width, classes)

    @classmethod
    def from_width(cls, width: int, **kwargs: Any) -> Net:
        return cls(width=width, **kwargs)

    @staticmethod
    def tiny(classes: int) -> Net:
        return Net(classes=classes, width=2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.backbone(x))
        return out


class DropoutNet(Net):
    """Hand on what is not its own."""

    def __init__(self, *args: Any, dropout: float = 0.5, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.dropout(super().forward(x))
        return out


class NormNet(DropoutNet):
    """Hand on what is not its own either, to a class that does the same."""

    def __init__(self, norm: type[nn.Module] | None = nn.LayerNorm, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.norm = norm(self.head.out_features) if norm else nn.Identity()


class Curriculum(Net):
    """Know how far the training is."""

    def forward(self, x: Tensor, *, epoch: int = 0, step: int = 0) -> Tensor:
        return super().forward(x) / (1 + epoch + 0.1 * step)


class TwoHeads(nn.Module):
    """Return a mapping of predictions; `heads` gives the size of each."""

    def __init__(self, features: int, heads: dict[str, int]) -> None:
        super().__init__()
        self.heads = nn.ModuleDict({name: nn.Linear(features, size) for name, size in heads.items()})

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {name: head(x) for name, head in self.heads.items()}


class Detector(nn.Module):
    def __init__(self, boxes: int) -> None:
        super().__init__()
        self.boxes = boxes
        self.body = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, boxes * 5))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        found = self.body(images).reshape(len(images), self.boxes, 5)
        return {"boxes": found[..., :4], "scores": found[..., 4]}


# --- losses and metrics


class Weighted(nn.Module):
    """Add up losses of torch by their weights: any of `mse`, `l1` and `smooth_l1`; `lambda` weighs the size."""

    LOSSES = {"mse": functional.mse_loss, "l1": functional.l1_loss, "smooth_l1": functional.smooth_l1_loss}

    def __init__(self, **weights: float) -> None:
        super().__init__()
        self.decay = weights.pop("lambda", 0.0)
        self.weights = weights

    def forward(self, pred: Tensor, target: Tensor) -> dict[str, Tensor]:
        losses = {name: weight * self.LOSSES[name](pred, target) for name, weight in self.weights.items()}
        return {**losses, "total": torch.stack([*losses.values()]).sum() + self.decay * pred.square().mean()}


def two_tasks(pred: dict[str, Tensor], target: Tensor, *, side: float = 1, height: float = 1) -> dict[str, Tensor]:
    losses = {
        "side": side * functional.cross_entropy(pred["side"], target),
        "height": height * pred["height"].square().mean(),
    }
    return {**losses, "total": losses["side"] + losses["height"]}


def box_loss(pred: dict[str, Tensor], target: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    box = sum((boxes[0] - truth["boxes"][0]).abs().sum() for boxes, truth in zip(pred["boxes"], target, strict=True))
    score = pred["scores"].square().mean()
    return {"total": box + score, "box": torch.as_tensor(box), "score": score}


class Share(Metric):
    """The share of predictions above a threshold; with `per_class` one value a class, else a mapping."""

    above: Tensor
    seen: Tensor

    def __init__(self, threshold: float = 0, per_class: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.threshold, self.per_class = threshold, per_class
        self.add_state("above", torch.zeros(per_class or 1), dist_reduce_fx="sum")
        self.add_state("seen", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor | None = None) -> None:
        above = (preds > self.threshold).float()
        self.above += above.mean(0) * len(preds) if self.per_class else above.mean() * len(preds)
        self.seen += len(preds)

    def compute(self) -> Any:
        share = self.above / self.seen
        return share if self.per_class else {"above": share[0], "below": 1 - share[0]}


# --- callbacks


class WeightNorm(pl.Callback):
    """Log the norm of the weights under a name of its own."""

    def __init__(self, name: str = "custom/weight_norm", **options: Any) -> None:
        self.name, self.options = name, options

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        norm = torch.stack([weight.detach().norm() for weight in pl_module.parameters()]).norm()
        pl_module.log(self.name, norm, **self.options)


class Shapes(BasePredictionWriter):
    """Write the shape of each batch of predictions, and hand the interval on to Lightning's base class."""

    def __init__(self, path: str | Path, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.path = Path(path)

    def write_on_batch_end(self, trainer: Any, pl_module: Any, prediction: Any, *args: Any) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"{tuple(prediction['pred'].shape)}\n")


# --- systems and trainers


class Noisy(System):
    """Take an argument beside the System's own, and log a value of its own that a config may monitor."""

    def __init__(self, *args: Any, noise: float = 0.1, tags: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.noise, self.tags = noise, tuple(tags)

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        x, y = batch
        self.log("train/noise", self.noise, on_step=False, on_epoch=True, batch_size=len(x))
        return super().training_step((x + self.noise * torch.randn_like(x), y), batch_idx)


class Adversarial(System):
    """Train a generator and a discriminator in turn."""

    def __init__(self, model: nn.Module, discriminator: nn.Module, **kwargs: Any) -> None:
        super().__init__(model, **kwargs)
        self.discriminator = discriminator
        self.automatic_optimization = False

    def training_step(self, batch: Any, batch_idx: int) -> None:
        for index, optimizer in enumerate(self.optimizers()):
            real, fake = self.discriminator(batch[0]), self.discriminator(self.model(torch.randn_like(batch[0])))
            loss = -fake.mean() if index == 0 else fake.mean() - real.mean()
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
            self.log(f"gan/{'discriminator' if index else 'generator'}", loss.detach(), on_step=False, on_epoch=True)


class OwnData(System):
    """Bring the data along."""

    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(Points(4), batch_size=2)


class Plain(pl.LightningModule):
    """A module of its own making, which knows nothing of Lighter."""

    def __init__(self, net: nn.Module, lr: float = 1e-3, batch_size: int = 2, **unused: Any) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["net", "lr", "batch_size"])
        self.net, self.lr, self.batch_size = net, lr, batch_size

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss = functional.cross_entropy(self.net(batch[0]), batch[1])
        self.log("loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log_dict({"val_loss": functional.cross_entropy(self.net(batch[0]), batch[1]), "val_acc": 0.5})

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return torch.optim.SGD(self.parameters(), lr=self.lr)


def make_module(width: int, **kwargs: Any) -> Plain:
    return Plain(Net.from_width(width), **kwargs)


class QuietTrainer(pl.Trainer):
    """A Trainer that says nothing; everything else is Lightning's."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            **{"accelerator": "cpu", "logger": False, "enable_checkpointing": False, "max_epochs": 1, **kwargs},
            enable_progress_bar=False,
            enable_model_summary=False,
        )


def make_trainer(*callbacks: pl.Callback, epochs: int, **kwargs: Any) -> pl.Trainer:
    return QuietTrainer(callbacks=list(callbacks), max_epochs=epochs, **kwargs)


def in_tiles(images: Tensor, model: Callable[[Tensor], Tensor], size: int | Sequence[int] = 16) -> Tensor:
    """Predict tile by tile, and put the tiles together."""
    height, width = (size, size) if isinstance(size, int) else size
    tiles = [torch.split(row, width, 3) for row in torch.split(images, height, 2)]
    return torch.cat([torch.cat([model(tile) for tile in row], 3) for row in tiles], 2)


def two_views(batch: Any, noise: float = 0.1) -> tuple[Any, None, None]:
    """Give the model an image twice, as a batch adapter does."""
    return torch.stack([batch[0], batch[0] + noise]).flatten(0, 1), None, None


def contrast(pred: Tensor, temperature: float = 1, normalize: bool = True) -> Tensor:
    """Pull the two halves of a batch together."""
    first, second = (functional.normalize(half) if normalize else half for half in pred.chunk(2))
    return functional.cross_entropy(first @ second.T / temperature, torch.arange(len(first)))


def make_metrics(classes: int, **kwargs: Any) -> MetricCollection:
    """Choose names that the config does not tell."""
    names = {"acc": "MulticlassAccuracy", "f1": "MulticlassF1Score"}
    return MetricCollection({name: getattr(classification, kind)(classes, **kwargs) for name, kind in names.items()})


def make_optimizer(system: System, trainer: pl.Trainer, **kwargs: Any) -> torch.optim.Optimizer:
    """Look at the live objects, as helpers for layer-wise rates do."""
    rate = 0.1 / max(1, trainer.max_epochs or 1)
    return torch.optim.SGD([{"params": [weight], "lr": rate} for weight in system.model.parameters()], **kwargs)
