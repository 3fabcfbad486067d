"""`run.json`: what is known of one run, as data that needs no torch to be read."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias

from lighter._run_folder import RECORD
from lighter.errors import ConfigError
from lighter.runs.record.atomic import create_text, write_text
from lighter.runs.record.git import Git
from lighter.runs.record.process import Process, is_alive

FORMAT = 1

_JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False)

Status: TypeAlias = Literal["running", "completed", "interrupted", "failed"]
Setting: TypeAlias = str | int | float | bool | None


@dataclass(frozen=True)
class Devices:
    """On what a run computes: `count` of the accelerator in all, over `nodes`."""

    accelerator: str
    count: int
    nodes: int
    strategy: str
    name: str | None = None


@dataclass(frozen=True)
class Best:
    """The best value of a metric that checkpoints are chosen by, and the checkpoint that has it."""

    monitor: str
    mode: str
    score: float
    checkpoint: str


@dataclass(frozen=True)
class SavedCheckpoint:
    """A checkpoint, relative to the run folder where it lies in it, and the value it was kept for."""

    path: str
    monitor: str | None = None
    score: float | None = None


@dataclass(frozen=True)
class Resumption:
    """That a run was gone on with: when, how, from which checkpoint and step, and how it had ended before."""

    at: str
    command: str
    before: str
    process: Process
    checkpoint: str | None = None
    step: int = 0


@dataclass(frozen=True)
class Run:
    """A run: what was asked for, what it ran on, how far it came.

    `command` repeats it from `working_folder`. `weights` is the checkpoint that it began from. `hidden` are the paths
    of the config whose values were taken out as secrets. `epochs` and `steps` are those of the Trainer, counted from
    the very beginning of training; `seconds` are of this run. `config` is the composed config, a value for each path.
    `logs` are the folders of its loggers. Of a run that was gone on with, sources, overrides, `command` and `started`
    are those of its beginning, `process`, config and versions those of now.
    """

    stage: str
    command: str
    working_folder: str
    sources: tuple[str, ...]
    overrides: tuple[str, ...]
    process: Process
    started: str
    status: Status = "running"
    error: str | None = None
    ended: str | None = None
    seconds: float = 0.0
    epochs: int = 0
    steps: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)
    best: tuple[Best, ...] = ()
    checkpoints: tuple[SavedCheckpoint, ...] = ()
    weights: str | None = None
    logs: tuple[str, ...] = ()
    resumed: tuple[Resumption, ...] = ()
    seed: int | None = None
    project: str | None = None
    hidden: tuple[str, ...] = ()
    git: Git | None = None
    devices: Devices | None = None
    python: str = ""
    lighter: str = ""
    packages: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Setting] = field(default_factory=dict)
    format: int = FORMAT


_FIELDS = [item.name for item in fields(Run)]
_TYPES: dict[object, tuple[type, ...]] = {  # by annotation; a float may be the text nan
    "str": (str,),
    "str | None": (str, type(None)),
    "Status": (str,),
    "int": (int,),
    "int | None": (int, type(None)),
    "bool": (bool,),
}
_PLAIN = {str, int, float, bool, type(None)}
_AS_THEY_ARE = ("packages", "config")  # plain from the start, and too many to look at again at every epoch


def create_run(folder: Path, run: Run) -> None:
    """Write the record of a run into a folder that has none.

    Raises:
        FileExistsError: it has one.
    """
    create_text(folder / RECORD, _text(run))


def write_run(folder: Path, run: Run) -> None:
    """Write the record of a run in place of the one before."""
    write_text(folder / RECORD, _text(run))


def read_run(folder: Path) -> Run:
    """Read the record of the run in a folder; what a newer version has added is passed over.

    Raises:
        OSError: it cannot be read.
        ConfigError: it is not the record of a run.
    """
    path = folder / RECORD
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
        return _run(given)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        message = f"{str(path)!r} is not the record of a run: {_reason(error)}"
        raise ConfigError(message, value=str(path)) from error


def _reason(error: Exception) -> str:
    """Say what is wrong with a record, without words of Python's own."""
    if isinstance(error, KeyError):
        return f"it has no {error}"
    return str(error) if isinstance(error, ValueError) else "its values are not of the right kind"


def status_of(run: Run) -> str:
    """Return the status of a run as it is now: `killed` if its process died before it could say how it ended."""
    if run.status != "running":
        return run.status
    alive = is_alive(run.process)
    if alive is None:
        return f"running (on {run.process.host})"
    return "running" if alive else "killed"


def instant(text: str) -> float:
    """Return a time of a record in seconds, long ago where it is none."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def _text(run: Run) -> str:
    """Return a run as JSON, a line for each of its fields: `indent` would take ten times as long, at every epoch."""
    lines = (f" {_JSON.encode(name)}: {_JSON.encode(value)}" for name, value in as_data(run).items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def as_data(run: Run) -> dict[str, Any]:
    """Return a run as its record has it: what JSON can hold, without what is not known."""
    values = {item: getattr(run, item) for item in ("format", "status", *_FIELDS)}
    return {
        name: value if name in _AS_THEY_ARE else _plain(value) for name, value in values.items() if value is not None
    }


def _plain(value: Any) -> Any:
    """Return dataclasses as mappings, without what is None, and numbers as JSON has them."""
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if is_dataclass(value):
        value = vars(value)
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items() if item is not None}
    return value


def _number(value: float) -> float | str:
    """Return a number as JSON has it; nan and the infinities, which it has not, as text."""
    return value if math.isfinite(value) else str(value)


def _run(given: dict[str, Any]) -> Run:
    known = _known(Run, given)
    known["process"] = Process(**_known(Process, given["process"]))
    known["best"] = tuple(Best(**{**_known(Best, item), "score": float(item["score"])}) for item in given["best"])
    known["checkpoints"] = tuple(map(_checkpoint, given["checkpoints"]))
    known["metrics"] = {name: float(value) for name, value in given["metrics"].items()}
    known |= {name: _texts(given[name]) for name in ("sources", "overrides", "hidden")}
    known["logs"] = _texts(given.get("logs", []))
    known["resumed"] = tuple(map(_resumption, given.get("resumed", ())))
    known["packages"] = dict(given.get("packages", {}))
    known["config"] = _settings(given.get("config", {}))
    known["seconds"] = float(given["seconds"])
    for name, kind in (("git", Git), ("devices", Devices)):
        if given.get(name) is not None:
            known[name] = kind(**_known(kind, given[name]))
    return Run(**known)


def _texts(given: object) -> tuple[str, ...]:
    if not isinstance(given, list) or not all(isinstance(item, str) for item in given):
        raise ValueError(f"{given!r} is no list of texts")
    return tuple(given)


def _settings(given: dict[str, Any]) -> dict[str, Setting]:
    if set(map(type, given.values())) <= _PLAIN:
        return given
    return {path: value if type(value) in _PLAIN else str(value) for path, value in given.items()}


def _checkpoint(given: dict[str, Any]) -> SavedCheckpoint:
    score = given.get("score")
    return SavedCheckpoint(given["path"], given.get("monitor"), None if score is None else float(score))


def _resumption(given: dict[str, Any]) -> Resumption:
    return Resumption(**{**_known(Resumption, given), "process": Process(**_known(Process, given["process"]))})


def _known(kind: type, given: dict[str, Any]) -> dict[str, Any]:
    """Return what is given of a dataclass's fields.

    Raises:
        ValueError: it is of another type.
    """
    types = _types(kind)
    known = {name: value for name, value in given.items() if name in types}
    for name, value in known.items():
        if not isinstance(value, types[name]):
            raise ValueError(f"{name!r} cannot be {value!r}")
    return known


@functools.cache
def _types(kind: type) -> dict[str, tuple[type, ...]]:
    return {item.name: _TYPES.get(item.type, (object,)) for item in fields(kind)}
