"""Hand a script to SLURM."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Collection
from pathlib import Path

from lighter.errors import RunError

KEPT = ("SLURM_CONF", "SLURM_CLUSTERS", "SLURM_JWT")  # of the variables of a job from which another one is submitted

_ID = re.compile(r"^(?:Submitted batch job )?(\d+)(?:;.*)?\s*$", re.MULTILINE)


def require_sbatch() -> None:
    """Make sure that there is a SLURM to submit to.

    Raises:
        RunError: there is none.
    """
    if shutil.which("sbatch") is None:
        mend = "submit from a machine of the cluster, such as its login node; --dry-run prints the script"
        raise RunError("there is no sbatch on the PATH", suggestion=mend)


def command_of(script: Path) -> list[str]:
    """Return the command that submits a script."""
    return ["sbatch", "--parsable", str(script)]


def submit(script: Path, options: Collection[str]) -> str:
    """Submit a script that sets some options, and return the number of the job.

    Raises:
        RunError: SLURM did not take it.
    """
    done = subprocess.run(command_of(script), env=_environment(options), capture_output=True, text=True, check=False)
    said = "\n  ".join((done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines())
    if done.returncode:
        raise RunError(f"sbatch did not take the job (status {done.returncode}):\n  {said}")
    found: list[str] = _ID.findall(done.stdout)
    if not found:
        message = f"sbatch did not say which job it made of {str(script)!r}:\n  {said}"
        raise UnknownJobError(message, suggestion="it may be in the queue: squeue --me")
    return found[-1]


class UnknownJobError(RunError):
    """SLURM took a job and did not say its number."""


def _environment(options: Collection[str]) -> dict[str, str]:
    """Return the environment to submit in: without what would win over the script, or is of a job around this one."""
    said = {f"SBATCH_{name.replace('-', '_').upper()}" for name in (*options, "timelimit", "no-requeue")}
    of_a_job = "SLURM_JOB_ID" in os.environ
    return {
        name: value
        for name, value in os.environ.items()
        if name not in said and not (of_a_job and name.startswith("SLURM_") and name not in KEPT)
    }
