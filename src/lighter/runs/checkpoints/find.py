"""Find the checkpoint that `--ckpt` names: a path, or the best or last one of the newest run of a config."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_warn

from lighter._run_folder import CHECKPOINTS, INTERRUPTION
from lighter.config import Config
from lighter.config.checkpoint import read_checkpoint
from lighter.errors import ConfigError, did_you_mean
from lighter.runs.checkpoints.file import check_checkpoint
from lighter.runs.checkpoints.record import recorded_sources, sources_of

ANY = "--ckpt PATH takes any"

Sources = tuple[Path, ...]


@dataclass(frozen=True)
class _Run:
    """Checkpoints of one run, newest first, and the folder below which they lie."""

    folder: Path
    files: list[Path]


def find_checkpoint(which: str, trainer: pl.Trainer, config: Config) -> Path:
    """Return the checkpoint that `which` names: a path, or `best` or `last` of the newest run of the same sources.

    Raises:
        ConfigError: there is none, or it is not a checkpoint.
    """
    if which not in ("best", "last"):
        found = _existing(Path(which))
    else:
        sources = sources_of(config)
        run, newest = _newest(trainer, sources)
        found = _best(run, newest, sources) if which == "best" else _last(run, newest, sources)
    check_checkpoint(found)
    return found


def _existing(path: Path) -> Path:
    if path.exists():
        return path
    siblings = (item.name for item in path.parent.glob("*.ckpt")) if path.parent.is_dir() else ()
    suggestion = did_you_mean(path.name, (*siblings, "best", "last"))
    raise ConfigError(f"there is no checkpoint {str(path)!r}", value=str(path), suggestion=suggestion)


def _newest(trainer: pl.Trainer, sources: Sources) -> tuple[_Run, Path]:
    """Return the newest run whose newest record names these sources, and the checkpoint that holds it."""
    others: list[tuple[Path, Sources]] = []
    nameless: list[Path] = []
    for run in _runs(trainer):
        without_record: list[Path] = []
        for file in run.files:
            try:
                recorded = recorded_sources(read_checkpoint(str(file)))
            except ConfigError:
                nameless.append(file)
                continue
            if recorded is None:
                without_record.append(file)
            elif recorded == sources:
                _warn_of(nameless)
                return run, file
            else:
                others.append((file, recorded))
                break
        else:
            nameless += without_record
    raise _none(trainer, others, nameless)


def _warn_of(nameless: list[Path]) -> None:
    if nameless:
        names = f"{str(nameless[0])!r}" + (f" and {len(nameless) - 1} more" if len(nameless) > 1 else "")
        rank_zero_warn(f"newer checkpoints do not tell which config they are of, and are passed over: {names}; {ANY}")


def _none(trainer: pl.Trainer, others: list[tuple[Path, Sources]], nameless: list[Path]) -> ConfigError:
    message = f"no run of this config has left a checkpoint (looked in {', '.join(map(str, _places(trainer)))})"
    if others:
        file, recorded = others[0]
        message += f"\n  {str(file)!r} is of {', '.join(map(str, recorded))}"
    if nameless:
        message += f"\n  {str(nameless[0])!r} does not tell which config it is of, or cannot be read"
    return ConfigError(message, suggestion=f"run fit first; {ANY}" if others or nameless else "run fit first")


def _runs(trainer: pl.Trainer) -> list[_Run]:
    """Return the runs that have left checkpoints where this trainer would, newest first.

    Where runs share a folder, each checkpoint counts as a run of its own.
    """
    root = Path(trainer.default_root_dir).resolve()
    runs: list[_Run] = []
    for folder in _shared_folders(trainer):
        everything = folder.resolve() in (root, *root.parents)  # too much to walk through
        runs += [_Run(folder, [file]) for file in _files(folder, "*.ckpt" if everything else "**/*.ckpt")]
    for folder in _folders_of_runs(trainer):
        if files := _files(folder, "**/*.ckpt"):
            runs.append(_Run(folder, files))
    return sorted(runs, key=lambda run: _saved(run.files[0]), reverse=True)


def _files(folder: Path, pattern: str) -> list[Path]:
    """Return the checkpoints in a folder, newest first."""
    return sorted((file for file in folder.glob(pattern) if file.exists()), key=_saved, reverse=True)


def _saved(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except FileNotFoundError:  # deleted just now, by a run that goes on
        return 0


def _places(trainer: pl.Trainer) -> list[Path]:
    logs = _log_folder(trainer)
    return [*_shared_folders(trainer), *([logs] if logs else [])]


def _shared_folders(trainer: pl.Trainer) -> list[Path]:
    """Return the folders that every run of this trainer writes to."""
    folders = [Path(chosen) for chosen in _chosen(trainer) if chosen]
    if _log_folder(trainer) is None and not all(_chosen(trainer)):
        folders.append(Path(trainer.default_root_dir) / CHECKPOINTS)
    return list(dict.fromkeys(folders))


def _folders_of_runs(trainer: pl.Trainer) -> Iterator[Path]:
    """Yield the folders of checkpoints that the runs of this trainer's logger have each for itself."""
    logs = _log_folder(trainer)
    if logs is not None:
        yield logs / CHECKPOINTS
        yield from logs.glob(f"*/{CHECKPOINTS}")


def _log_folder(trainer: pl.Trainer) -> Path | None:
    """Return the folder that holds the logger's runs, as ModelCheckpoint sees it; None if it has nothing there."""
    if not trainer.loggers or all(_chosen(trainer)):
        return None
    first = trainer.loggers[0]
    return Path(first.save_dir or trainer.default_root_dir) / str(first.name)


def _chosen(trainer: pl.Trainer) -> list[str | None]:
    """Return the `dirpath` of each callback that saves checkpoints, or one None."""
    return [getattr(callback, "dirpath", None) for callback in trainer.checkpoint_callbacks] or [None]


def _last(run: _Run, newest: Path, sources: Sources) -> Path:
    known = run.files[run.files.index(newest) :]  # what is newer than the newest record was passed over
    named = (file for file in known if file.stem == "last" or file.stem.startswith(("last-v", INTERRUPTION)))
    return next((file for file in named if not _is_of_another(file, sources)), newest)


def _best(run: _Run, newest: Path, sources: Sources) -> Path:
    """Return the best checkpoint that the newest one knows of, where it lies now."""
    for state in _callback_states(newest):
        if path := state.get("best_model_path"):
            parts = Path(path).parts
            moved = (run.folder.joinpath(*parts[start:]) for start in range(1, len(parts)))
            for candidate in (Path(path), *moved):
                if candidate.exists() and not _is_of_another(candidate, sources):
                    return candidate
    suggestion = "give a path, or --ckpt last"
    raise ConfigError(f"{str(newest)!r} knows of no best checkpoint that still exists", suggestion=suggestion)


def _is_of_another(file: Path, sources: Sources) -> bool:
    try:
        return recorded_sources(read_checkpoint(str(file))) not in (None, sources)
    except ConfigError:
        return False  # `check_checkpoint` says what is wrong with it


def _callback_states(file: Path) -> list[dict[str, Any]]:
    states = read_checkpoint(str(file)).get("callbacks")
    named = states.items() if isinstance(states, dict) else ()
    known = [state for name, state in named if "Checkpoint" in str(name) and isinstance(state, dict)]
    return sorted(known, key=lambda state: state.get("monitor") is None)
