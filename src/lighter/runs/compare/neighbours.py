"""What tells a run from those beside it: the settings that are not the same in all runs of the same sources."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from lighter.runs.compare.find import Found
from lighter.runs.compare.settings import MAX_HOPS, differing
from lighter.runs.record.run_file import Run, Setting


def distinctions(runs: Sequence[Found]) -> list[dict[str, Setting]]:
    """Return for each run its values at the config paths that are not the same in all runs of the same sources."""
    distinct: list[dict[str, Setting]] = [{} for _ in runs]
    for group in _groups(runs):
        configs = {index: _config(runs[index].run) for index in group}
        paths = differing(list(configs.values()))
        for index, config in configs.items():
            distinct[index] = {path: config[path] for path in paths if path in config}
    return distinct


def _config(run: Run) -> Mapping[str, Setting]:
    """Return a run's config, its project as the folder that it names: a run that was resumed has it so."""
    return {**run.config, "project": run.project} if run.project and "project" in run.config else run.config


def _groups(runs: Sequence[Found]) -> Iterable[list[int]]:
    """Return the indices of the runs of each sources."""
    groups: dict[tuple[str, ...], list[int]] = {}
    folders = {os.path.realpath(found.folder): found.run for found in runs}
    for index, found in enumerate(runs):
        groups.setdefault(_sources(found.run, folders), []).append(index)
    return groups.values()


def _sources(run: Run, folders: Mapping[str, Run], hops: int = MAX_HOPS) -> tuple[str, ...]:
    """Return the files that a run was made from: where one is the folder of another run, those of that."""
    found: list[str] = []
    for source in run.sources:
        path = os.path.normpath(os.path.join(run.working_folder, source))  # noqa: PTH118 (quicker)
        before = folders.get(os.path.realpath(path)) if hops else None
        found += [path] if before is None else _sources(before, folders, hops - 1)
    return tuple(found)
