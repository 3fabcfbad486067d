"""What was asked for, and what it runs on: all that a record holds before its run has begun."""

from __future__ import annotations

import platform
import shlex
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from lighter import __version__
from lighter.config import Config
from lighter.config.checkpoint import is_checkpoint
from lighter.config.origin import show
from lighter.config.tree import Node, join, nodes
from lighter.runs.checkpoints.record import sources_of
from lighter.runs.record.environment import packages
from lighter.runs.record.flat import flatten
from lighter.runs.record.git import read_git
from lighter.runs.record.process import this_process
from lighter.runs.record.run_file import Resumption, Run
from lighter.runs.record.secrets import Secrets

OF_THE_BEGINNING = (  # fields of a record that stay when its run is gone on with
    *("sources", "overrides", "command", "working_folder", "started", "weights", "logs"),
    *("epochs", "steps", "seconds", "metrics", "best", "checkpoints"),
)


class Request:
    """A stage and its config, without secrets.

    `config` is the text of `config.yaml`, and `in_checkpoints` what each checkpoint tells of it.
    """

    def __init__(self, config: Config, stage: str, *, seed: Any = None, project: Path | None = None) -> None:
        self.secrets, self.stage = Secrets.of(), stage
        root, hidden = self.secrets.hide_in_config(config.root)
        before = (join(path) for path, node in nodes(config.root) if node.place in config.hidden)  # by an earlier run
        self._hidden = tuple(dict.fromkeys((*hidden, *before)))
        self._seed, self._project = seed, project
        self._sources, self._typed = sources_of(config), tuple(map(self.secrets.hide, config.sources))
        self._overrides = tuple(map(self.secrets.hide_named, config.overrides))
        anywhere = _anywhere(root, project)
        self.config, self._flat = show(anywhere), flatten(root)
        self.in_checkpoints: dict[str, Any] = {
            "config": anywhere.plain(),
            "sources": [str(source) for source in self._sources],
            "overrides": list(self._overrides),
            "hidden": list(self._hidden),
        }

    def begin(self, weights: Path | None = None) -> tuple[Run, str]:
        """Return the record of a run that begins now, and the patch from the commit to what is there."""
        taken = str(weights.resolve()) if weights else None
        words = ["lighter", self.stage, *self._typed, *self._overrides, *(["--ckpt", taken] if taken else [])]
        files = [file for file in self._sources if file.is_file() and not is_checkpoint(str(file))]
        git, patch = read_git(self._project or Path.cwd(), files) or (None, "")
        run = Run(
            stage=self.stage,
            command=shlex.join(words),
            working_folder=str(Path.cwd()),
            sources=self._typed,
            overrides=self._overrides,
            process=this_process(),
            started=now(),
            weights=taken,
            seed=self._seed if isinstance(self._seed, int) else None,
            project=str(self._project) if self._project else None,
            hidden=self._hidden,
            git=git,
            python=platform.python_version(),
            lighter=__version__,
            packages=packages(),
            config=self._flat,
        )
        return run, self.secrets.hide_in_patch(patch)

    def go_on(self, run: Run, status: str, checkpoint: str | None, step: int) -> tuple[Run, str]:
        """Return the record of a run that goes on now, and the patch; its checkpoints will tell of its beginning."""
        new, patch = self.begin()
        resumption = Resumption(new.started, f"{new.command} --resume", status, new.process, checkpoint, step)
        kept = {name: getattr(run, name) for name in OF_THE_BEGINNING}
        self.in_checkpoints |= {
            "sources": [str(Path(run.working_folder, source).resolve()) for source in run.sources],
            "overrides": list(run.overrides),
        }
        return replace(new, **kept, resumed=(*run.resumed, resumption)), patch


def now() -> str:
    return datetime.now(timezone.utc).astimezone().isoformat(timespec="milliseconds")


def _anywhere(root: Node, project: Path | None) -> Node:
    """Return a config in which the project's folder is found from anywhere."""
    if project is not None and isinstance(root.value, dict):
        before = root.value.get("project")
        root = Node({**root.value, "project": Node(str(project), before.place if before else root.place)}, root.place)
    return root
