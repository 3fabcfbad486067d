"""One run on its way into SLURM's queue."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from lighter.config import Config
from lighter.config.origin import show
from lighter.runs.record.secrets import Secrets
from lighter.submit.folder import CONFIG, SCRIPT, make_folder, next_folder, remove_folder, write_files
from lighter.submit.frozen import freeze
from lighter.submit.request import Request
from lighter.submit.sbatch import UnknownJobError, command_of, require_sbatch, submit
from lighter.submit.script import script


@dataclass(frozen=True)
class Submission:
    """What is to run, and what to ask of SLURM for it; `setup` is a line of the script before it."""

    sources: list[str]
    overrides: list[str]
    request: Request
    name: str
    setup: str | None = None
    check: bool = True

    def submit(self) -> tuple[str, Path]:
        """Write the job down and submit it; return its number and its folder.

        Raises:
            ConfigError: the config cannot be right.
            RunError: SLURM did not take the job; nothing is left then, unless it may have.
        """
        require_sbatch()
        config = self._config()
        folder = make_folder(self.name)
        has_secrets = bool(Secrets.of().hide_in_config(config.root)[1])
        write_files(folder, {CONFIG: show(config.root), SCRIPT: self._script(folder)}, private=has_secrets)
        try:
            return submit(folder / SCRIPT, self.request.lines()), folder
        except UnknownJobError:
            raise
        except BaseException:
            remove_folder(folder)
            raise

    def preview(self) -> str:
        """Return the script that would be submitted now, and the command that would do it."""
        self._config()
        folder = next_folder(self.name)
        return f"{self._script(folder)}\n# {shlex.join(command_of(folder / SCRIPT))}\n"

    def _config(self) -> Config:
        return freeze(self.sources, self.overrides, self.request.trainer, check=self.check)

    def _script(self, folder: Path) -> str:
        hide = Secrets.of().hide_named
        typed = shlex.join(["lighter", "submit", *map(hide, (*self.sources, *self.overrides))])
        fit = [sys.executable, "-m", "lighter", "fit", str(folder / CONFIG), "--resume"]
        path = os.environ.get("PYTHONPATH")
        setup = [f"export PYTHONPATH={shlex.quote(path)}"] if path else []
        setup += ["export PYTHONUNBUFFERED=1"]  # or what a module prints comes late
        setup += [self.setup] if self.setup else []
        command = fit if self.check else [*fit, "--no-check"]
        return script(self.request, self.name, " ".join(typed.splitlines()), folder, command, setup)
