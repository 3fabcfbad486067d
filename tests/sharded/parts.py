"""What sharded runs are compared by, and strategies that shard over processes forked from this one, on the CPU."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import DDPStrategy, FSDPStrategy, ModelParallelStrategy
from pytorch_lightning.strategies.launchers import _MultiProcessingLauncher
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard
from torch.distributed.fsdp._flat_param import FlatParamHandle
from torch.distributed.tensor import Replicate
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
from torch.utils.data import Dataset
from torchmetrics import Metric

from lighter import Runner

FEATURES, HIDDEN, CLASSES = 5, 8, 3

MARKS = [
    pytest.mark.no_cover,  # what runs in processes of their own is not seen anyway
    pytest.mark.filterwarnings("ignore::FutureWarning"),  # torch's, of what Lightning calls
    pytest.mark.filterwarnings("ignore::UserWarning:torch"),
    pytest.mark.filterwarnings("ignore:.*is multi-threaded, use of fork"),
]

CONFIG = """\
seed: 3
trainer:
  _target_: pytorch_lightning.Trainer
  accelerator: cpu
  max_epochs: 2
  logger: {_target_: pytorch_lightning.loggers.CSVLogger, save_dir: logs}
  enable_progress_bar: false
  enable_model_summary: false
  log_every_n_steps: 1
  callbacks:
    - {_target_: sharded.parts.Keep, folder: kept}
    - _target_: pytorch_lightning.callbacks.ModelCheckpoint
      monitor: val/loss/epoch
      filename: "{epoch}"
      save_top_k: -1
      save_last: true
system:
  _target_: lighter.System
  model: {_target_: sharded.parts.Net}
  parallelize: {_target_: sharded.parts.shard, _mode_: callable}
  criterion: {_target_: torch.nn.CrossEntropyLoss}
  optimizer: {_target_: torch.optim.AdamW, params: "$@system::model.parameters()", lr: 0.05}
  scheduler: {_target_: torch.optim.lr_scheduler.StepLR, optimizer: "@system::optimizer", step_size: 1, gamma: 0.5}
  metrics:
    train: {_target_: torchmetrics.classification.MulticlassAccuracy, num_classes: 3, average: micro}
    val: "%::train"
    test: "%::train"
  dataloaders:
    train:
      _target_: torch.utils.data.DataLoader
      batch_size: 8
      shuffle: true
      dataset: {_target_: sharded.parts.Points}
    val: {_target_: torch.utils.data.DataLoader, batch_size: 8, dataset: {_target_: sharded.parts.Points}}
    test: "%::val"
    predict: "%::val"
  adapters:
    predict: {batch: {_target_: lighter.adapters.BatchAdapter, input_accessor: 0}}
"""
HALF, QUARTER = (  # for two ranks, and for four
    [f"system::dataloaders::{mode}::batch_size={size}" for mode in ("train", "val")] for size in (4, 2)
)


def way(strategy: str, *overrides: str, devices: int = 2, **options: object) -> list[str]:
    """Return the overrides that run the config in another way."""
    given = "".join(f", {name}: {value}" for name, value in options.items())
    target = f"trainer::strategy={{_target_: sharded.parts.{strategy}{given}}}"
    return [f"trainer::devices={devices}", target, *overrides]


def plan(name: str) -> str:
    return f"system::parallelize::_target_=sharded.parts.{name}"


MESH = {"data_parallel_size": 2, "tensor_parallel_size": 1}
WAYS = {
    "one": [],
    "ddp": way("ForkedDDP", *HALF),
    "fsdp": way("ForkedFSDP", *HALF, state_dict_type="sharded"),
    "fsdp, flat": way("ForkedFSDP", *HALF, state_dict_type="sharded", use_orig_params="false"),
    "fsdp, full": way("ForkedFSDP", *HALF, state_dict_type="full"),
    "fsdp, hybrid": way(
        *("ForkedFSDP", *QUARTER), devices=4, sharding_strategy="HYBRID_SHARD", sizes=[2, 2], state_dict_type="sharded"
    ),
    "mesh": way("ForkedMesh", *HALF, **MESH),
    "mesh, full": way("ForkedMesh", *HALF, **MESH, save_distributed_checkpoint="false"),
    "mesh, alone": way("ForkedMesh", devices=1, data_parallel_size=1, tensor_parallel_size=1),
    "tensors": way("ForkedMesh", plan("split"), data_parallel_size=1, tensor_parallel_size=2),
    "both": way("ForkedMesh", plan("both"), *HALF, devices=4, data_parallel_size=2, tensor_parallel_size=2),
}


def run(stage: Any, kept: str, *overrides: str, source: str = "config.yaml", **arguments: Any) -> list[Any]:
    """Run a stage in the working folder, and return what each rank has kept."""
    Path("config.yaml").write_text(CONFIG, encoding="utf-8")
    override = f"trainer::callbacks::0::folder={kept}"
    Runner().run(stage, [source], [override, *overrides], check=False, **arguments)
    return [torch.load(path, weights_only=True) for path in sorted(Path(kept).glob("*.pt"))]


class _Launcher(_MultiProcessingLauncher):
    """Forks, and takes nothing back: what Lightning would collect needs all ranks here."""

    def _collect_rank_zero_results(self, trainer: pl.Trainer, results: Any) -> Any:
        return SimpleNamespace(trainer_results=None)

    def _recover_results_in_main_process(self, worker_output: Any, trainer: pl.Trainer) -> None:
        pass


class Forked:
    _launcher: Any

    def _configure_launcher(self) -> None:
        self._launcher = _Launcher(self, start_method="fork")  # type: ignore[arg-type]


class ForkedDDP(Forked, DDPStrategy):
    pass


class ForkedFSDP(Forked, FSDPStrategy):
    """FSDP on the CPU, which Lightning's own refuses."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"auto_wrap_policy": {nn.Linear}} | options)

    def _setup_model(self, model: nn.Module) -> nn.Module:
        options = {"cpu_offload": self.cpu_offload, "sharding_strategy": self.sharding_strategy, **self.kwargs}
        if (sizes := options.pop("sizes", None)) is not None:  # Lightning's own mesh is one of GPUs
            options["device_mesh"] = init_device_mesh("cpu", tuple(sizes))
        return FullyShardedDataParallel(model, device_id=torch.device("cpu"), **options)

    def optimizer_state(self, optimizer: Any) -> Any:
        """Gather each part of the state into memory of its own, as it is where it has to be copied off a GPU."""
        views = FlatParamHandle._get_unflat_views_aligned
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(FlatParamHandle, views.__name__, lambda handle, tensor: views(handle, tensor.clone()))
            return super().optimizer_state(optimizer)


class PlainFSDP(ForkedFSDP):
    optimizer_state = FSDPStrategy.optimizer_state


class ForkedMesh(Forked, ModelParallelStrategy):
    pass


class Points(Dataset[tuple[Tensor, Tensor]]):
    def __init__(self, samples: int = 24) -> None:
        self.x = torch.randn(samples, FEATURES, generator=torch.Generator().manual_seed(0))
        self.y = (self.x @ torch.arange(FEATURES).float() * 3).long() % CLASSES

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.x[index], self.y[index]


class Net(nn.Sequential):
    def __init__(self) -> None:
        layers = (
            nn.Linear(FEATURES, HIDDEN),
            nn.Tanh(),
            nn.Linear(HIDDEN, HIDDEN),
            nn.Tanh(),
            nn.Linear(HIDDEN, CLASSES),
        )
        super().__init__(*layers)


def shard(model: nn.Module, device_mesh: Any) -> None:
    """Shard over the ranks that have different data."""
    for layer in model:  # type: ignore[attr-defined]
        if isinstance(layer, nn.Linear):
            fully_shard(layer, mesh=device_mesh["data_parallel"])
    fully_shard(model, mesh=device_mesh["data_parallel"])


def split(model: nn.Module, device_mesh: Any) -> nn.Module:
    """Split the first two layers over the ranks that have the same data."""
    plan = {"0": ColwiseParallel(), "2": RowwiseParallel()}
    made: nn.Module = parallelize_module(model, device_mesh["tensor_parallel"], plan)
    return made


def both(model: nn.Module, device_mesh: Any) -> nn.Module:
    model = split(model, device_mesh)
    shard(model, device_mesh)
    return model


def nothing(model: nn.Module, device_mesh: Any) -> None:
    pass


def narrow(model: nn.Module) -> None:
    """Take less than a plan is given."""


def number(model: nn.Module, device_mesh: Any) -> int:
    return 7


def whole(tensor: Any) -> Tensor:
    made: Tensor = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
    return made.detach().clone()


def weights(trainer: pl.Trainer, module: pl.LightningModule) -> dict[str, Tensor]:
    """Return the whole model's weights by their names in it; each rank must call this."""
    if not isinstance(trainer.strategy, FSDPStrategy):
        return {name: whole(item) for name, item in module.state_dict().items() if name.startswith("model.")}
    assert trainer.model is not None
    with FullyShardedDataParallel.summon_full_params(trainer.model):
        return {
            name.replace("_fsdp_wrapped_module.", ""): item.detach().clone()
            for name, item in module.named_parameters()
            if "model." in name
        }


class Keep(pl.Callback):
    """Keep what a run has trained, logged and predicted, in a file a rank."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.epochs: list[dict[str, float]] = []
        self.steps: list[dict[str, Tensor]] = []
        self.predicted: list[Any] = []

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        self.steps.append(weights(trainer, module))

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.epochs.append({name: value.item() for name, value in trainer.callback_metrics.items()})

    def on_predict_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, *_: Any) -> None:
        self.predicted.append((outputs["input"], outputs["pred"]))

    def on_fit_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.on_train_epoch_start(trainer, module)
        self.save(trainer, epochs=self.epochs[1:], steps=self.steps)

    def on_test_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.save(trainer, metrics={name: value.item() for name, value in trainer.callback_metrics.items()})

    def on_predict_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.save(trainer, predicted=self.predicted)

    def save(self, trainer: pl.Trainer, **kept: Any) -> None:
        self.folder.mkdir(exist_ok=True)
        torch.save(kept, self.folder / f"{trainer.global_rank}.pt")


class SaveFirst(pl.Callback):
    """Save a checkpoint after the first batch, to which the next one adds."""

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not batch_idx:
            trainer.save_checkpoint("first.ckpt")


def shard_one(model: nn.Module, device_mesh: Any) -> None:
    """Leave all but the first layer as they are."""
    fully_shard(model[0], mesh=device_mesh["data_parallel"])  # type: ignore[index]


def split_all(model: nn.Module, device_mesh: Any) -> None:
    """Split every layer, and shard none over the ranks that have different data."""
    for layer in model.children():
        if isinstance(layer, nn.Linear):
            parallelize_module(layer, device_mesh["tensor_parallel"], ColwiseParallel(output_layouts=Replicate()))


class Scale(nn.Module):
    """A layer that cannot be set anew."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


class Scaled(Net):
    def __init__(self) -> None:
        super().__init__()
        self.append(Scale())


class Tied(Net):
    def __init__(self) -> None:
        super().__init__()
        self.insert(3, nn.Linear(HIDDEN, HIDDEN))
        self[3].weight = self[2].weight


class Pretrained(Net):
    def __init__(self) -> None:
        super().__init__()
        weights = {name: torch.zeros(item.shape, device="cpu") for name, item in self.state_dict().items()}
        self.load_state_dict(weights)


class Attentive(nn.Sequential):
    """A model with attention, for which a batch is a sequence."""

    def __init__(self) -> None:
        layers = (
            nn.Linear(FEATURES, HIDDEN),
            nn.TransformerEncoderLayer(HIDDEN, 2, HIDDEN, dropout=0.0, batch_first=True),
            nn.Linear(HIDDEN, CLASSES),
        )
        super().__init__(*layers)


class Deeper(Net):
    """As the model, with a layer more, and one of another shape."""

    def __init__(self) -> None:
        super().__init__()
        self[0] = nn.Linear(FEATURES, HIDDEN + 1)
        self[2] = nn.Linear(HIDDEN + 1, HIDDEN)
        self.append(nn.Linear(CLASSES, CLASSES))


class Normed(Net):
    """A model of which not all layers are wrapped."""

    def __init__(self) -> None:
        super().__init__()
        self.insert(1, nn.LayerNorm(HIDDEN))


class Summing(nn.Linear):
    """A layer with a state that each rank has to itself."""

    total: Tensor

    def __init__(self) -> None:
        super().__init__(FEATURES, HIDDEN)
        self.register_buffer("total", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.total += x.detach().sum()
        return super().forward(x)


class Summed(Net):
    def __init__(self) -> None:
        super().__init__()
        self[0] = Summing()


class OfOneRank(Net):
    """A model that each process builds in its own way."""

    def __init__(self) -> None:
        torch.manual_seed(os.getpid())
        super().__init__()


class Uneven(nn.Sequential):
    """A model that is wider on the second rank."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(FEATURES, HIDDEN), nn.Linear(HIDDEN, CLASSES + distributed.get_rank()))


class Weighted(nn.Module):
    """A criterion that trains too."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(CLASSES))

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        return nn.functional.cross_entropy(pred * self.scale, target)


class Judge(Metric):
    """A metric that is a network."""

    total: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Linear(CLASSES, 1)
        nn.init.ones_(self.network.weight)
        self.add_state("total", torch.tensor(0.0), "sum")

    def update(self, pred: Tensor, target: Tensor) -> None:
        self.total = self.total + self.network(pred).detach().sum()

    def compute(self) -> Tensor:
        return self.total


class Drifting(pl.Callback):
    """Change a parameter on the second rank alone."""

    def __init__(self, by: float = 0.5, which: int = 0) -> None:
        self.by, self.which = by, which

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        if trainer.global_rank == 1:
            with torch.no_grad():
                list(module.parameters())[self.which].mul_(1 + self.by)
