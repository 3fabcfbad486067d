"""The config that a job runs: composed when it is submitted, so that files may change while it waits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lighter.checking import find_problems
from lighter.config import Config, compose
from lighter.config.compose import parse_override
from lighter.config.load import Entry
from lighter.config.stored import hidden_problem
from lighter.config.tree import join, nodes
from lighter.errors import ConfigError, UsageError
from lighter.project import project_folder

TRIALS = ("fast_dev_run", "barebones")


def freeze(sources: Sequence[str], overrides: Sequence[str], trainer: Mapping[str, str], *, check: bool) -> Config:
    """Return a composed config that needs no other file, with some values of the Trainer set.

    Unless `check` is False, all that is wrong with it is looked for, as far as can be known before anything is built.

    Raises:
        ConfigError: it cannot be right.
        UsageError: an override contradicts what the Trainer is given, or it is a trial run.
    """
    lines = [f"{path}={value}" for path, value in trainer.items() if not _is_given(path, value, overrides)]
    overrides = [*overrides, *lines]
    config = _checked(sources, overrides) if check else compose(sources, overrides)
    for name in TRIALS:
        value = config.plain(f"trainer::{name}")
        if isinstance(value, int) and value:
            message = f"a trial run ({name}) leaves nothing that a job could go on with"
            raise UsageError(message, suggestion=f"run it with lighter fit, or submit it with trainer::{name}=false")
    if problems := [hidden_problem(path, node) for path, node in nodes(config.root) if node.place in config.hidden]:
        raise ConfigError(problems=problems)
    if (project := config.find("project")) is not None:
        project.value = str(project_folder(config))
    return config


def _checked(sources: Sequence[str], overrides: Sequence[str]) -> Config:
    """Return a composed config in which nothing of a fit is wrong; what has started this process is not that job."""
    config, problems = find_problems(sources, overrides, "fit")
    if config is None or problems:
        raise ConfigError(problems=problems)
    return config


def _is_given(path: str, value: str, overrides: Sequence[str]) -> bool:
    """Tell whether an override gives a value to the Trainer.

    Raises:
        UsageError: it is another one than the size of the job makes it.
    """
    for text in overrides:
        entry = _read(text)
        if entry is None or join(entry.path) != path:
            continue
        if entry.operator not in ("", "=") or not _fits(path, str(entry.patch.value), value):
            flag = "--nodes" if path.endswith("num_nodes") else "--gpus"
            message = f"{text!r} contradicts {flag}, which makes it {value}"
            raise UsageError(message, value=text, suggestion="leave it out")
        return True
    return False


def _fits(path: str, given: str, value: str) -> bool:
    """Tell whether an override leaves it at what the job makes it; with GPUs, the accelerator is up to the override."""
    if path.endswith("accelerator"):
        return value != "cpu" or given in ("cpu", "auto")
    return given == value


def _read(text: str) -> Entry | None:
    try:
        return parse_override(text)
    except ConfigError:  # of which composing tells
        return None
