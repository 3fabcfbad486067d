"""Find the run that `--resume` goes on with, and the checkpoint that it goes on from."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_warn

from lighter.config import Config
from lighter.config.checkpoint import is_checkpoint, read_checkpoint
from lighter.config.stored import CONFIG
from lighter.errors import ConfigError, RunError, UsageError
from lighter.exact.callback import KEY as EXACT
from lighter.runs.checkpoints.record import KEY, sources_of
from lighter.runs.checkpoints.sharded import check_shards, is_sharded
from lighter.runs.record.flat import flatten
from lighter.runs.record.folder import root_of_runs
from lighter.runs.record.job_log import is_of_this_job
from lighter.runs.record.run_file import NAME, Run, Setting, read_run, status_of
from lighter.runs.record.secrets import Secrets
from lighter.runs.resume.lock import Lock
from lighter.system import BATCHES_KEY

DEPTH = 3  # levels below where a logger writes at which a run may lie
SHOWN = 5  # of the values in which configs differ
CHUNK = 1 << 20  # bytes read at once

NEW = "~"  # how a value is shown that is not there


@dataclass(frozen=True)
class Position:
    """How far a checkpoint came: its global step and the epochs it has ended.

    `logged` and `logged_val` are the first steps to come in what loggers hold. These count batches, not the steps of
    optimizers, and those of validation by themselves. `due` are the modes whose epoch values are to come at the step
    before.
    """

    step: int = 0
    epochs: int = 0
    logged: int = 0
    logged_val: int = 0
    due: tuple[str, ...] = ()


@dataclass(frozen=True)
class Resumed:
    """A run to go on with: its record as it was left, the checkpoint to go on from, and the lock on its folder."""

    folder: Path
    run: Run
    status: str
    is_done: bool
    lock: Lock
    checkpoint: Path | None = None
    position: Position = Position()


def find_resumed(trainer: pl.Trainer, config: Config) -> Resumed | None:
    """Return the run that a source is (or that has saved it), else the newest one of this config; None: there is none.

    Raises:
        UsageError: a source is of no run that could go on.
        RunError: it is still running, or none of its checkpoints can be used.
    """
    if trainer.fast_dev_run or trainer.barebones:  # type: ignore[attr-defined]
        raise UsageError("a trial run leaves nothing, and so cannot go on with a run", suggestion="leave out --resume")
    folder, chosen = _stored(config)
    run = _read(folder) if folder is not None else None
    if folder is None or run is None:
        newest = _newest(trainer, config)
        if newest is None:
            return None
        folder, run = newest
        _warn_of_changes(folder, run, config)
    lock, status = Lock(folder), status_of(run)
    if trainer.is_global_zero:  # the other processes of this run go along
        _take(lock, folder, run)
    done = status == "completed" and chosen is None and _is_done(run, trainer, config)
    if done:
        lock.release()
        return Resumed(folder, run, status, done, lock)
    checkpoint, content = _checkpoint(folder, run, chosen)
    if status == "completed" and "system::scheduler" in config:
        _check_schedulers(folder, content)
    return Resumed(folder, run, status, done, lock, checkpoint, _position(content) if content else Position())


# --- the run


def _stored(config: Config) -> tuple[Path | None, Path | None]:
    """Return the folder of the run that the first source is or is of, and the source if it is a checkpoint."""
    source = config.sources[0]
    if is_checkpoint(source):
        path = Path(source)
        folder = next((item for item in path.absolute().parents[:2] if (item / NAME).is_file()), None)
        if folder is None:
            mend = "name the folder of its run; or begin a new run with it: --ckpt in place of --resume"
            raise UsageError(f"{source!r} does not lie in the folder of a run", value=source, suggestion=mend)
        return folder.resolve(), path
    folder = Path(source).parent if Path(source).name == CONFIG else Path(source)
    return (folder.resolve(), None) if (folder / NAME).is_file() else (None, None)


def _read(folder: Path) -> Run:
    try:
        run = read_run(folder)
    except OSError as error:
        raise RunError(f"{str(folder / NAME)!r} cannot be read: {error.strerror}", value=str(folder)) from error
    if run.stage != "fit":
        raise UsageError(f"{str(folder)!r} is a run of {run.stage}, which has nothing to go on with", value=str(folder))
    return run


def _newest(trainer: pl.Trainer, config: Config) -> tuple[Path, Run] | None:
    """Return the newest fit of the same sources with the same overrides."""
    secrets = Secrets.of()
    wanted = sources_of(config), tuple(map(secrets.hide_named, config.overrides))
    found = []
    for folder in _folders(root_of_runs(trainer)):
        try:
            run = read_run(folder)
        except (OSError, ConfigError):
            continue
        sources = tuple(Path(run.working_folder, source).resolve() for source in run.sources)
        if run.stage == "fit" and (sources, run.overrides) == wanted:
            found.append((folder.resolve(), run))
    return max(found, key=lambda item: _began(item[1]), default=None)


def _folders(root: Path) -> Iterator[Path]:
    for depth in range(DEPTH + 1):
        yield from (file.parent for file in root.glob("*/" * depth + NAME))


def _began(run: Run) -> float:
    return _instant(run.resumed[-1].at if run.resumed else run.started)


def _instant(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _take(lock: Lock, folder: Path, run: Run) -> None:
    """Take a run's folder, unless a process still writes to it."""
    status = status_of(run)
    try:
        has_lock = lock.take()
    except BlockingIOError:
        has_lock, status = False, "running"
    if status == "running" or (status.startswith("running") and not has_lock and not is_of_this_job(folder)):
        lock.release()
        process = f"process {run.process.pid} on {run.process.host}"
        suggestion = "wait for it, or stop it; a new run of the same config needs no --resume"
        raise RunError(f"the run in {str(folder)!r} is still running ({process})", suggestion=suggestion)


def _is_done(run: Run, trainer: pl.Trainer, config: Config) -> bool:
    """Tell whether a run that has ended would only end again: at its limits, or as its config still says."""
    epochs, steps = trainer.max_epochs, trainer.max_steps
    reached = epochs is not None and 0 <= epochs <= run.epochs
    return reached or 0 <= steps <= run.steps or not _changes(run, config)


def _changes(run: Run, config: Config) -> dict[str, tuple[Setting, Setting]]:
    """Return the values in which a config differs from that of a run, by their paths: as it was, as it is."""
    now = flatten(Secrets.of().hide_in_config(config.root)[0])
    now.pop("project", None)  # which a run has as an absolute path
    before = {path: value for path, value in run.config.items() if path != "project"}
    paths = [*before, *(path for path in now if path not in before)]
    pairs = {path: (before.get(path, NEW), now.get(path, NEW)) for path in paths}
    return {path: pair for path, pair in pairs.items() if pair[0] != pair[1]}


def _warn_of_changes(folder: Path, run: Run, config: Config) -> None:
    changes = (
        [f"{path} {before} -> {now}" for path, (before, now) in _changes(run, config).items()] if run.config else []
    )
    if changes:
        more = f" and {len(changes) - SHOWN} more" if len(changes) > SHOWN else ""
        rank_zero_warn(f"the config has changed since the run in {str(folder)!r}: {', '.join(changes[:SHOWN])}{more}")


# --- its checkpoint


def _checkpoint(folder: Path, run: Run, chosen: Path | None) -> tuple[Path | None, Mapping[Any, Any]]:
    """Return the checkpoint to go on from and what it holds but for tensors; none of a run that has saved none.

    It is the one that came furthest, of those that are as far the newest, and of all those only one that is whole.
    """
    found: list[tuple[int, int, Path, Mapping[Any, Any]]] = []
    broken: list[str] = []
    for path in [chosen] if chosen else _saved(folder, run):
        try:
            content = read_checkpoint(str(path))
            _check_kind(path, content)
            if chosen or _is_of(run, path, content):
                found.append((int(content["global_step"]), path.stat().st_mtime_ns, path, content))  # type: ignore[call-overload]
        except ConfigError as error:
            broken.append(error.problems[0].message)
    for _, _, path, content in sorted(found, key=lambda item: item[:2], reverse=True):
        try:
            _check_sums(path)
        except ConfigError as error:
            broken.insert(0, error.problems[0].message)
            continue
        if broken:
            rank_zero_warn(f"passed over: {'; '.join(broken)}")
        return path, content
    if broken:
        suggestion = None if chosen else "move them away to begin the run anew in its folder"
        raise RunError("\n  ".join(["no checkpoint can be gone on from", *broken]), suggestion=suggestion)
    if remote := [item.path for item in run.checkpoints if "://" in item.path]:
        suggestion = f"begin a new run from it: --ckpt {remote[-1]} in place of --resume"
        raise RunError(f"{remote[-1]!r} is in a remote place, which is not looked into", suggestion=suggestion)
    if run.weights and Path(run.weights).exists():  # it was to go on from there, and has to begin so again
        return Path(run.weights), read_checkpoint(run.weights)
    return None, {}


def _saved(folder: Path, run: Run) -> list[Path]:
    """Return the checkpoints that a run has told of or has in its folder, each once."""
    told = [folder / item.path for item in run.checkpoints]
    files = {os.path.realpath(file): file for file in [*(folder / "checkpoints").glob("*.ckpt"), *told]}
    return [file for file in files.values() if file.exists()]


def _is_of(run: Run, path: Path, content: Mapping[Any, Any]) -> bool:
    """Tell whether a checkpoint was saved by a run, and not on a way that it has left by going on from before it."""
    record = content.get(KEY)
    of = record.get("run") if isinstance(record, dict) else None
    if of is not None and of != run.started:
        return False
    saved, step = path.stat().st_mtime, int(content["global_step"])
    return not any(saved < _instant(item.at) and step > item.step for item in run.resumed)


def _check_kind(path: Path, content: Mapping[Any, Any]) -> None:
    if not isinstance(content.get("global_step"), int) or not isinstance(content.get("loops"), dict):
        raise ConfigError(f"{str(path)!r} is not a Lightning checkpoint")
    if "optimizer_states" not in content and path.is_file():
        raise ConfigError(f"{str(path)!r} holds weights alone (save_weights_only)")


def _check_sums(path: Path) -> None:
    """Read a checkpoint to its end and compare it with the sums that torch has written, which torch does not."""
    if not torch.serialization.get_crc32_options():
        return
    if is_sharded(path):
        check_shards(path, fully=True)
    if path.is_dir():
        return
    try:
        with zipfile.ZipFile(path) as archive:
            for item in archive.infolist():
                with archive.open(item) as file:
                    while file.read(CHUNK):
                        pass
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise ConfigError(f"{str(path)!r} is damaged: {error}") from error


def _check_schedulers(folder: Path, content: Mapping[Any, Any]) -> None:
    """Refuse to go on with a scheduler that has come to the end of a length that is kept in the checkpoint."""
    for state in content.get("lr_schedulers", ()):
        length, done = (state.get(name) for name in ("total_steps", "last_epoch"))
        if isinstance(length, int) and isinstance(done, int) and done >= length:
            message = f"the scheduler of the run in {str(folder)!r} has taken all of its {length} steps"
            mend = "go on without it: '~system::scheduler'; or begin a new run, which is as long as it shall be"
            raise RunError(message, suggestion=mend)


def _position(content: Mapping[Any, Any]) -> Position:
    step, loops = int(content["global_step"]), content["loops"]["fit_loop"]
    epochs, batches = loops["epoch_progress"]["current"], loops["epoch_loop.batch_progress"]["total"]
    has_ended = epochs["processed"] == epochs["started"]
    stepped = loops["epoch_loop.state_dict"].get("_batches_that_stepped", step)
    logged = min(step, stepped + (not has_ended))  # with the batch that has stepped, and not ended
    val = content.get(BATCHES_KEY, {}).get("val", 0) if BATCHES_KEY in content else logged
    in_batch = not has_ended and batches["completed"] < batches["processed"]
    due = ("train",) if EXACT in content or not has_ended else ()  # an exact fit ends its epoch once more
    return Position(step, epochs["processed"], logged, val, (*due, "val") if in_batch else due)
