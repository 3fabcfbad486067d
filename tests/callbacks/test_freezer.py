from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from loguru import logger
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lighter.callbacks import Freezer
from lighter.errors import ConfigError

from .parts import ADVICE, Numbers, trainer

pytestmark = ADVICE


class Net(LightningModule):
    """Two layers under `model`, trained with momentum and weight decay, three steps an epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        output: Tensor = self.model(batch)
        return output.square().mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1e-3, momentum=0.9, weight_decay=0.1)

    def train_dataloader(self) -> DataLoader[Tensor]:
        return DataLoader(Numbers(12), batch_size=4)


class LateNet(Net):
    """A Net that exists only once `configure_model` ran."""

    def __init__(self) -> None:
        LightningModule.__init__(self)

    def configure_model(self) -> None:
        if not hasattr(self, "model"):
            self.model = Net().model


class Filtering(Net):
    """A Net whose optimizer is given only what is not frozen."""

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD([p for p in self.parameters() if p.requires_grad], lr=1e-3)


class Watch(Callback):
    """Record after each step which of the parameters moved in it."""

    def __init__(self) -> None:
        self.moved: list[set[str]] = []
        self._before: dict[str, Tensor] = {}

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self._before = {name: p.detach().clone() for name, p in pl_module.named_parameters()}

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.moved.append({n for n, p in pl_module.named_parameters() if not torch.equal(p, self._before[n])})


FIRST = {"model.0.weight", "model.0.bias"}
SECOND = {"model.1.weight", "model.1.bias"}


def fit(freezer: Freezer, net: Net | None = None, ckpt_path: Path | None = None, **arguments: Any) -> list[set[str]]:
    watch = Watch()
    run = trainer(freezer, watch, **{"max_epochs": 2, **arguments})
    run.fit(net or Net(), ckpt_path=ckpt_path)
    return watch.moved


@pytest.mark.parametrize("name", ["model.0.weight", "0.weight"])
def test_a_name_is_taken_with_or_without_the_leading_model(name: str) -> None:
    assert fit(Freezer(names=name)) == [{"model.0.bias"} | SECOND] * 6


def test_a_prefix_freezes_all_below_it() -> None:
    net = Net()
    assert fit(Freezer(name_starts_with=["0."]), net) == [SECOND] * 6
    assert {name for name, p in net.named_parameters() if not p.requires_grad} == FIRST


def test_an_exception_wins_over_a_name_and_a_prefix() -> None:
    freezer = Freezer(
        names="0.bias", name_starts_with="model", except_names="0.bias", except_name_starts_with=["model.1"]
    )
    assert fit(freezer) == [{"model.0.bias"} | SECOND] * 6


def test_a_full_name_wins_over_a_shortened_one() -> None:
    net = Net()
    net.add_module("0", nn.Linear(1, 1))
    fit(Freezer(names="0.weight"), net)
    assert [name for name, p in net.named_parameters() if not p.requires_grad] == ["0.weight"]


def test_a_model_built_in_configure_model_is_frozen() -> None:
    net = LateNet()
    assert fit(Freezer(name_starts_with="0"), net) == [SECOND] * 6
    assert "configure_model" not in vars(net)


def test_a_model_built_in_setup_is_frozen() -> None:
    class SetupNet(LateNet):
        configure_model = LightningModule.configure_model

        def setup(self, stage: str) -> None:
            self.model = Net().model

    assert fit(Freezer(name_starts_with="0"), SetupNet()) == [SECOND] * 6


def test_optimizers_meet_parameters_that_are_frozen_already() -> None:
    net = Filtering()
    fit(Freezer(name_starts_with="0"), net)
    (group,) = net.trainer.optimizers[0].param_groups
    assert len(group["params"]) == 2


def test_a_thaw_that_no_optimizer_knows_of_is_warned_of() -> None:
    lines: list[str] = []
    sink = logger.add(lines.append, level="WARNING", format="{message}")
    fit(Freezer(name_starts_with="0", until_step=1), Filtering())
    logger.remove(sink)
    assert lines == ["Freezer will thaw parameters that no optimizer holds: they will not train\n"]


@pytest.mark.parametrize("net", [Net, LateNet])
def test_until_step_thaws_at_that_step(net: type[Net]) -> None:
    assert fit(Freezer(name_starts_with="0", until_step=2), net()) == [SECOND] * 2 + [FIRST | SECOND] * 4


def test_until_step_counts_optimizer_steps() -> None:
    moved = fit(Freezer(name_starts_with="0", until_step=1), accumulate_grad_batches=2)
    assert moved == [set(), SECOND, FIRST | SECOND, set(), FIRST | SECOND, FIRST | SECOND]


def test_until_epoch_thaws_at_that_epoch() -> None:
    assert fit(Freezer(name_starts_with="0", until_epoch=1)) == [SECOND] * 3 + [FIRST | SECOND] * 3


@pytest.mark.parametrize(("until_step", "expected"), [(4, FIRST | SECOND), (8, SECOND)])
def test_a_resumed_fit_goes_on_as_it_was(tmp_path: Path, until_step: int, expected: set[str]) -> None:
    first = trainer(max_epochs=2)
    first.fit(Net())
    first.save_checkpoint(tmp_path / "six_steps.ckpt")
    moved = fit(Freezer(name_starts_with="0", until_step=until_step), None, tmp_path / "six_steps.ckpt", max_epochs=3)
    assert moved[0] == expected
    assert moved[2] == FIRST | SECOND


def test_a_second_fit_thaws_what_the_first_left_frozen() -> None:
    net, freezer = Net(), Freezer(name_starts_with="0", until_step=4)
    assert fit(freezer, net, max_epochs=1) == [SECOND] * 3
    assert fit(freezer, net)[4] == FIRST | SECOND


def test_what_was_frozen_before_is_not_thawed() -> None:
    net = Net()
    net.model[0].bias.requires_grad_(False)
    assert fit(Freezer(name_starts_with="0", until_step=1), net)[-1] == {"model.0.weight"} | SECOND


def test_other_stages_freeze_nothing() -> None:
    class Validated(Net):
        def validation_step(self, batch: Tensor, batch_idx: int) -> None:
            pass

    net = Validated()
    trainer(Freezer(name_starts_with="0")).validate(net, DataLoader(Numbers(2)), verbose=False)
    assert all(p.requires_grad for p in net.parameters())


@pytest.mark.parametrize("until", [{}, {"until_step": 2}, {"until_epoch": 1}])
def test_ranks_stay_equal_and_frozen_weights_stay(tmp_path: Path, until: dict[str, int]) -> None:
    class Keep(Callback):
        def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
            step = trainer.global_step
            torch.save(pl_module.state_dict(), tmp_path / f"{trainer.global_rank}-{step}.pt")

    torch.manual_seed(0)
    net = LateNet() if until else Net()
    net.configure_model()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    freezer = Freezer(name_starts_with="0", **until)  # type: ignore[arg-type]
    trainer(freezer, Keep(), max_epochs=2, strategy="ddp_fork", devices=2).fit(net)
    states = [[torch.load(tmp_path / f"{rank}-{step}.pt") for step in range(1, 5)] for rank in range(2)]
    for rank_0, rank_1 in zip(*states, strict=True):
        assert all(torch.equal(rank_0[name], rank_1[name]) for name in before)
    moved = [{name for name in before if not torch.equal(state[name], before[name])} for state in states[0]]
    assert moved == [SECOND] * 2 + [FIRST | SECOND if until else SECOND] * 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"names": "0.wieght"}, r"no parameter is named '0.wieght'\n  did you mean '0.weight'"),
        ({"names": "model.0"}, "'model.0' is a module: name it under `name_starts_with`"),
        ({"name_starts_with": "modle.0"}, "no parameter's name starts with 'modle.0'"),
        ({"names": "0.bias", "except_names": ["0.bais"]}, "did you mean '0.bias'"),
        ({"names": "0.bias", "except_name_starts_with": "2"}, "no parameter's name starts with '2'"),
    ],
)
def test_a_name_that_matches_nothing_is_an_error(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        fit(Freezer(**arguments))


def test_naming_nothing_is_an_error() -> None:
    with pytest.raises(ConfigError, match="needs `names` or `name_starts_with`"):
        Freezer(except_names="0.bias")


def test_two_limits_are_an_error() -> None:
    with pytest.raises(ConfigError, match="not both"):
        Freezer("0.bias", until_step=1, until_epoch=1)
