"""What would train nothing, or not the same on every rank, ends in words."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader

from lighter import System
from lighter._trained import TrainedWeights
from lighter.cli import main
from lighter.errors import ConfigError, LighterError

from .parts import (
    CONFIG,
    HALF,
    MARKS,
    WAYS,
    Forked,
    ForkedDDP,
    ForkedFSDP,
    ForkedMesh,
    Keep,
    Net,
    OfOneRank,
    Points,
    Uneven,
    plan,
    run,
    shard,
    way,
)

pytestmark = MARKS

FOUR = way("ForkedMesh", plan("split_all"), devices=4, data_parallel_size=2, tensor_parallel_size=2)
NO_SHARD = way("ForkedFSDP", *HALF, sharding_strategy="NO_SHARD", state_dict_type="full")
CRITERION = "system::criterion={_target_: sharded.parts.Weighted}"
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
        ([*WAYS["mesh"], plan("narrow")], r"cannot be called with \(model, device_mesh\): too many positional argum"),
        ([*WAYS["mesh"], EMPTY, model("Scaled")], r"with empty_init nothing would set scale of 5 \(Scale\)"),
        ([*WAYS["fsdp"], EMPTY, model("Scaled")], r"with empty_init nothing would set scale of 5 \(Scale\)"),
        ([*WAYS["fsdp"], EMPTY, model("Tied")], "2.weight and 3.weight would no longer be one parameter"),
        ([*WAYS["mesh"], EMPTY, model("Pretrained")], "the model loads weights while it is built"),
        (
            [*WAYS["fsdp, flat"], model("Normed")],
            "model.1.weight and 1 more would not train: with use_orig_params: false",
        ),
        (
            [*WAYS["mesh"], CRITERION],
            "criterion.scale is not sharded over .*\n  make it a part of system::model, which is",
        ),
        ([*NO_SHARD, callback("Drifting")], r"after epoch 0 the ranks have different weights: model.0.weight diff"),
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


def mesh() -> ForkedMesh:
    return ForkedMesh(data_parallel_size=2, tensor_parallel_size=1)


@pytest.mark.parametrize(
    ("kept", "strategy", "message"),
    [
        (0, None, "SGD would train nothing: none of its parameters is the model's"),
        (0, mesh(), "SGD would train nothing: none of its parameters is the model's"),
        (
            2,
            mesh(),
            "an optimizer holds parameters from before the model was sharded, and 4 would not train",
        ),
        (0, ForkedFSDP(), "SGD would train nothing: none of its parameters is the model's"),
        (0, ForkedFSDP(use_orig_params=False), "The optimizer does not seem to reference any FSDP parameters"),
    ],
)
def test_an_optimizer_of_other_parameters_is_refused(kept: int, strategy: Any, message: str) -> None:
    with pytest.raises(Exception, match=message):
        trainer(strategy).fit(Stale(kept))


def trainer(strategy: Any) -> pl.Trainer:
    return pl.Trainer(
        accelerator="cpu",
        devices=2 if strategy else 1,
        strategy=strategy or "auto",
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=TrainedWeights(),
    )


def without_a_seed(model: type[nn.Module] = OfOneRank) -> System:
    """Return a System whose model each rank builds in its own way."""
    return System(
        model,
        dataloaders={"train": DataLoader(Points(), batch_size=4)},
        criterion=nn.CrossEntropyLoss(),
        optimizer=lambda system: torch.optim.SGD(system.parameters(), lr=0.1),
        parallelize=shard,
    )


@pytest.mark.parametrize("strategy", [mesh(), ForkedFSDP(sharding_strategy="NO_SHARD")])
def test_ranks_that_build_different_models_are_told_to_take_a_seed(strategy: Forked) -> None:
    with pytest.raises(Exception, match=r"the ranks have built different models: 0.weight differs\n  give the config"):
        trainer(strategy).fit(without_a_seed())


@pytest.mark.parametrize("strategy", [mesh(), ForkedFSDP(), ForkedDDP()])
def test_ranks_that_build_models_of_other_shapes_are_told_which(strategy: Forked) -> None:
    uneven = r"different models: 1.weight is \[4, 8\] on rank 1 and \[3, 8\] on the first\n  build it from the config"
    with pytest.raises(Exception, match=uneven):
        trainer(strategy).fit(without_a_seed(Uneven))


@pytest.mark.parametrize(
    ("strategy", "is_empty"),
    [(ForkedDDP(), False), (ForkedFSDP(), False), (ForkedFSDP(sharding_strategy="NO_SHARD"), True)],
)
def test_ranks_that_build_different_models_train_the_same_one_where_the_strategy_or_lighter_sees_to_it(
    strategy: Forked, is_empty: bool, tmp_path: Path
) -> None:
    """DDP takes the first rank's, each rank of FSDP keeps a part, and an empty model is filled alike."""
    system, runner = without_a_seed(), trainer(strategy)
    system.empty_init = is_empty
    runner.callbacks.append(Keep(str(tmp_path)))  # type: ignore[attr-defined]
    runner.fit(system)
    first, second = (torch.load(path, weights_only=True)["steps"] for path in sorted(tmp_path.glob("*.pt")))
    for mine, theirs in zip(first, second, strict=True):
        assert all(torch.equal(mine[name], theirs[name]) for name in mine)


@pytest.mark.skipif(find_spec("deepspeed") is not None, reason="it is installed")
def test_deepspeed_that_is_not_installed_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text(CONFIG, encoding="utf-8")
    assert main(["fit", "config.yaml", "trainer::strategy=deepspeed_stage_2", "--no-check"]) == 2
    assert (
        "trainer::strategy: the strategy needs DeepSpeed\n  pip install 'lighter[deepspeed]'" in capsys.readouterr().err
    )
