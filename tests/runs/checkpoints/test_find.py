from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger
from torch.utils.data import DataLoader

from lighter import Runner
from lighter.config import compose
from lighter.errors import ConfigError
from workspace import workspace  # noqa: F401 - a fixture

pytestmark = pytest.mark.usefixtures("workspace")

QUIET = ["trainer::enable_progress_bar=false", "trainer::enable_model_summary=false", "trainer::max_epochs=2"]
LOGS = Path("logs/lightning_logs")
CALLBACK = "_target_: pytorch_lightning.callbacks.ModelCheckpoint"


def callbacks(*arguments: str) -> str:
    """Return the override that gives the trainer one ModelCheckpoint for each set of arguments."""
    return f"trainer::callbacks=[{', '.join(f'{{{CALLBACK}, {text}}}' for text in arguments)}]"


NESTED = callbacks("monitor: val/loss/epoch, filename: '{epoch}-{val/loss/epoch:.2f}', save_last: true")


def fit(*overrides: str, source: str = "config.yaml") -> Path:
    """Run a fit and return the best checkpoint as its own Trainer knows it."""
    runner = Runner()
    runner.run("fit", source.split(), [*QUIET, *overrides])
    return Path(runner.trainer.checkpoint_callback.best_model_path)  # type: ignore[union-attr]


def find(which: str, *overrides: str, source: str = "config.yaml") -> Path:
    runner = Runner()
    runner.prepare("test", compose(source.split(), [*QUIET, *overrides]), ckpt=which)
    assert runner.checkpoint is not None
    return runner.checkpoint


def fit_elsewhere(folder: Path = Path("logs")) -> Path:
    """Train with plain Lightning into the same logs, and return the checkpoint."""

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(4, 2)

        def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
            return self.layer(batch).sum()  # type: ignore[no-any-return]

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), 0.1)

    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=1,
        logger=CSVLogger(folder),
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Module(), DataLoader(torch.zeros(4, 4)))  # type: ignore[arg-type]  # a tensor is a dataset
    return Path(trainer.checkpoint_callback.best_model_path)  # type: ignore[union-attr]


@pytest.fixture
def other(workspace: Path) -> str:  # noqa: F811
    shutil.copy("config.yaml", "other.yaml")
    return "other.yaml"


# --- a path


def test_a_path_is_itself_whichever_config_it_is_of(other: str) -> None:
    file = fit(source=other)
    assert find(str(file)) == file


def test_a_missing_path_suggests_the_nearest() -> None:
    missing = fit().with_name("epoch=1-step=9.ckpt")
    with pytest.raises(ConfigError, match=r"there is no checkpoint .*step=9.ckpt'\n  did you mean 'epoch=1-step=8.c"):
        find(str(missing))


# --- whose checkpoint best and last are


def test_best_and_last_are_of_the_newest_run() -> None:
    keep = callbacks("monitor: val/loss/epoch, save_last: true")
    fit(keep)
    best = fit(keep)
    assert find("best") == best
    assert find("last") == LOGS / "version_1" / "checkpoints" / "last.ckpt"


def test_a_newer_run_of_another_config_is_never_taken(other: str) -> None:
    mine = fit()
    fit(source=other)
    fit(source=f"config.yaml {other}")
    assert find("best") == mine
    assert find("last") == mine
    with pytest.raises(ConfigError, match="no run of this config"):
        find("last", source=f"{other} config.yaml")


def test_overrides_do_not_make_another_config() -> None:
    file = fit("system::optimizer::lr=0.5")
    assert find("last", "seed=3") == file


def test_the_same_files_by_another_path_are_the_same_config(monkeypatch: pytest.MonkeyPatch) -> None:
    file = fit().resolve()
    Path("link.yaml").symlink_to("config.yaml")
    absolute = str(Path("config.yaml").resolve())
    assert find("best", source="link.yaml").resolve() == file
    monkeypatch.chdir("proj")
    assert find("best", "project='.'", "trainer::logger::save_dir=../logs", source=absolute).resolve() == file


def test_only_runs_of_other_configs_end_in_an_error_that_says_whose(other: str) -> None:
    file = fit(source=other)
    with pytest.raises(ConfigError) as caught:
        find("best")
    assert str(caught.value) == (
        f"no run of this config has left a checkpoint (looked in {LOGS})\n"
        f"  {str(file)!r} is of {Path(other).resolve()}\n"
        "  run fit first; --ckpt PATH takes any"
    )


def test_a_checkpoint_without_a_record_is_not_taken() -> None:
    file = fit_elsewhere()
    with pytest.raises(ConfigError, match=r"version_0.*' does not tell which config(.|\n)*--ckpt PATH takes any"):
        find("last")
    assert find(str(file)) == file


def test_a_newer_checkpoint_without_a_record_is_passed_over_with_a_warning() -> None:
    file = fit()
    fit_elsewhere()
    with pytest.warns(UserWarning, match="passed over: '.*version_1.*'; --ckpt PATH takes any"):
        assert find("last") == file


def test_weights_alone_beside_a_recorded_checkpoint_cause_no_warning() -> None:
    fit(callbacks("filename: full, monitor: val/loss/epoch", "filename: weights, save_weights_only: true"))
    assert find("last").name == "full.ckpt"


def test_a_checkpoint_that_was_cut_short_is_passed_over_with_a_warning() -> None:
    first, second = fit(), fit()
    os.truncate(second, second.stat().st_size // 2)
    with pytest.warns(UserWarning, match=r"passed over: '.*version_1"):
        assert find("best") == first
    os.truncate(first, 0)
    with pytest.raises(ConfigError, match=r"no run of this config(.|\n)*or cannot be read"):
        find("best")


def test_a_last_that_was_cut_short_gives_way_to_the_newest_whole_one() -> None:
    whole = fit(callbacks("save_last: true"))
    os.truncate(whole.with_name("last.ckpt"), 100)
    with pytest.warns(UserWarning, match=r"passed over: '.*last.ckpt'"):
        assert find("last") == whole


def test_a_best_that_was_cut_short_is_named() -> None:
    best = fit(callbacks("monitor: val/loss/epoch, save_last: true"))
    os.truncate(best, 100)
    os.utime(best, (0, 0))
    with pytest.raises(ConfigError, match="' is cut short"):
        find("best")


def test_no_checkpoint_at_all_says_where_it_looked() -> None:
    with pytest.raises(ConfigError, match=rf"no run of this config has left a checkpoint \(looked in {LOGS}\)\n  run"):
        find("best")


# --- which of a run


def test_last_is_the_newest_where_none_is_so_named() -> None:
    fit(callbacks("save_top_k: -1"))
    assert find("last").name == "epoch=1-step=8.ckpt"


def test_a_last_whose_target_is_gone_is_not_taken() -> None:
    fit(callbacks("save_top_k: -1, save_last: link"))
    (LOGS / "version_0" / "checkpoints" / "epoch=1-step=8.ckpt").unlink()
    assert find("last").name == "epoch=0-step=4.ckpt"


def test_a_monitored_best_goes_before_an_unmonitored_one() -> None:
    fit(callbacks("filename: every", "filename: watched, monitor: val/loss/epoch"))
    assert find("best").stem == "watched"


def test_a_best_that_is_gone_is_an_error() -> None:
    fit(callbacks("monitor: val/loss/epoch, save_last: true")).unlink()
    with pytest.raises(ConfigError, match=r"knows of no best checkpoint that still exists\n  give a path, or --ckpt l"):
        find("best")


def test_a_best_that_was_replaced_by_another_configs_is_an_error(other: str) -> None:
    keep = callbacks("monitor: val/loss/epoch, save_last: true")
    best, wrong = fit(keep), fit(keep, source=other)
    shutil.copy(wrong, best)
    os.utime(best, (0, 0))
    with pytest.raises(ConfigError, match="knows of no best"):
        find("best")


# --- where they lie


def test_checkpoints_that_metric_names_put_into_subfolders_are_found() -> None:
    best = fit(NESTED)
    assert best.parent.name == "loss"
    assert find("best") == best
    last = find("last")
    assert last.name == "last.ckpt"
    last.unlink()
    assert find("last").parent.name == "loss"


def test_a_run_folder_that_was_moved_keeps_its_best() -> None:
    best = fit(NESTED)
    shutil.move("logs", "moved")
    assert find("best", "trainer::logger::save_dir=moved") == Path("moved", *best.parts[best.parts.index("logs") + 1 :])


def test_a_chosen_folder_may_be_shared_by_configs_and_hold_subfolders(other: str) -> None:
    shared = callbacks("dirpath: chosen, monitor: val/loss/epoch, filename: '{epoch}-{val/loss/epoch:.2f}'")
    mine = fit(shared)
    theirs = fit(shared, source=other)
    assert mine.parent != Path("chosen").resolve()
    assert find("best", shared) == find("last", shared) == mine
    assert find("best", shared, source=other) == theirs


def test_a_chosen_folder_beside_the_loggers_leaves_both_to_be_found() -> None:
    both = callbacks("dirpath: chosen, filename: chosen", "filename: logged, monitor: val/loss/epoch")
    fit(both)
    Path("chosen/chosen.ckpt").unlink()
    assert find("last", both).stem == "logged"


def test_without_a_logger_it_is_looked_for_below_the_working_folder() -> None:
    file = fit("trainer::logger=false", NESTED)
    assert file.parent.name == "loss"
    assert find("best", "trainer::logger=false") == file


def test_the_whole_working_folder_is_never_walked() -> None:
    here = callbacks("dirpath: ., filename: here")
    file = fit(here)
    deep = Path("data/set/checkpoints/deep.ckpt")
    deep.parent.mkdir(parents=True)
    shutil.copy(file, deep)
    assert find("last", here) == file
    assert find("last", callbacks("dirpath: data")) == deep.resolve()


def test_the_folder_is_the_loggers_own_whatever_the_trainer_calls_its_log_folder() -> None:
    board = "=trainer::logger={_target_: pytorch_lightning.loggers.TensorBoardLogger, save_dir: tb, sub_dir: events}"
    file = fit(board)
    assert find("best", board) == file
