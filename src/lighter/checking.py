"""From sources to everything that is wrong with them: composing, finding the project, and checking."""

from __future__ import annotations

from collections.abc import Sequence

from lighter.agreement import refuse, unstartable
from lighter.config.check import check, in_file_order
from lighter.config.compose import Config, compose, compose_what_can_be
from lighter.errors import ConfigError, Problem
from lighter.project import import_project


def find_problems(
    sources: Sequence[str], overrides: Sequence[str] = (), stage: str | None = None, *, imports: bool = True
) -> tuple[Config | None, list[Problem]]:
    """Return the config as far as it can be composed, and all that is wrong with what a stage uses of it.

    Without a stage it is all that is wrong. The config is None where a source cannot be read. Modules that the config
    names are imported unless `imports` is False.

    Raises:
        UsageError: there is no source.
    """
    config, problems = _composed(sources, overrides)
    return config, problems if config is None else _checked(config, problems, stage, imports)


def checked(sources: Sequence[str], overrides: Sequence[str], stage: str) -> Config:
    """Return a composed config in which nothing that a stage uses is wrong, as far as can be known before building.

    Raises:
        ConfigError: with every problem; of one that contradicts what has started this process, only that.
    """
    config, problems = _composed(sources, overrides)
    if config is not None:
        refuse(config)  # first, as it needs no imports
        problems = _checked(config, problems, stage, imports=True)
    if config is None or problems:
        raise ConfigError(problems=problems)
    return config


def unchecked(sources: Sequence[str], overrides: Sequence[str]) -> Config:
    """Return a composed config of which only that is looked at which contradicts what has started this process."""
    config = compose(sources, overrides)
    refuse(config)
    return config


def _composed(sources: Sequence[str], overrides: Sequence[str]) -> tuple[Config | None, list[Problem]]:
    try:
        return compose_what_can_be(sources, overrides)
    except ConfigError as error:
        return None, in_file_order(error.problems, overrides=[overrides] if isinstance(overrides, str) else overrides)


def _checked(config: Config, problems: list[Problem], stage: str | None, imports: bool) -> list[Problem]:
    """Return all that is wrong with a config, with what composing it found."""
    if imports:
        try:
            import_project(config)
        except ConfigError as error:
            problems += error.problems
    try:
        problems += unstartable(config)
        problems += check(config, stage, imports=imports, told=tuple(problems))
    except ConfigError as error:  # its references expand to more than can be looked at
        problems += error.problems
    return in_file_order(problems, config.sources, config.overrides)
