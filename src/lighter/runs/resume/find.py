"""Find the run that `--resume` goes on with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_warn

from lighter._run_folder import CONFIG, RECORD
from lighter.config import Config
from lighter.config.checkpoint import is_checkpoint
from lighter.errors import ConfigError, RunError, UsageError
from lighter.runs.checkpoints.of_run import checkpoints_of
from lighter.runs.checkpoints.record import sources_of
from lighter.runs.record.flat import flatten
from lighter.runs.record.folder import root_of_runs
from lighter.runs.record.job_log import is_of_this_job
from lighter.runs.record.run_file import Run, Setting, instant, read_run, status_of
from lighter.runs.record.secrets import Secrets
from lighter.runs.resume.checkpoint import choose
from lighter.runs.resume.kept import check_kept
from lighter.runs.resume.lock import Lock
from lighter.runs.resume.position import Position, has_optimizers
from lighter.runs.resume.schedulers import SLOT, used_up, used_up_length

DEPTH = 3  # levels below where a logger writes at which a run may lie
SHOWN = 5  # of the values in which configs differ

NEW = "~"  # how a value is shown that is not there


@dataclass(frozen=True)
class Resumed:
    """A run to go on with: its record as it was left, the checkpoint to go on from, and the lock on its folder."""

    folder: Path
    run: Run
    status: str
    lock: Lock
    checkpoint: Path | None = None
    position: Position = field(default_factory=Position)


@dataclass(frozen=True)
class Done:
    """A run that is over and has nothing left to do; with the overrides `longer` it would train on."""

    folder: Path
    run: Run
    longer: tuple[str, ...]


def find_resumed(trainer: pl.Trainer, config: Config) -> Resumed | Done | None:
    """Return the run that a source is (or that has saved it), else the newest one of this config; None: there is none.

    Raises:
        UsageError: a source is of no run that could go on.
        RunError: it is still running, or none of its checkpoints can be used.
    """
    if trainer.fast_dev_run or trainer.barebones:  # type: ignore[attr-defined]
        raise UsageError("a trial run leaves nothing, and so cannot go on with a run", suggestion="leave out --resume")
    folder, chosen = _stored(config)
    if folder is None:
        folder = _newest(trainer, config)
        if folder is None:
            return None
        _warn_of_changes(folder, config)
    lock = Lock(folder)
    if trainer.is_global_zero:  # the other processes of this run go along
        _take(lock, folder)
    run = _read(folder)  # only now, as another process may have gone on with it until just before
    if chosen is None and _is_done(run, trainer, config):
        lock.release()
        return Done(folder, run, _longer(folder, run, trainer))
    status, found = status_of(run), choose(folder, run, chosen)
    if found is None:
        return Resumed(folder, run, status, lock)
    if run.config:
        check_kept(run, config)
    saved, position = found
    length = used_up_length(saved.content)
    if length and SLOT in config and (status == "completed" or _begins_an_epoch(position, trainer)):
        raise used_up(length, config, resumed=True)
    return Resumed(folder, run, status, lock, saved.path, position)


def _stored(config: Config) -> tuple[Path | None, Path | None]:
    """Return the folder of the run that the first source is or is of, and the source if it is a checkpoint."""
    source = config.sources[0]
    if is_checkpoint(source):
        path = Path(source)
        folder = next((item for item in path.absolute().parents[:2] if (item / RECORD).is_file()), None)
        if folder is None:
            mend = "name the folder of its run; or begin a new run with it: --ckpt in place of --resume"
            raise UsageError(f"{source!r} does not lie in the folder of a run", value=source, suggestion=mend)
        return folder.resolve(), path
    folder = Path(source).parent if Path(source).name == CONFIG else Path(source)
    return (folder.resolve(), None) if (folder / RECORD).is_file() else (None, None)


def _read(folder: Path) -> Run:
    try:
        run = read_run(folder)
    except OSError as error:
        raise RunError(f"{str(folder / RECORD)!r} cannot be read: {error.strerror}", value=str(folder)) from error
    if run.stage != "fit":
        raise UsageError(f"{str(folder)!r} is a run of {run.stage}, which has nothing to go on with", value=str(folder))
    return run


def _newest(trainer: pl.Trainer, config: Config) -> Path | None:
    """Return the folder of the newest fit of the same sources with the same overrides."""
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
            found.append((instant(run.resumed[-1].at if run.resumed else run.started), folder.resolve()))
    return max(found)[1] if found else None


def _folders(root: Path) -> Iterator[Path]:
    for depth in range(DEPTH + 1):
        yield from (file.parent for file in root.glob("*/" * depth + RECORD))


def _take(lock: Lock, folder: Path) -> None:
    """Take a run's folder, unless a process still writes to it.

    A lock is not even asked for where the process is seen to live: it may be about to take it.
    """
    run = _read(folder)
    status, process = status_of(run), f"process {run.process.pid} on {run.process.host}"
    try:
        is_free = status != "running" and (lock.take() or not status.startswith("running") or is_of_this_job(folder))
    except BlockingIOError:
        is_free, process = False, lock.holder()  # which has not written into the record yet that it goes on
    if not is_free:
        message = f"the run in {str(folder)!r} is still running" + (f" ({process})" if process else "")
        raise RunError(message, suggestion="wait for it, or stop it; a new run of the same config needs no --resume")


# --- what is left to do


def _is_done(run: Run, trainer: pl.Trainer, config: Config) -> bool:
    """Tell whether a run is over and would only be over again: at its limits, or as its config still says."""
    return run.status == "completed" and (bool(_reached(run.epochs, run.steps, trainer)) or not _changes(run, config))


def _reached(epochs: int, steps: int, trainer: pl.Trainer) -> list[str]:
    """Return the limits of a Trainer that a run has come to."""
    limits = {"max_epochs": (epochs, trainer.max_epochs), "max_steps": (steps, trainer.max_steps)}
    return [name for name, (done, most) in limits.items() if most is not None and 0 <= most <= done]


def _begins_an_epoch(position: Position, trainer: pl.Trainer) -> bool:
    return not position.within_epoch and not _reached(position.epochs, position.step, trainer)


def _longer(folder: Path, run: Run, trainer: pl.Trainer) -> tuple[str, ...]:
    """Return the overrides with which a run that is done would train on; none where it could not, or had stopped."""
    found, broken = checkpoints_of(folder, run)
    if broken:
        rank_zero_warn(f"the run is over, but of its checkpoints {'; '.join(broken)}")
    if not found or not has_optimizers(found[0].content) or used_up_length(found[0].content):
        return ()
    twice = {"max_epochs": 2 * run.epochs, "max_steps": 2 * run.steps}
    return tuple(f"trainer::{name}={twice[name]}" for name in _reached(run.epochs, run.steps, trainer))


def _changes(run: Run, config: Config) -> dict[str, tuple[Setting, Setting]]:
    """Return the values in which a config differs from that of a run, by their paths: as it was, as it is."""
    now = flatten(Secrets.of().hide_in_config(config.root)[0])
    now.pop("project", None)  # which a run has as an absolute path
    before = {path: value for path, value in run.config.items() if path != "project"}
    paths = [*before, *(path for path in now if path not in before)]
    pairs = {path: (before.get(path, NEW), now.get(path, NEW)) for path in paths}
    return {path: pair for path, pair in pairs.items() if pair[0] != pair[1]}


def _warn_of_changes(folder: Path, config: Config) -> None:
    run = _read(folder)
    changes = (
        [f"{path} {before} -> {now}" for path, (before, now) in _changes(run, config).items()] if run.config else []
    )
    if changes:
        more = f" and {len(changes) - SHOWN} more" if len(changes) > SHOWN else ""
        rank_zero_warn(f"the config has changed since the run in {str(folder)!r}: {', '.join(changes[:SHOWN])}{more}")
