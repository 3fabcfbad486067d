"""What a job asks of SLURM."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from lighter.errors import UsageError
from lighter.submit.limit import seconds_of, shown

SIGNAL = "USR1"  # what Lightning's SLURMEnvironment waits for
LONGEST = 300  # seconds before the end of the time at which the signal comes, at most
SHARE = 10  # a tenth of a shorter time

_OWN = {  # options of sbatch that have a flag here
    **{name: f"--{name}" for name in ("nodes", "cpus-per-task", "mem", "time", "partition", "account", "qos")},
    "constraint": "--constraint",
    "job-name": "--name",
    "gpus": "--gpus",
    "gpus-per-node": "--gpus",
}
_SETTLED = (  # those that follow from the others
    *("array", "chdir", "gpus-per-task", "ntasks", "ntasks-per-gpu", "ntasks-per-node", "output", "parsable", "wrap"),
)


@dataclass(frozen=True)
class Request:
    """A job: nodes, GPUs on each of them, and options of sbatch by their long names.

    `kind` is a type of GPU. `options` are those that sbatch needs not have; one that takes no value has an empty one.
    """

    nodes: int = 1
    gpus: int = 1
    kind: str = ""
    cpus: int | None = None
    time: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def processes(self) -> int:
        """Return how many processes train on each node: one for each GPU, else one."""
        return max(self.gpus, 1)

    @property
    def trainer(self) -> dict[str, str]:
        """Return what a Trainer has to say, so that it uses what the job gets."""
        return {
            "trainer::num_nodes": str(self.nodes),
            "trainer::devices": str(self.processes),
            "trainer::accelerator": "gpu" if self.gpus else "cpu",
        }

    def __str__(self) -> str:
        gpus = f"{_number(self.gpus, 'GPU')}{' of type ' * bool(self.kind)}{self.kind}" if self.gpus else "no GPUs"
        time = shown(seconds_of(self.time)) if self.time else "the time of its partition"
        each = " each" * (self.nodes > 1 and self.gpus > 0)
        return f"{_number(self.nodes, 'node')} with {gpus}{each}, for {time} at a stretch"

    def lines(self) -> dict[str, str]:
        """Return the options of sbatch."""
        given = dict(self.options)
        own = {"nodes": str(self.nodes), "ntasks-per-node": str(self.processes)}
        if self.gpus and "gpu" not in given.get("gres", ""):
            own["gpus-per-node"] = f"{self.kind}:{self.gpus}" if self.kind else str(self.gpus)
        if self.cpus:
            own["cpus-per-task"] = str(self.cpus)
        if self.time:
            own["time"] = self.time
        own["signal"] = f"{SIGNAL}@{_before_the_end(self.time)}"
        if "no-requeue" not in given:
            own["requeue"] = ""
        return {**own, "open-mode": "append", **given}


def read_request(
    nodes: str, gpus: str, cpus: str | None, time: str | None, named: Mapping[str, str | None], more: str | None
) -> Request:
    """Read the flags of a job: `named` are options of sbatch with a flag of their own, `more` is the text of others.

    Raises:
        UsageError: one of them cannot be right.
    """
    kind, _, count = gpus.rpartition(":")
    if time is not None:
        seconds_of(time)
    given = {name: value for name, value in named.items() if value is not None}
    options = {**given, **_options(more or "")}
    for name, value in {**options, "gpus": kind}.items():
        if not value.isprintable():
            raise UsageError(f"--{name} has a character that cannot be written into a script", value=value)
    return Request(
        nodes=_count("--nodes", nodes, 1),
        gpus=_count("--gpus", count, 0),
        kind=kind,
        cpus=_count("--cpus-per-task", cpus, 1) if cpus is not None else None,
        time=time,
        options=options,
    )


def _count(flag: str, text: str, least: int) -> int:
    if not re.fullmatch(r"[0-9]{1,6}", text) or int(text) < least:
        raise UsageError(f"{flag} takes a whole number from {least}, not {text!r}", value=text)
    return int(text)


def _options(text: str) -> dict[str, str]:
    """Read options as sbatch has them, with or without the dashes.

    Raises:
        UsageError: one has no long name, or is not to be set so.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"--sbatch cannot be read: {str(error).lower()}", value=text) from error
    options = {}
    for word in words:
        name, equals, value = word.removeprefix("--").partition("=")
        if not re.fullmatch(r"[a-z][a-z0-9-]+", name) or (equals and not value):
            mend = "such as --sbatch 'exclusive mail-type=END,FAIL'"
            raise UsageError(f"{word!r} is not an option of sbatch by its long name", value=word, suggestion=mend)
        if name in _OWN or name in _SETTLED:
            mend = f"say it with {_OWN[name]}" if name in _OWN else "it follows from the other flags"
            raise UsageError(f"--sbatch cannot set {name!r}", value=name, suggestion=mend)
        options[name] = value
    return options


def _before_the_end(time: str | None) -> int:
    """Return how many seconds before the end of its time a run is told to save and stop."""
    seconds = seconds_of(time) if time is not None else None
    return LONGEST if seconds is None else max(1, min(LONGEST, seconds // SHARE))


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"
