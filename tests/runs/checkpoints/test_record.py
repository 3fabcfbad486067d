from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from lighter import Runner
from lighter._epoch import callbacks_of, wants_outputs
from lighter.runs.checkpoints.record import recorded_sources
from lighter.runs.record.recorder import Recorder
from workspace import workspace  # noqa: F401 - a fixture

pytestmark = pytest.mark.usefixtures("workspace")

QUIET = ["trainer::enable_progress_bar=false", "trainer::enable_model_summary=false", "trainer::max_epochs=1"]


def fit(*overrides: str) -> tuple[Runner, dict[str, Any]]:
    """Run a fit, and return what its checkpoint holds for those who trust nothing."""
    runner = Runner()
    runner.run("fit", ["config.yaml"], [*QUIET, *overrides])
    path = runner.trainer.checkpoint_callback.best_model_path  # type: ignore[union-attr]
    return runner, torch.load(path, weights_only=True)


def test_a_checkpoint_carries_config_sources_and_overrides_as_plain_data() -> None:
    odd = "vars={1: one, false: [1.5, null, .inf], 2.5: 'ü', null: {}, text: '1'}"
    runner, content = fit(odd)
    record = content["lighter"]
    of_run = {"run", "resumed", "epoch", "seen", "rows", "step"}
    assert set(record) == {"config", "sources", "overrides", "hidden", *of_run}
    assert record["sources"] == [str(Path("config.yaml").resolve())]
    assert record["overrides"] == [*QUIET, odd]
    config = runner.config.plain()
    assert isinstance(config, dict)
    assert repr(record["config"]) == repr(config | {"project": str(Path("proj").resolve())})
    assert record["config"]["trainer"]["max_epochs"] == 1
    assert plain_types(record) <= {dict, list, str, int, float, bool, type(None)}


def plain_types(value: object) -> set[type]:
    inner: list[object] = []
    if isinstance(value, dict):
        inner = [*value, *value.values()]
    elif isinstance(value, list):
        inner = value
    return {type(value)}.union(*map(plain_types, inner))


@pytest.mark.parametrize(
    "override",
    [
        "trainer::callbacks={_target_: pytorch_lightning.callbacks.Timer}",
        "trainer::callbacks=[{_target_: pytorch_lightning.callbacks.ModelCheckpoint, every_n_train_steps: 1}]",
        "trainer::_target_=factory.trainer",
    ],
    ids=["one callback", "its own ModelCheckpoint", "a function that makes the trainer"],
)
def test_it_does_so_however_the_trainer_is_made(override: str) -> None:
    Path("proj/factory.py").write_text(
        "from pytorch_lightning import Trainer\ndef trainer(**arguments):\n    return Trainer(**arguments)\n"
    )
    runner, content = fit(override)
    assert recorded_sources(content) == (Path("config.yaml").resolve(),)
    assert sum(isinstance(callback, Recorder) for callback in callbacks_of(runner.trainer)) == 1


def test_a_checkpoint_of_several_processes_carries_it_too() -> None:
    overrides = ["trainer::devices=2", "trainer::strategy=ddp_fork", "trainer::logger=false"]
    Runner().run("fit", ["config.yaml"], [*QUIET, *overrides])
    runner = Runner()
    runner.run("test", ["config.yaml"], [*QUIET, "trainer::logger=false"], ckpt="last")
    assert runner.checkpoint is not None
    assert torch.load(runner.checkpoint, weights_only=True)["lighter"]["overrides"][-3:] == overrides


def test_it_costs_the_system_no_outputs_and_leaves_no_state_behind() -> None:
    runner, content = fit()
    assert not wants_outputs("train", runner.trainer, runner.system)
    assert [name for name in content["callbacks"] if "Record" in name] == []


def test_plain_lightning_takes_the_checkpoint_as_its_own() -> None:
    runner, _ = fit()
    path = runner.trainer.checkpoint_callback.best_model_path  # type: ignore[union-attr]
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, max_epochs=2)
    trainer.fit(runner.system, ckpt_path=path)
    assert trainer.current_epoch == 2


@pytest.mark.parametrize("content", [None, {}, {"lighter": 1}, {"lighter": {}}, {"lighter": {"sources": "a.yaml"}}])
def test_what_is_no_record_names_no_sources(content: object) -> None:
    assert recorded_sources(content) is None
