"""What can be known of a config before anything is built. Targets are imported, but never called."""

from __future__ import annotations

from collections.abc import Sequence

from lighter.config.check.adapters import check_adapters
from lighter.config.check.components import check_components
from lighter.config.check.expressions import check_expressions
from lighter.config.check.hidden import check_hidden
from lighter.config.check.kinds import check_kinds
from lighter.config.check.monitors import check_monitors
from lighter.config.check.objects import check_slots
from lighter.config.check.overrides import check_overrides
from lighter.config.check.plans import check_plans
from lighter.config.check.references import check_references
from lighter.config.check.sharing import check_sharing
from lighter.config.check.stages import check_stage, lacking
from lighter.config.check.subject import Subject
from lighter.config.compose import Config
from lighter.config.structure import STAGES
from lighter.errors import Problem

__all__ = ["check", "in_file_order", "runnable"]


def check(
    config: Config, stage: str | None = None, *, imports: bool = True, told: Sequence[Problem] = ()
) -> list[Problem]:
    """Return what is wrong with a composed config: with what a stage uses, or, without one, with all of it.

    The modules that it names are imported unless `imports` is False; its project must be importable then. What only
    follows from what is `told` already, which composing it found, is left out.
    """
    subject = Subject(config, stage, imports, told)
    check_overrides(subject)
    check_hidden(subject)
    check_references(subject)
    check_expressions(subject)
    if subject.is_system:
        check_slots(subject)
    check_kinds(subject)
    check_components(subject)
    check_stage(subject)
    check_adapters(subject)
    if subject.is_system and imports:
        check_plans(subject)
    check_sharing(subject)
    check_monitors(subject)
    return in_file_order(subject.settle(), config.sources, config.overrides)


def runnable(config: Config, *, imports: bool = True) -> dict[str, str]:
    """Return each stage with what it needs and the config lacks; the empty text where it can run."""
    return {stage: lacking(Subject(config, stage, imports), stage) for stage in STAGES}


def in_file_order(
    problems: Sequence[Problem], sources: Sequence[str] = (), overrides: Sequence[str] = ()
) -> list[Problem]:
    """Return problems as a reader meets them: file by file, then the overrides; what is told twice only once."""
    files = list(dict.fromkeys([*sources, *(problem.place.file for problem in problems if problem.place)]))
    typed = list(overrides)

    def position(problem: Problem) -> tuple[int, int, int]:
        place = problem.place
        if place is None:
            return -1, 0, 0
        if place.override:
            return len(files), typed.index(place.override) if place.override in typed else 0, 0
        return files.index(place.file), place.line, place.column

    first: dict[tuple[object, str], Problem] = {}
    for problem in problems:
        first.setdefault((problem.place, problem.message), problem)
    return sorted(first.values(), key=position)
