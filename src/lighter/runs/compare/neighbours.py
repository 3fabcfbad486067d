"""What tells a run from those beside it: the settings that are not the same in all runs of the same sources."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from lighter.runs.compare.settings import differing
from lighter.runs.record.run_file import Run, Setting


def distinctions(runs: Sequence[Run]) -> list[dict[str, Setting]]:
    """Return for each run its values at the config paths that are not the same in all runs of the same sources."""
    found: list[dict[str, Setting]] = [{} for _ in runs]
    for group in _groups(runs):
        configs = {index: _config(runs[index]) for index in group}
        paths = differing(list(configs.values()))
        for index, config in configs.items():
            found[index] = {path: config[path] for path in paths if path in config}
    return found


def _config(run: Run) -> Mapping[str, Setting]:
    """Return a run's config, its project as the folder that it names: a run that was resumed has it so."""
    return {**run.config, "project": run.project} if run.project and "project" in run.config else run.config


def _groups(runs: Sequence[Run]) -> Iterable[list[int]]:
    """Return the indices of the runs of each sources."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for index, run in enumerate(runs):
        sources = tuple(os.path.normpath(f"{run.working_folder}/{source}") for source in run.sources)
        groups.setdefault(sources, []).append(index)
    return groups.values()
