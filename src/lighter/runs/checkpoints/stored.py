"""The checkpoint that a stage begins with, where one of its sources is what a run left."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytorch_lightning as pl

from lighter.config import Config
from lighter.config.checkpoint import is_checkpoint, read_checkpoint
from lighter.errors import ConfigError
from lighter.runs.checkpoints.file import check_checkpoint
from lighter.runs.checkpoints.find import ANY, find_checkpoint
from lighter.runs.checkpoints.of_run import checkpoints_of
from lighter.runs.checkpoints.record import record_of
from lighter.runs.record.run_file import Run, read_run

BEST, LAST, NONE = "best", "last", "none"

_OTHERWISE = f"{ANY}; --ckpt {NONE} leaves the model as it is built"


def choose_checkpoint(which: str | None, stage: str, trainer: pl.Trainer, config: Config) -> Path | None:
    """Return the checkpoint that `which` names; without it, what the sources of a config hold for a stage.

    `best` and `last` are those of the run that is a source, else of the newest run of the same sources.

    Raises:
        ConfigError: there is none, or it is not a checkpoint.
    """
    if which == NONE:
        return None
    folders = [source for source in _stored(config.sources) if not is_checkpoint(source)]
    if which is not None and not (which in (BEST, LAST) and folders):
        return find_checkpoint(which, trainer, config)
    found = default_checkpoint(stage, config.sources) if which is None else _of_run(_only(folders), which)
    if found is not None:
        _check(found, folders)
    return found


def _check(path: Path, folders: Sequence[str]) -> None:
    """Refuse a checkpoint that cannot be used, and name one of the same run that can."""
    try:
        check_checkpoint(path)
    except ConfigError as error:
        whole = next((item for item in map(_whole, folders) if item), None) if path.is_file() else None
        if whole is None:
            raise
        message = error.problems[0].message
        raise ConfigError(message, value=str(path), suggestion=f"take another of the run: --ckpt {whole}") from error


def _whole(source: str) -> Path | None:
    """Return the checkpoint of a run that came furthest, of those that are not damaged."""
    folder = Path(source)
    for saved in checkpoints_of(folder, read_run(folder))[0]:
        try:
            check_checkpoint(saved.path)
        except ConfigError:
            continue
        return saved.path
    return None


def default_checkpoint(stage: str, sources: Sequence[str]) -> Path | None:
    """Return what a stage other than fit takes its weights from: a checkpoint among its sources, or one of a run.

    Of a run it is the best one, if a metric was monitored, else the last; of a run that trained nothing, the one that
    it took its own weights from.

    Raises:
        ConfigError: it is not there, or more than one source has one.
    """
    stored = _stored(sources)
    if stage == "fit" or not stored:
        return None
    source = _only(stored)
    return Path(source) if is_checkpoint(source) else _of_run(source)


def _stored(sources: Sequence[str]) -> list[str]:
    return [source for source in sources if is_checkpoint(source) or Path(source).is_dir()]


def _only(stored: Sequence[str]) -> str:
    if stored[1:]:
        raise ConfigError(f"the weights could be those of {' or of '.join(map(repr, stored))}", suggestion=_OTHERWISE)
    return stored[0]


def _of_run(source: str, which: str | None = None) -> Path | None:
    folder = Path(source)
    run = read_run(folder)
    if run.stage == "fit":
        return _best(folder, run) if (which or (BEST if run.best else LAST)) == BEST else _last(folder, run)
    if which is None:
        return _existing(folder, run.weights) if run.weights else None
    raise ConfigError(f"the run {source!r} trained nothing, and has no checkpoint", suggestion=_OTHERWISE)


def _best(folder: Path, run: Run) -> Path:
    """Return the best checkpoint, of several callbacks that choose by a metric that of the first."""
    if not run.best:
        message = f"the run {str(folder)!r} has no best checkpoint: none was chosen by a metric"
        raise ConfigError(message, suggestion=f"--ckpt {LAST}, or {_OTHERWISE}")
    return _existing(folder, run.best[0].checkpoint, run)


def _last(folder: Path, run: Run) -> Path:
    """Return the checkpoint that came furthest."""
    found, broken = checkpoints_of(folder, run)
    if found:
        return found[0].path
    why = "has no checkpoint that is whole" if broken else "has left no checkpoint, or none that is still there"
    message = "\n  ".join([f"the run {str(folder)!r} {why}", *broken])
    raise ConfigError(message, value=str(folder), suggestion=_OTHERWISE)


def _existing(folder: Path, path: str, run: Run | None = None) -> Path:
    found = folder / path
    if not found.exists():
        raise ConfigError(f"{str(found)!r}, which the run {str(folder)!r} names, is gone", suggestion=_OTHERWISE)
    if run is not None and not _is_of(run, found):
        message = f"{str(found)!r}, which the run {str(folder)!r} names, is of another run by now"
        raise ConfigError(message, suggestion=_OTHERWISE)
    return found


def _is_of(run: Run, path: Path) -> bool:
    """Tell whether a checkpoint is not one that another run has saved in its place."""
    try:
        return bool(record_of(read_checkpoint(str(path))).get("run", run.started) == run.started)
    except ConfigError:  # `check_checkpoint` tells what is wrong with it
        return True
