from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch.optim.lr_scheduler import OneCycleLR

from lighter import Runner, System
from lighter.cli import main
from lighter.errors import BuildError, ConfigError, RunError, UsageError
from workspace import workspace  # noqa: F401 - a fixture

pytestmark = pytest.mark.usefixtures("workspace")

QUIET = ["trainer::enable_progress_bar=false", "trainer::enable_model_summary=false"]


def run(stage: Any, *overrides: str, ckpt: str | None = None) -> tuple[Runner, Any]:
    runner = Runner()
    return runner, runner.run(stage, ["config.yaml"], [*QUIET, *overrides], ckpt=ckpt)


def built() -> list[str]:
    """Return the modes of the datasets built, and forget them."""
    found: list[str] = []
    for name in ("project.parts", "parts"):
        if name in sys.modules:
            found += sys.modules[name].BUILT
            sys.modules[name].BUILT.clear()
    return found


def test_fit_returns_what_the_trainer_returned_and_leaves_the_live_parts() -> None:
    runner, result = run("fit")
    assert result is None
    assert isinstance(runner.trainer, pl.Trainer)
    assert isinstance(runner.system, System)
    assert runner.trainer.current_epoch == 2
    assert runner.trainer.callback_metrics["val/metrics/MulticlassAccuracy/epoch"] > 0.5


def test_test_and_predict_return_what_the_trainer_returned() -> None:
    _, results = run("test")
    assert set(results[0]) == {"test/metrics/MulticlassAccuracy/epoch"}
    _, predictions = run("predict")
    assert [len(batch["pred"]) for batch in predictions] == [8, 8, 8, 8]


@pytest.mark.parametrize(
    ("stage", "modes"), [("fit", ["train", "val"]), ("validate", ["val"]), ("test", ["test"]), ("predict", ["predict"])]
)
def test_a_stage_builds_only_its_own_modes(stage: str, modes: list[str]) -> None:
    runner, _ = run(stage)
    assert sorted(built()) == modes
    assert isinstance(runner.system, System)
    assert sorted(runner.system.dataloaders) == modes
    assert (runner.system.criterion is not None) == (stage in ("fit", "validate"))


def test_a_mode_that_is_not_needed_may_be_broken_and_still_be_referred_to() -> None:
    Path("config.yaml").write_text(
        Path("config.yaml").read_text().replace("dataset: {_target_: parts.Points, mode: val}", 'dataset: "@x"'),
    )
    with pytest.raises(ConfigError, match="names nothing"):
        run("validate")
    run("test")
    built()
    run("validate", "=system::dataloaders::val=%::test")
    assert built() == ["test"]


def test_the_optimizer_and_scheduler_are_built_late_from_live_objects_and_afresh_at_each_fit() -> None:
    overrides = (
        "system::scheduler={scheduler: {_target_: torch.optim.lr_scheduler.OneCycleLR, optimizer: '@system::optimizer',"
        " max_lr: 0.1, total_steps: '$@trainer.estimated_stepping_batches + 0 * @system.current_epoch'},"
        " interval: step}"
    )
    runner, _ = run("fit", overrides)
    optimizer = runner.trainer.optimizers[0]
    scheduler = runner.trainer.lr_scheduler_configs[0].scheduler
    assert isinstance(scheduler, OneCycleLR)
    assert scheduler.total_steps == 8
    assert scheduler.optimizer is optimizer
    assert isinstance(runner.system, System)
    assert optimizer.param_groups[0]["params"][0] is runner.system.model.weight
    runner.trainer.fit_loop.max_epochs = 3
    runner.trainer.fit(runner.system)
    assert runner.trainer.optimizers[0] is not optimizer


def test_the_live_system_cannot_be_had_in_what_is_built_early() -> None:
    with pytest.raises(ConfigError, match="'@system' is the live System, which exists only in what is built late"):
        run("fit", "system::model::bias=$bool(@system)")


def test_the_live_trainer_can_be_had_in_the_dataloaders() -> None:
    runner, _ = run("test", "system::dataloaders::test::batch_size=$4 * @trainer.world_size")
    assert isinstance(runner.system, System)
    assert runner.system.dataloaders["test"].batch_size == 4


def test_the_same_reference_is_one_object_across_the_system_and_the_trainer() -> None:
    keep = "{_target_: pytorch_lightning.callbacks.LambdaCallback, on_fit_start: '$lambda *_: @system::model.weight'}"
    runner, _ = run("fit", f"trainer::callbacks=[{keep}]")
    assert isinstance(runner.system, System)
    callback = next(
        item
        for item in runner.trainer.callbacks  # type: ignore[attr-defined]
        if type(item).__name__ == "LambdaCallback"
    )
    assert callback.on_fit_start() is runner.system.model.weight


def test_args_go_to_the_trainers_method() -> None:
    run("fit")
    best = str(next(Path("logs").glob("**/*.ckpt")))
    runner, _ = run("test", f"args::test::ckpt_path={best}", "args::test::verbose=false")
    assert str(runner.checkpoint) == best


def test_the_command_lines_checkpoint_goes_before_the_configs() -> None:
    run("fit")
    runner, _ = run("test", "args::test::ckpt_path=missing.ckpt", ckpt="last")
    assert runner.checkpoint is not None
    assert runner.checkpoint.suffix == ".ckpt"


def test_what_is_no_checkpoint_is_named_before_anything_is_built_or_printed(capsys: pytest.CaptureFixture[str]) -> None:
    built()
    Path("empty.ckpt").touch()
    assert main(["test", "config.yaml", "--ckpt", "empty.ckpt"]) == 2
    assert capsys.readouterr() == ("", "error: 'empty.ckpt' is empty\n")
    Path("data.yaml").write_text("data: {_target_: project.parts.Points}\nsystem: {~dataloaders: null}")
    assert main(["test", "config.yaml", "data.yaml", "--ckpt", "empty.ckpt"]) == 2
    assert built() == []


@pytest.mark.parametrize("stage", ["fit", "test"])
def test_weights_of_another_architecture_end_in_one_screen(stage: str, capsys: pytest.CaptureFixture[str]) -> None:
    run("fit")
    model = "system::model::out_features=3"
    assert main([stage, "config.yaml", "--ckpt=last", model]) == 1
    error = capsys.readouterr().err
    assert "error: the weights in 'logs/lightning_logs/version_0/checkpoints/epoch=1-step=8.ckpt' do not fit" in error
    assert "  of another shape: model.weight [2, 4], here [3, 4], model.bias [2], here [3]\n" in error
    assert error.endswith("  from another config or override?\n")
    with pytest.raises(RunError) as caught:
        run(stage, model, ckpt="last")
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_another_runtime_error_of_a_run_stays_what_it_is() -> None:
    run("fit")
    collate = "{_target_: project.parts.broken_collate, _mode_: callable}"
    with pytest.raises(RuntimeError, match="the collate function broke"):
        run("test", f"system::dataloaders::test::collate_fn={collate}", ckpt="last")


def test_an_unknown_argument_of_a_stage_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"Trainer.fit takes no argument 'ckpt_pat'(.|\n)*did you mean 'ckpt_path'"):
        run("fit", "args::fit::ckpt_pat=last")


def test_a_seed_makes_two_runs_equal() -> None:
    weights = []
    for seed in (1, 1, 2):
        runner, _ = run("fit", f"seed={seed}")
        assert isinstance(runner.system, System)
        weights.append(runner.system.model.weight.detach().clone())  # type: ignore[operator]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_the_root_cause_of_a_constructor_that_raises_is_shown_with_its_place() -> None:
    with pytest.raises(BuildError) as caught:
        run("fit", "system::dataloaders::train::dataset::fail=true")
    text = str(caught.value)
    assert "config.yaml:23:27: system::dataloaders::train::dataset: project.parts.Points raised" in text
    assert "FileNotFoundError: no data at data/points.npz" in text
    assert "caused by OSError: the disk is gone" in text


def test_an_unknown_argument_of_the_trainer_is_placed_and_mended() -> None:
    with pytest.raises(ConfigError, match=r"override 'trainer::max_epoch=1': (.|\n)*did you mean 'max_epochs'"):
        run("fit", "trainer::max_epoch=1")


def test_fit_without_an_optimizer_or_train_data_is_refused_before_it_starts() -> None:
    with pytest.raises(ConfigError, match="system::optimizer: fit needs an optimizer"):
        run("fit", "~system::optimizer")
    with pytest.raises(ConfigError, match="system::dataloaders::train: fit needs a dataloader for 'train'"):
        run("fit", "~system::dataloaders::train")
    with pytest.raises(ConfigError, match="system::dataloaders::train: fit needs a dataloader for 'train'"):
        run("fit", "~system::dataloaders")


@pytest.mark.parametrize(("section", "kind"), [("trainer", "Trainer"), ("system", "LightningModule")])
def test_a_section_of_the_wrong_kind_is_refused(section: str, kind: str) -> None:
    with pytest.raises(ConfigError, match=f"{section}: is dict, not a pytorch_lightning.{kind}"):
        run("fit", f"={section}={{_target_: builtins.dict}}")


def test_an_unknown_stage_is_refused() -> None:
    with pytest.raises(UsageError, match="did you mean 'fit'"):
        run("fitt")


def test_any_lightning_module_and_datamodule_will_do() -> None:
    Path("proj/lit.py").write_text(
        """
import pytorch_lightning as pl, torch
from parts import Points

class Module(pl.LightningModule):
    def __init__(self, lr):
        super().__init__()
        self.lr, self.model = lr, torch.nn.Linear(4, 2)
    def training_step(self, batch, batch_idx):
        return torch.nn.functional.cross_entropy(self.model(batch[0]), batch[1])
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), self.lr)

class Data(pl.LightningDataModule):
    def train_dataloader(self):
        return torch.utils.data.DataLoader(Points(), batch_size=8)
"""
    )
    runner = Runner()
    Path("lit.yaml").write_text("=system: {_target_: lit.Module, lr: 0.1}\ndata: {_target_: lit.Data}")
    runner.run("fit", ["config.yaml", "lit.yaml"], QUIET)
    assert type(runner.system).__name__ == "Module"
    assert runner.trainer.global_step == 8


def test_a_system_with_a_datamodule_needs_no_dataloaders() -> None:
    Path("proj/lit.py").write_text(
        "import pytorch_lightning as pl, torch\nfrom parts import Points\n"
        "class Data(pl.LightningDataModule):\n"
        "    def test_dataloader(self):\n"
        "        return torch.utils.data.DataLoader(Points(), batch_size=8)\n"
    )
    Path("data.yaml").write_text("data: {_target_: project.lit.Data}\nsystem: {~dataloaders: null}")
    result = Runner().run("test", ["config.yaml", "data.yaml"], QUIET)
    assert "test/metrics/MulticlassAccuracy/epoch" in result[0]


@pytest.mark.parametrize("target", ["lighter.System", "own.Own"])
def test_a_datamodule_beside_dataloaders_is_refused(target: str) -> None:
    Path("proj/own.py").write_text("from lighter import System\nclass Own(System):\n    pass\n")
    Path("data.yaml").write_text("data: {_target_: never.imported.Data}\n")
    with pytest.raises(ConfigError) as caught:
        Runner().run("test", ["config.yaml", "data.yaml"], [*QUIET, f"system::_target_={target}"])
    problem, missing = caught.value.problems
    assert missing.message == "there is no module 'never'"
    assert problem.path == "system::dataloaders"
    assert problem.place is not None
    assert problem.place.file == "config.yaml"
    assert problem.message == "`data` stands in place of system::dataloaders: keep one of the two"


def test_a_disabled_datamodule_is_none() -> None:
    Path("data.yaml").write_text("data: {_target_: never.imported.Data, _disabled_: true}\n")
    runner = Runner()
    runner.run("test", ["config.yaml", "data.yaml"], QUIET)
    assert runner.datamodule is None


def test_a_subclass_of_system_takes_arguments_of_its_own() -> None:
    Path("proj/mine.py").write_text(
        "from lighter import System\n"
        "class Mine(System):\n"
        "    def __init__(self, scale, **kwargs):\n"
        "        super().__init__(**kwargs)\n"
        "        self.scale = scale\n"
    )
    runner, _ = run("fit", "system::_target_=mine.Mine", "system::scale=3")
    assert runner.system.scale == 3


def test_dataloaders_behind_a_reference_are_still_built_by_mode() -> None:
    before, _, after = Path("config.yaml").read_text().partition("  dataloaders:\n")
    loaders, _, rest = after.partition("  adapters:\n")
    text = f'{before}  dataloaders: "@vars::loaders"\n  adapters:\n{rest}vars:\n  loaders:\n{loaders}'
    Path("config.yaml").write_text(text)
    run("test")
    assert built() == ["test"]


def test_a_subclass_with_its_own_dataloader_needs_none_in_the_config() -> None:
    Path("proj/mine.py").write_text(
        "import torch\nfrom lighter import System\nfrom parts import Points\n"
        "class Mine(System):\n"
        "    def test_dataloader(self):\n"
        "        return torch.utils.data.DataLoader(Points(), batch_size=8)\n"
    )
    _, results = run("test", "system::_target_=mine.Mine", "~system::dataloaders")
    assert "test/metrics/MulticlassAccuracy/epoch" in results[0]


def test_a_function_may_make_the_trainer() -> None:
    Path("proj/mine.py").write_text(
        "import pytorch_lightning as pl\n"
        "def trainer(epochs):\n"
        "    return pl.Trainer(max_epochs=epochs, accelerator='cpu', logger=False, enable_checkpointing=False,\n"
        "                      enable_progress_bar=False, enable_model_summary=False)\n"
    )
    runner = Runner(lambda arguments: {**arguments, "callbacks": []})
    runner.run("fit", ["config.yaml"], ["=trainer={_target_: mine.trainer, epochs: 1}"])
    assert runner.trainer.current_epoch == 1
