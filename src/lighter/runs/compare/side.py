"""One side of a comparison: a run, a checkpoint or a config, and what is known of it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from lighter._run_folder import RECORD
from lighter.config import Config, compose
from lighter.config.checkpoint import is_checkpoint, read_checkpoint
from lighter.config.compose import parse_override
from lighter.config.load import Entry
from lighter.config.origin import written
from lighter.config.tree import Key, Node, step
from lighter.config.tree import Path as ConfigPath
from lighter.errors import ConfigError, shorten
from lighter.project import project_folder
from lighter.runs.checkpoints.record import record_of
from lighter.runs.compare.curves import row_at
from lighter.runs.compare.names import metrics_of
from lighter.runs.record.run_file import Run, read_run

Kind: TypeAlias = Literal["run", "checkpoint", "config"]

OVERRIDE = 70  # characters of one in an origin
ABOVE = 3  # levels above a checkpoint where its run may be


@dataclass(frozen=True)
class Side:
    """What is compared, as typed; `run` is the run that it is, or that saved it."""

    name: str
    kind: Kind
    config: Config
    folder: Path | None = None
    run: Run | None = None
    overrides: tuple[str, ...] = ()
    metrics: Mapping[str, float] | None = None

    def origin(self, path: ConfigPath, node: Node | None) -> str:
        """Say where the value at a path, or its absence, is from; nothing where that is not known."""
        if override := self._override_of(path):
            return f"override {shorten(override, OVERRIDE)!r}"
        if node is None or self.kind != "config":
            return ""
        return written(node.key_place or node.place if isinstance(node.value, (dict, list)) else node.place)

    def project(self) -> str | None:
        """Return the project's folder, wherever it is seen from."""
        if self.run is not None:
            return self.run.project
        try:
            folder = project_folder(self.config)
        except ConfigError:  # it is not here
            return None
        return str(folder) if folder else None

    def _override_of(self, path: ConfigPath) -> str | None:
        """Return the last override that set or deleted the value at a path."""
        for text in reversed(self.overrides):
            try:
                entry = parse_override(text)
            except ConfigError:  # a secret was taken out of it
                continue
            for target in _targets(entry):
                known = self._known(target)
                if known == path[: len(known)] or path == known[: len(path)]:
                    return text
        return None

    def _known(self, path: ConfigPath) -> ConfigPath:
        """Return a path with the keys and indices of the config, as far as it leads."""
        node = self.config.root
        known: list[Key] = []
        for part in path:
            found = step(node, part)
            if found is None:
                return (*known, *path[len(known) :])
            known.append(found[0])
            node = found[1]
        return tuple(known)


def read_side(name: str) -> Side:
    """Read what is at a path: the folder of a run, a checkpoint or a YAML file.

    Raises:
        ConfigError: it is none of them, or cannot be read.
        OSError: its record cannot be read.
    """
    config = compose([name])
    if is_checkpoint(name):
        return _checkpoint(name, config)
    if os.path.isdir(name):  # noqa: PTH112 (pathlib raises on names that cannot exist)
        run = read_run(Path(name))
        return Side(name, "run", config, Path(name), run, run.overrides, metrics_of(run))
    return Side(name, "config", config)


def _checkpoint(name: str, config: Config) -> Side:
    content = read_checkpoint(name)
    overrides, at_step = record_of(content).get("overrides"), content.get("global_step")
    typed = tuple(map(str, overrides)) if isinstance(overrides, list) else ()
    for folder in list(Path(name).resolve().parents)[:ABOVE]:
        if (folder / RECORD).is_file():
            metrics = row_at(folder, at_step) if isinstance(at_step, int) else None
            return Side(name, "checkpoint", config, folder, read_run(folder), typed, metrics)
    return Side(name, "checkpoint", config, overrides=typed)


def _targets(entry: Entry) -> Iterator[ConfigPath]:
    """Yield the paths that an override sets: of a mapping, which is merged, those of what is in it."""
    if isinstance(entry.patch.value, list) and entry.patch.value and entry.operator == "":
        for inner in entry.patch.value:
            yield from ((*entry.path, *path) for path in _targets(inner))
    else:
        yield entry.path
