"""Checkpoints with a part from each rank: whole or not there, and read by one process and by other strategies."""

from __future__ import annotations

import shutil
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader

from lighter.cli import main
from lighter.config.checkpoint import read_checkpoint
from lighter.errors import ConfigError, LighterError, RunError
from lighter.runs.checkpoints.atomic_io import put_in_place, remove_stale
from lighter.runs.checkpoints.file import check_checkpoint
from lighter.runs.checkpoints.sharded import check_shards, consolidated
from lighter.runs.record.run_file import read_run

from .conftest import Runs
from .parts import MARKS, WAYS, Net, Points, run, shard, way

pytestmark = MARKS

FOLDERS = ["fsdp", "mesh"]


@pytest.mark.filterwarnings("ignore:the checkpoint is of . ranks")
@pytest.mark.parametrize(
    ("saved", "resumed"),
    [
        ("fsdp", "fsdp"),
        ("mesh", "mesh"),
        ("fsdp", "one"),
        ("mesh", "ddp"),
        ("mesh", "mesh, alone"),
        ("one", "fsdp"),
        ("fsdp, full", "mesh"),
        ("fsdp, hybrid", "fsdp, hybrid"),
        ("fsdp, hybrid", "fsdp"),
        ("fsdp", "fsdp, hybrid"),
    ],
)
def test_a_fit_goes_on_in_another_way_as_if_it_had_never_stopped(runs: Runs, saved: str, resumed: str) -> None:
    (one,), before = runs("one"), runs(saved)
    kept = f"{saved} to {resumed}"
    ranks = run("fit", kept, *WAYS[resumed], f"trainer::logger::name={kept}", ckpt=runs.checkpoint(saved, "epoch=0"))
    for rank in ranks:
        mine, theirs = rank["steps"][-1], one["steps"][-1]
        assert len(rank["steps"]) == 3
        assert all(torch.allclose(mine[name], theirs[name], atol=1e-6) for name in theirs)
        if saved == resumed:
            assert all(torch.equal(mine[name], before[0]["steps"][-1][name]) for name in mine)


ADDING_UP = ("trainer::accumulate_grad_batches=2", "trainer::max_epochs=1", "trainer::logger=false")
SAVING = "=trainer::callbacks::1={_target_: sharded.parts.SaveFirst}"


@pytest.mark.parametrize("name", ["fsdp", "fsdp, flat", "fsdp, hybrid", "mesh"])
def test_ranks_go_on_between_two_batches_of_a_step(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    whole = run("fit", "whole", *WAYS[name], *ADDING_UP, SAVING)
    resumed = run("fit", "resumed", *WAYS[name], *ADDING_UP, "~trainer::callbacks::1", ckpt="first.ckpt")
    assert [len(rank["steps"]) for rank in resumed] == [2] * len(whole)
    for rank, before in zip(resumed, whole, strict=True):
        own = before["steps"]
        assert any(not torch.equal(own[0][name], own[1][name]) for name in own[0])
        assert all(torch.equal(rank["steps"][-1][name], value) for name, value in own[-1].items())


def test_gradients_of_another_strategy_are_left_out_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run("fit", "whole", *WAYS["fsdp, full"], *ADDING_UP, SAVING)
    going_on = (*WAYS["ddp"], *ADDING_UP, "~trainer::callbacks::1")
    with pytest.raises(RunError, match="UserWarning: the checkpoint's gradients are of another strategy"):
        run("fit", "resumed", *going_on, ckpt="first.ckpt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert [len(rank["steps"]) for rank in run("fit", "resumed", *going_on, ckpt="first.ckpt")] == [2, 2]


def test_what_each_rank_has_to_itself_goes_on_in_another_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = "system::model::_target_=sharded.parts.Summed"
    whole = run("fit", "whole", *WAYS["mesh"], model, "trainer::logger::name=whole")
    run("fit", "saved", *WAYS["fsdp, full"], model, "trainer::max_epochs=1")
    (saved,) = tmp_path.glob("logs/lightning_logs/**/epoch=0.ckpt")
    resumed = run("fit", "resumed", *WAYS["mesh"], model, "trainer::logger::name=resumed", ckpt=str(saved))
    totals = [[rank["steps"][-1]["model.0.total"].item() for rank in ranks] for ranks in (whole, resumed)]
    assert totals[0][0] != totals[0][1]
    assert totals[0] == pytest.approx(totals[1])


@pytest.mark.parametrize("name", FOLDERS)
def test_a_run_of_ranks_is_a_source_for_one_process(runs: Runs, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = runs.folder(name)
    record = read_run(folder)
    assert {item.path for item in record.checkpoints} >= {"checkpoints/epoch=1.ckpt", "checkpoints/last.ckpt"}
    assert record.best[0].checkpoint in ("checkpoints/epoch=0.ckpt", "checkpoints/epoch=1.ckpt")
    alone = ["trainer::devices=1", "trainer::strategy=auto"]
    (from_folder,) = run("test", f"source {name}", *alone, source=str(folder), ckpt="last")
    (from_file,) = run("test", f"whole {name}", ckpt=runs.checkpoint("one"))
    assert from_folder["metrics"] == pytest.approx(from_file["metrics"], abs=1e-6)
    assert main(["show", runs.checkpoint(name), "--at", "system::model"]) == 0
    assert "sharded.parts.Net" in capsys.readouterr().out
    content = read_checkpoint(runs.checkpoint(name))
    assert content["global_step"] == 6
    assert not list(folder.glob("**/.*.tmp"))


def test_a_sharded_run_is_resumed_in_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run("fit", "first", *WAYS["fsdp"], "trainer::max_epochs=1")
    (folder,) = Path("logs").glob("*/version_0")
    (folder / "checkpoints" / ".last.ckpt.1.tmp").mkdir()
    ranks = run("fit", "second", "trainer::max_epochs=2", source=str(folder), resume=True)
    record = read_run(folder)
    assert (record.status, record.epochs, len(record.resumed), len(ranks)) == ("completed", 2, 1, 2)
    assert sorted(item.name for item in (folder / "checkpoints").iterdir()) == [
        "epoch=0.ckpt",
        "epoch=1.ckpt",
        "last.ckpt",
    ]


@pytest.mark.parametrize("name", FOLDERS)
def test_one_process_reads_what_ranks_have_saved(runs: Runs, name: str) -> None:
    (one,) = runs("one")
    runs(name)
    made = consolidated(Path(runs.checkpoint(name)))
    whole = torch.load(runs.checkpoint("one"), weights_only=True)
    assert made.keys() == whole.keys()
    assert made["state_dict"].keys() == whole["state_dict"].keys()
    assert all(torch.allclose(made["state_dict"][item], one["steps"][-1][item], atol=1e-6) for item in one["steps"][-1])
    (mine,), (theirs,) = made["optimizer_states"], whole["optimizer_states"]
    assert mine["param_groups"][0]["params"] == theirs["param_groups"][0]["params"] == [0, 1, 2, 3, 4, 5]
    for number, state in theirs["state"].items():
        assert all(torch.allclose(mine["state"][number][part], state[part], atol=1e-6) for part in state)


@pytest.fixture
def folder(runs: Runs, tmp_path: Path) -> Path:
    """Return a copy of a sharded checkpoint."""
    return Path(shutil.copytree(runs.checkpoint("fsdp"), tmp_path / "copy.ckpt"))


@pytest.mark.parametrize("name", ["meta.pt", ".metadata", "__1_0.distcp"])
def test_a_folder_without_one_of_its_parts_is_refused(folder: Path, name: str) -> None:
    check_checkpoint(folder)
    (folder / name).unlink()
    with pytest.raises(ConfigError, match=f"is not whole: {name} is missing"):
        check_checkpoint(folder)


def test_a_folder_with_a_part_that_is_cut_short_is_refused(folder: Path) -> None:
    part = folder / "__0_0.distcp"
    part.write_bytes(part.read_bytes()[:-100])
    with pytest.raises(ConfigError, match=r"is not whole: __0_0[.]distcp is cut short"):
        check_checkpoint(folder)
    (folder / ".metadata").write_bytes(b"no pickle")
    with pytest.raises(ConfigError, match=r"is damaged: .metadata cannot be read"):
        check_checkpoint(folder)


def test_a_flipped_byte_is_found_before_a_run_goes_on(folder: Path) -> None:
    part = folder / "__0_0.distcp"
    content = bytearray(part.read_bytes())
    content[content.index(b"data/0") + 120] ^= 0xFF
    part.write_bytes(content)
    check_shards(folder)
    with pytest.raises(ConfigError, match=r"is damaged: __0_0[.]distcp"):
        check_shards(folder, fully=True)


@pytest.mark.parametrize(
    ("saved", "overrides", "message"),
    [
        ("fsdp", WAYS["mesh"], "is a folder of FSDPStrategy, which ForkedMesh cannot read\n  save in one file"),
        ("mesh", WAYS["fsdp"], "is a folder of ModelParallelStrategy, which ForkedFSDP cannot read"),
        ("one", WAYS["fsdp, flat"], "that FSDP cannot take with use_orig_params=False"),
        (None, way("PlainFSDP", state_dict_type="full"), "on the CPU torch's FSDP would save a wrong state"),
        (None, way("ForkedFSDP", use_orig_params="false"), "cannot save the state of the optimizer in one file"),
    ],
)
def test_what_torch_and_lightning_cannot_do_is_said(
    runs: Runs, saved: str | None, overrides: list[str], message: str
) -> None:
    with pytest.raises(LighterError, match=message):
        run(
            "fit",
            "kept",
            *overrides,
            "trainer::logger::name=bad",
            ckpt=runs.checkpoint(saved, "epoch=0") if saved else None,
        )


def test_a_folder_takes_the_place_of_another_and_of_a_file(tmp_path: Path) -> None:
    for number, old in enumerate(("folder", "file", "nothing")):
        target, beside = tmp_path / f"{old}.ckpt", tmp_path / f".{old}.ckpt.1.tmp"
        beside.mkdir()
        (beside / "part").write_text(str(number))
        if old == "folder":
            target.mkdir()
            (target / "other").touch()
        elif old == "file":
            target.touch()
        put_in_place(beside, target)
        assert [(item.name, item.read_text()) for item in target.iterdir()] == [("part", str(number))]
    (tmp_path / ".left.ckpt.1.tmp").mkdir()
    remove_stale([], tmp_path)
    assert sorted(item.name for item in tmp_path.iterdir()) == ["file.ckpt", "folder.ckpt", "nothing.ckpt"]


def text_in(checkpoint: Path) -> str:
    return (checkpoint / "part" if checkpoint.is_dir() else checkpoint).read_text()


@pytest.mark.parametrize(("earlier", "later"), [("folder", "folder"), ("file", "folder"), ("folder", "file")])
@pytest.mark.parametrize("kills", range(3))
def test_at_each_moment_one_whole_checkpoint_is_found(
    kills: int, earlier: str, later: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Renames are counted, and the process is "killed" before the n-th of them."""
    target, beside = tmp_path / "last.ckpt", tmp_path / ".last.ckpt.7.tmp"
    for path, kind, text in ((target, earlier, "earlier"), (beside, later, "later")):
        if kind == "folder":
            path.mkdir()
        (path / "part" if kind == "folder" else path).write_text(text)
    done = 0

    def counted(rename: object) -> object:
        def count(path: Path, to: Path) -> object:
            nonlocal done
            if done == kills:
                raise KeyboardInterrupt
            done += 1
            return rename(path, to)  # type: ignore[operator]

        return count

    leaves = kills == 2 and earlier == "file"  # one that has been a file is unlinked, without a rename
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", counted(Path.rename))
        patch.setattr(Path, "replace", counted(Path.replace))
        with nullcontext() if leaves else pytest.raises(KeyboardInterrupt):
            put_in_place(beside, target)
    remove_stale([], tmp_path)
    found = {path.name: text_in(path) for path in tmp_path.glob("*.ckpt")}
    expected = [
        {"last.ckpt": "earlier"},
        {"last.old.ckpt": "earlier"},
        {"last.ckpt": "later"} if leaves else {"last.ckpt": "later", "last.old.ckpt": "earlier"},
    ]
    assert found == expected[kills]
    beside.mkdir()
    (beside / "part").write_text("later still")
    put_in_place(beside, target)
    assert {path.name: text_in(path) for path in tmp_path.iterdir()} == {"last.ckpt": "later still"}


def test_a_link_to_a_checkpoint_gives_way_to_a_folder(tmp_path: Path) -> None:
    target, beside = tmp_path / "last.ckpt", tmp_path / ".last.ckpt.7.tmp"
    (tmp_path / "epoch=0.ckpt").write_text("linked")
    target.symlink_to("epoch=0.ckpt")
    beside.mkdir()
    (beside / "part").write_text("later")
    put_in_place(beside, target)
    assert {path.name: text_in(path) for path in tmp_path.iterdir()} == {"last.ckpt": "later", "epoch=0.ckpt": "linked"}


class Logs(pl.LightningModule):
    """A module that logs by epoch, over all ranks."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Net()

    def configure_model(self) -> None:
        if self.device_mesh is not None:
            shard(self.model, self.device_mesh)

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        loss = nn.functional.cross_entropy(self.model(batch[0]), batch[1])
        self.log("all", loss, on_step=False, on_epoch=True, sync_dist=True)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=0.05)

    def train_dataloader(self) -> Any:
        return DataLoader(Points(), batch_size=4)


@pytest.mark.parametrize(("saved", "resumed"), [("one", "mesh, alone"), ("mesh, alone", "one")])
def test_what_is_logged_by_epoch_goes_on_under_a_strategy_of_one_rank_and_back(
    saved: str, resumed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    own = [
        "=system={_target_: sharded.test_checkpoints.Logs}",
        "trainer::max_epochs=1",
        "trainer::callbacks::1={_target_: pytorch_lightning.callbacks.ModelCheckpoint, dirpath: saved}",
        "trainer::callbacks::1={filename: '{step}', monitor: null, every_n_train_steps: 3, save_top_k: -1}",
    ]
    run("fit", "x", *own, *WAYS[saved], "trainer::logger::name=whole")
    again = [*WAYS[resumed], "trainer::callbacks::1::dirpath=again", "trainer::logger::name=again"]
    run("fit", "x", *own, *again, ckpt="saved/step=3.ckpt")
    whole, gone_on = (Path("logs", name, "version_0", "metrics.csv").read_text() for name in ("whole", "again"))
    assert whole.splitlines()[0] == "all,epoch,step"
    assert gone_on == whole
