"""Each kind of task is trained for real on little data: the loss falls, or the metric is reached."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Adam
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics import MeanMetric, Metric
from torchmetrics.classification import MulticlassAccuracy
from torchmetrics.regression import MeanAbsoluteError
from torchmetrics.segmentation import DiceScore

from lighter.adapters import BatchAdapter, CriterionAdapter, LoggingAdapter, MetricsAdapter
from lighter.system import System


class Keep(pl.Callback):
    """Keep the values of each epoch and the last outputs."""

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []
        self.outputs: dict[str, Any] = {}

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, *args: Any) -> None:
        self.outputs = outputs

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.last = {name: float(value) for name, value in trainer.callback_metrics.items()}

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.epochs.append({name: float(value) for name, value in trainer.callback_metrics.items()})

    def fell(self, name: str, factor: float = 0.5) -> bool:
        return self.last[name] < factor * self.epochs[1][name]


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def adam(system: System) -> Adam:
    return Adam(system.parameters(), lr=0.02)


def train(system: System, epochs: int = 12) -> Keep:
    keep = Keep()
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=False,
        callbacks=[keep],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(system)
    return keep


def blobs(samples: int = 60) -> tuple[Tensor, Tensor]:
    """Return points around three centres, and which centre each is of."""
    labels = torch.arange(samples) % 3
    centres = torch.tensor([[2.0, 0.0], [-2.0, 1.0], [0.0, -2.0]])
    return centres[labels] + 0.3 * torch.randn(samples, 2), labels


def mlp(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, 16), nn.ReLU(), nn.Linear(16, outputs))


def test_classification_from_tuples() -> None:
    loader = DataLoader(TensorDataset(*blobs()), batch_size=16)
    keep = train(
        System(
            model=mlp(2, 3),
            dataloaders={"train": loader, "val": loader},
            optimizer=adam,
            criterion=nn.CrossEntropyLoss(),
            metrics={"train": MulticlassAccuracy(3), "val": MulticlassAccuracy(3)},
        )
    )
    assert keep.fell("train/loss/epoch")
    assert keep.last["val/metrics/MulticlassAccuracy/epoch"] > 0.95


def test_classification_from_dicts_with_identifiers() -> None:
    points, labels = blobs()
    data = [
        {"point": point, "label": label, "name": f"sample-{index}"}
        for index, (point, label) in enumerate(zip(points, labels, strict=True))
    ]
    keep = train(
        System(
            model=mlp(2, 3),
            dataloaders={"train": DataLoader(data, batch_size=16)},  # type: ignore[arg-type]
            optimizer=adam,
            criterion=nn.CrossEntropyLoss(),
            metrics={"train": {"accuracy": MulticlassAccuracy(3)}},
            adapters={"train": {"batch": BatchAdapter("point", "label", "name")}},
        )
    )
    assert keep.last["train/metrics/accuracy/epoch"] > 0.95
    assert keep.outputs["identifier"][0] == "sample-48"


def in_tiles(image: Tensor, model: Callable[[Tensor], Tensor]) -> Tensor:
    """Predict the four quarters of an image one by one, and put them together."""
    rows = [torch.cat([model(tile) for tile in row.chunk(2, dim=-1)], dim=-1) for row in image.chunk(2, dim=-2)]
    return torch.cat(rows, dim=-2)


def test_segmentation_with_a_tile_inferer_in_validation() -> None:
    shapes: list[tuple[int, ...]] = []

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 2, 1))

        def forward(self, input: Tensor) -> Tensor:  # noqa: A002
            shapes.append(tuple(input.shape))
            logits: Tensor = self.layers(input)
            return logits

    images = torch.randn(12, 1, 16, 16)
    masks = (functional.avg_pool2d(images, 3, 1, 1) > 0).long()
    dice = DiceScore(num_classes=2, include_background=False, input_format="index", aggregation_level="global")
    keep = train(
        System(
            model=Net(),
            dataloaders={
                "train": DataLoader(TensorDataset(images, masks), batch_size=4, shuffle=True),
                "val": DataLoader(TensorDataset(images, masks), batch_size=5),
            },
            optimizer=adam,
            criterion=nn.CrossEntropyLoss(),
            metrics={"val": {"dice": dice}},
            adapters={
                mode: {
                    "criterion": CriterionAdapter(
                        pred_argument=0, target_argument=1, target_transforms=lambda y: y[:, 0]
                    ),
                    "metrics": MetricsAdapter(
                        pred_argument=0,
                        target_argument=1,
                        pred_transforms=lambda p: p.argmax(1),
                        target_transforms=lambda y: y[:, 0],
                    ),
                }
                for mode in ("train", "val")
            },
            inferer=in_tiles,
        ),
        epochs=15,
    )
    assert keep.last["val/metrics/dice/epoch"] > 0.85
    assert {(5, 1, 8, 8), (2, 1, 8, 8), (4, 1, 16, 16)} <= set(shapes)


class Detector(nn.Module):
    """Say for each image how likely it has a box, and the box."""

    def __init__(self) -> None:
        super().__init__()
        self.head = mlp(2, 5)

    def forward(self, images: list[Tensor]) -> list[dict[str, Tensor]]:
        values = self.head(torch.stack([image.mean(dim=(1, 2)) for image in images]))
        return [{"score": value[0], "box": value[1:]} for value in values]


def detection_loss(pred: list[dict[str, Tensor]], target: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    scores = torch.stack([one["score"] for one in pred])
    present = torch.tensor([float(len(one["boxes"]) > 0) for one in target])
    score = functional.binary_cross_entropy_with_logits(scores, present)
    distances = [
        (one["box"] - box).abs().mean() for one, truth in zip(pred, target, strict=True) for box in truth["boxes"]
    ]
    box = torch.stack(distances).mean() if distances else scores.sum() * 0
    return {"total": score + box, "score": score, "box": box}


def count_error(pred: list[dict[str, Tensor]], target: list[dict[str, Tensor]]) -> Tensor:
    wrong = [(one["score"] > 0).item() != (len(truth["boxes"]) > 0) for one, truth in zip(pred, target, strict=True)]
    return torch.tensor(wrong, dtype=torch.float32)


class PresenceError(MeanMetric):
    """The share of images where the detector is wrong about there being a box."""

    def update(self, pred: Any, target: Any) -> None:  # type: ignore[override]
        super().update(count_error(pred, target))


def test_detection_with_targets_of_any_length() -> None:
    generator = torch.Generator().manual_seed(1)
    data = []
    for index in range(40):
        boxes = torch.full((index % 3, 4), 0.5) + 0.1 * torch.rand(index % 3, 4, generator=generator)
        brightness = torch.tensor([float(len(boxes) > 0), 0.5]).view(2, 1, 1)
        data.append((brightness + 0.1 * torch.rand(2, 4 + index % 2, 6, generator=generator), {"boxes": boxes}))
    loader = DataLoader(data, batch_size=7, collate_fn=lambda samples: tuple(map(list, zip(*samples, strict=True))))  # type: ignore[arg-type,var-annotated]
    metric: Metric = PresenceError()
    keep = train(
        System(
            model=Detector(),
            dataloaders={"train": loader, "val": loader},
            optimizer=adam,
            criterion=detection_loss,
            metrics={"val": {"presence_error": metric}},
        ),
        epochs=15,
    )
    assert keep.fell("train/loss/total/epoch")
    assert keep.fell("val/loss/box/epoch")
    assert keep.last["val/metrics/presence_error/epoch"] == 0
    assert set(keep.outputs["losses"]) == {"total", "score", "box"}


def test_regression_with_a_loss_that_takes_the_target_first() -> None:
    def pinball(target: Tensor, pred: Tensor) -> Tensor:
        error = target - pred
        return torch.maximum(0.9 * error, -0.1 * error).mean()

    x = torch.rand(200, 1)
    y = 2 * x + torch.rand(200, 1)
    loader = DataLoader(TensorDataset(x, y), batch_size=32, shuffle=True)
    system = System(
        model=nn.Linear(1, 1),
        dataloaders={"train": loader},
        optimizer=adam,
        criterion=pinball,
        metrics={"train": MeanAbsoluteError()},
        adapters={"train": {"criterion": CriterionAdapter(target_argument=0, pred_argument=1)}},
    )
    keep = train(system, epochs=40)
    assert keep.fell("train/loss/epoch")
    below = (y < system.model(x)).float().mean().item()
    assert below == pytest.approx(0.9, abs=0.06)  # swapped the other way round it would be 0.1


class Autoencoder(nn.Module):
    """Press four numbers through two."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Linear(4, 2), nn.Linear(2, 4)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        decoded: Tensor = self.decoder(self.encoder(input))
        return decoded


def test_self_supervision_without_a_target() -> None:
    hidden = torch.randn(100, 2)
    data = torch.cat([hidden, hidden @ torch.randn(2, 2)], dim=1)
    adapters = {
        "batch": BatchAdapter(lambda batch: batch),
        "criterion": CriterionAdapter(pred_argument=0, input_argument=1),
    }
    keep = train(
        System(
            model=Autoencoder(),
            dataloaders={"train": DataLoader(data, batch_size=16)},  # type: ignore[arg-type]
            optimizer=adam,
            criterion=nn.MSELoss(),
            adapters={"train": adapters},
        ),
        epochs=25,
    )
    assert keep.fell("train/loss/epoch", 0.2)
    assert keep.outputs["target"] is None


class TwoHeads(nn.Module):
    """Tell the class of a point, and its distance from the middle."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.label, self.size = (
            nn.Sequential(nn.Linear(2, 32), nn.ReLU()),
            nn.Linear(32, 3),
            nn.Linear(32, 1),
        )

    def forward(self, input: Tensor) -> dict[str, Any]:  # noqa: A002
        features = self.body(input)
        return {"label": {"logits": self.label(features)}, "size": self.size(features)[:, 0]}


def two_losses(pred: dict[str, Any], target: dict[str, Tensor]) -> dict[str, Tensor]:
    label = functional.cross_entropy(pred["label"]["logits"], target["label"])
    size = functional.mse_loss(pred["size"], target["size"])
    return {"total": label + size, "label": label, "size": size}


def test_several_tasks_with_nested_predictions_and_a_dict_loss() -> None:
    points, labels = blobs()
    data = [(point, {"label": label, "size": point.norm()}) for point, label in zip(points, labels, strict=True)]
    adapter = MetricsAdapter(
        pred_argument=0,
        target_argument=1,
        pred_transforms=lambda pred: pred["label"]["logits"],
        target_transforms=lambda target: target["label"],
    )
    keep = train(
        System(
            model=TwoHeads(),
            dataloaders={"train": DataLoader(data, batch_size=16)},  # type: ignore[arg-type]
            optimizer=adam,
            criterion=two_losses,
            metrics={"train": {"accuracy": MulticlassAccuracy(3)}},
            adapters={
                "train": {"metrics": adapter, "logging": LoggingAdapter(pred_transforms=lambda pred: pred["size"])}
            },
        ),
        epochs=20,
    )
    assert keep.fell("train/loss/label/epoch")
    assert keep.fell("train/loss/size/epoch")
    total = keep.last["train/loss/label/epoch"] + keep.last["train/loss/size/epoch"]
    assert keep.last["train/loss/total/epoch"] == pytest.approx(total, abs=1e-5)
    assert keep.last["train/metrics/accuracy/epoch"] > 0.95
    assert keep.outputs["pred"].shape == (12,)


class Rotated:
    """A batch adapter of one's own: the batch turned by 0, 90, 180 and 270 degrees, and which turn it was."""

    def __call__(self, batch: Any) -> tuple[Tensor, Tensor, None]:
        images = batch[0]
        turned = torch.cat([images.rot90(turns, (-2, -1)) for turns in range(4)])
        return turned, torch.arange(4).repeat_interleave(len(images)), None


def test_batch_adapter_of_ones_own() -> None:
    images = torch.rand(40, 1, 6, 6)
    images[:, :, 0] += 1  # the top row is bright
    keep = train(
        System(
            model=nn.Sequential(nn.Flatten(), nn.Linear(36, 4)),
            dataloaders={"train": DataLoader(TensorDataset(images), batch_size=8)},
            optimizer=adam,
            criterion=nn.CrossEntropyLoss(),
            metrics={"train": MulticlassAccuracy(4)},
            adapters={"train": {"batch": Rotated()}},
        )
    )
    assert keep.fell("train/loss/epoch")
    assert keep.last["train/metrics/MulticlassAccuracy/epoch"] > 0.95
