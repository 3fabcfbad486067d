"""What a run answers to a name: a field of its record, a metric, or a path of its config."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from lighter.errors import UsageError, did_you_mean
from lighter.runs.compare.expression import Expression, Value
from lighter.runs.compare.find import Found
from lighter.runs.compare.settings import SEPARATOR, TARGET, differing, setting
from lighter.runs.record.run_file import Run

SUFFIX = "/epoch"  # of a metric's name, which may be left out
BEST = " (best)"
LOGGED_SETTINGS = "train/optimizer/"
MANY = 5  # candidates that an error names

Getter: TypeAlias = Callable[[Found], Value]


FIELDS: Mapping[str, Getter] = {
    "name": lambda found: str(found.folder),
    "status": lambda found: found.status,
    "stage": lambda found: found.run.stage,
    "started": lambda found: found.run.started,
    "ended": lambda found: found.run.ended,
    "seconds": lambda found: found.run.seconds,
    "epochs": lambda found: found.run.epochs,
    "steps": lambda found: found.run.steps,
    "seed": lambda found: found.run.seed,
    "sources": lambda found: " ".join(found.run.sources),
    "overrides": lambda found: " ".join(found.run.overrides),
    "weights": lambda found: found.run.weights,
    "error": lambda found: found.run.error,
    "host": lambda found: found.run.process.host,
    "device": lambda found: found.run.devices.accelerator if found.run.devices else None,
    "commit": lambda found: found.run.git.commit if found.run.git else None,
    "dirty": lambda found: found.run.git.dirty if found.run.git else None,
    "python": lambda found: found.run.python,
    "lighter": lambda found: found.run.lighter,
}


def metric(run: Run, name: str) -> float | None:
    """Return a metric's best value where checkpoints are chosen by it, else its last; None where the run has none."""
    best = next((item.score for item in run.best if item.monitor == name), None)
    return run.metrics.get(name) if best is None else best


def metrics_of(run: Run) -> dict[str, float]:
    """Return the last value of each metric, and the best of those that checkpoints are chosen by."""
    return {**run.metrics, **{f"{item.monitor}{BEST}": item.score for item in run.best}}


def modes(runs: Sequence[Found]) -> dict[str, str]:
    """Return whether less (`min`) or more (`max`) is better, of each metric that checkpoints are chosen by."""
    return {item.monitor: item.mode for found in runs for item in found.run.best}


def full_name(name: str, runs: Sequence[Found]) -> str:
    """Return the field, metric or config path that a name means: itself, or the only one that ends with it.

    Raises:
        UsageError: no run knows it, or several end with it.
    """
    metrics = dict.fromkeys(item for found in runs for item in (*found.run.metrics, *modes([found])))
    paths = dict.fromkeys(path for found in runs for path in found.run.config)
    for exact in (name, name + SUFFIX):
        if exact in FIELDS or exact in metrics or exact in paths:
            return exact
    endings = [path for path in paths if path.endswith((f"{SEPARATOR}{name}", f"{SEPARATOR}{name}{TARGET}"))]
    endings += [item for item in metrics if f"/{item.removesuffix(SUFFIX)}".endswith(f"/{name}")]
    if any(ending in paths for ending in endings):  # `lr` is what was set, not what optimizers log of it
        endings = [ending for ending in endings if not ending.startswith(LOGGED_SETTINGS)]
    if len(endings) > 1:  # what is not the same in all runs is what one asks for
        different = set(differing([found.run.config for found in runs]))
        endings = [path for path in endings if path in different] or endings
    if len(endings) == 1:
        return endings[0]
    if endings:
        several = ", ".join(endings[:MANY]) + ", …" * (len(endings) > MANY)
        raise UsageError(f"{name!r} may be one of {several}", value=name, suggestion="write more of it")
    known = [*FIELDS, *metrics, *(item.removesuffix(SUFFIX) for item in metrics), *paths]
    short = dict.fromkeys(path.removesuffix(TARGET).rsplit(SEPARATOR, 1)[-1] for path in paths)
    suggestion = did_you_mean(name, [*known, *short]) or f"fields: {', '.join(FIELDS)}; metrics; config paths"
    raise UsageError(f"no run has a field, a metric or a config path {name!r}", value=name, suggestion=suggestion)


def value_of(found: Found, name: str) -> Value:
    """Return what a run has under a full name; None where it has nothing."""
    if name in FIELDS:
        return FIELDS[name](found)
    number = metric(found.run, name)
    return setting(found.run.config, name) if number is None else number


def select(expression: Expression, runs: Sequence[Found]) -> list[Found]:
    """Return the runs for which an expression is true.

    Raises:
        UsageError: it has a name that no run knows.
    """
    full = {name: full_name(name, runs) for name in expression.names}
    return [found for found in runs if expression.holds(lambda name, found=found: value_of(found, full[name]))]  # type: ignore[misc]


def sort(runs: Sequence[Found], name: str, among: Sequence[Found]) -> list[Found]:
    """Return runs by what they have under a name that one of `among` knows: a metric's best first, what lacks it last.

    Raises:
        UsageError: no run knows it.
    """
    name = full_name(name, among)
    sign = -1 if modes(among).get(name) == "max" else 1

    def rank(found: Found) -> tuple[int, float, str]:
        value = value_of(found, name)
        if value is None or value != value:  # nan
            return 2, 0, ""
        return (1, 0, value) if isinstance(value, str) else (0, sign * value, "")

    return sorted(runs, key=rank)
