"""From sources to everything that is wrong with them: composing, finding the project, and checking."""

from __future__ import annotations

from collections.abc import Sequence

from lighter.config.check import check, in_file_order
from lighter.config.compose import Config, compose_what_can_be
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
    try:
        config, problems = compose_what_can_be(sources, overrides)
    except ConfigError as error:
        return None, in_file_order(error.problems, overrides=[overrides] if isinstance(overrides, str) else overrides)
    if imports:
        try:
            import_project(config)
        except ConfigError as error:
            problems += error.problems
    try:
        problems += check(config, stage, imports=imports, told=tuple(problems))
    except ConfigError as error:  # its references expand to more than can be looked at
        problems += error.problems
    return config, in_file_order(problems, config.sources, config.overrides)


def checked(sources: Sequence[str], overrides: Sequence[str], stage: str) -> Config:
    """Return a composed config in which nothing that a stage uses is wrong, as far as can be known before building.

    Raises:
        ConfigError: with every problem.
    """
    config, problems = find_problems(sources, overrides, stage)
    if config is None or problems:
        raise ConfigError(problems=problems)
    return config
