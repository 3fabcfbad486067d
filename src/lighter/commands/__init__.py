"""The commands: one file each, named as it is typed. A command returns a job; only the job does anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Job:
    """What a command returns: `run` does the work and returns the exit status.

    It is not itself callable, or Fire would call it while it binds arguments. One that only reads `logs` nothing, and
    so is spared the time that a log takes to set up.
    """

    run: Callable[[], int]
    logs: bool = True


@dataclass(frozen=True)
class Help:
    """What `lighter COMMAND --help` says; flags are name and meaning."""

    usage: str
    summary: str
    text: str
    flags: tuple[tuple[str, str], ...]
    examples: tuple[str, ...]


NAMES = ("fit", "validate", "test", "predict", "submit", "check", "show", "trace", "schema", "runs", "diff", "report")

CKPT = ("--ckpt PATH|best|last", "Start from a checkpoint: a path, best or last of the run or the newest run, or none.")
CHECK = ("--no-check", "Begin at once, without looking for mistakes first.")
DEBUG = ("--debug", "Show tracebacks and debug messages.")
HELP = ("--help", "Show this help.")
