"""What would train nothing, or not the same on every rank, ends in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader

from lighter import System
from lighter._trained import TrainedWeights
from lighter.errors import ConfigError, LighterError

from .parts import MARKS, MESH, WAYS, ForkedMesh, Net, Points, plan, run, shard, way

pytestmark = MARKS

FOUR = way("ForkedMesh", plan("split_all"), devices=4, data_parallel_size=2, tensor_parallel_size=2)
EMPTY = "system::empty_init=true"


def model(name: str) -> str:
    return f"system::model::_target_=sharded.parts.{name}"


def callback(name: str, **arguments: object) -> str:
    given = "".join(f", {name}: {value}" for name, value in arguments.items())
    return f"trainer::callbacks+=[{{_target_: sharded.parts.{name}{given}}}]"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([*WAYS["mesh"], "~system::parallelize"], "give it system::parallelize, a function"),
        ([*WAYS["mesh"], plan("nothing")], "nothing has sharded nothing: no parameter of the model is a DTensor"),
        ([*WAYS["mesh"], plan("number")], "number returned 7; a plan returns a model, or None"),
        ([*WAYS["mesh"], plan("shard_one")], "model.2.weight and 3 more are not sharded over data_parallel"),
        (FOUR, "model.0.weight and 5 more are not sharded over data_parallel"),
        ([*WAYS["mesh"], EMPTY, model("Scaled")], "with empty_init nothing would set scale of Scale"),
        ([*WAYS["fsdp"], EMPTY, model("Scaled")], "with empty_init nothing would set scale of Scale"),
        ([*WAYS["fsdp"], EMPTY, model("Tied")], "2.weight and 3.weight would no longer be one parameter"),
        ([*WAYS["mesh"], EMPTY, model("Pretrained")], "the model loads weights while it is built"),
        ([*WAYS["ddp"], callback("Drifting")], r"after epoch 0 the ranks have different weights: model.0.weight diff"),
        ([*WAYS["tensors"], callback("Drifting", which=-1)], r"different weights: model.\d.bias differs by up to"),
    ],
)
def test_a_run_that_would_not_train_right_ends_in_words(
    overrides: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LighterError, match=message):
        run("fit", "kept", *overrides)
    assert not list(Path("logs").glob("**/*.ckpt"))


def test_an_empty_model_that_something_refers_to_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    refers = "system::inferer=$lambda x, model, other=@system::model: model(x)"
    with pytest.raises(ConfigError, match="is built where something refers to it, and empty_init would build another"):
        run("fit", "kept", EMPTY, refers)


def test_a_built_model_is_not_emptied() -> None:
    with pytest.raises(ConfigError, match="empty_init needs the model as a callable"):
        System(Net(), empty_init=True)


def test_rounding_by_which_ranks_differ_is_only_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LighterError, match=r"UserWarning: the ranks' weights differ by rounding, model.0.weight first"):
        run("fit", "kept", *WAYS["ddp"], callback("Drifting", by=1e-7))  # warnings are errors here


class Stale(pl.LightningModule):
    """A module whose optimizer is of parameters that are not its own any more, all or some."""

    def __init__(self, kept: int) -> None:
        super().__init__()
        self.model = Net()
        self.kept, self.before = kept, list(self.model.parameters())

    def configure_model(self) -> None:
        if isinstance(self.trainer.strategy, ForkedMesh):
            shard(self.model, self.device_mesh)
        else:
            self.model = Net()

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        loss: torch.Tensor = nn.functional.cross_entropy(self.model(batch[0]), batch[1])
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        kept = list(self.parameters())[: self.kept]
        return torch.optim.SGD([*kept, *self.before[self.kept :]], lr=0.1)

    def train_dataloader(self) -> Any:
        return DataLoader(Points(), batch_size=4)


@pytest.mark.parametrize(
    ("kept", "options", "message"),
    [
        (0, {}, "SGD would train nothing: none of its parameters is the model's"),
        (0, MESH, "SGD would train nothing: none of its parameters is the model's"),
        (2, MESH, "an optimizer holds parameters from before the model was sharded, and 4 would not train"),
    ],
)
def test_an_optimizer_of_other_parameters_is_refused(kept: int, options: dict[str, Any], message: str) -> None:
    strategy = ForkedMesh(**options) if options else "auto"
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=2 if options else 1,
        strategy=strategy,
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=TrainedWeights(),
    )
    with pytest.raises(Exception, match=message):
        trainer.fit(Stale(kept))
