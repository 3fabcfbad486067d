"""The script that SLURM runs."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from lighter.runs.record.job_log import VARIABLE
from lighter.submit.folder import SCRIPT, log_name
from lighter.submit.request import Request

_SCRIPT = """\
#!/bin/bash
{options}

# {typed}
# Submitted again, it goes on with its run: sbatch {again}

cd {working_folder} || exit
{setup}

srun {step} {command}
status=$?

# A preempted job that ends in the time that it is left is over for SLURM, and would not be requeued.
if [ "$status" -ne 0 ] && scontrol show job "$SLURM_JOB_ID" | grep -q 'PreemptTime=[0-9]'; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
"""


def script(request: Request, name: str, typed: str, folder: Path, command: Sequence[str], setup: Sequence[str]) -> str:
    """Return the script of a job whose folder is relative to the working folder.

    `typed` says in one line where it is from, and `setup` are lines that it begins with.
    """
    here = Path.cwd()
    log = str(here / folder).replace("%", "%%")  # of which SLURM makes a `%`
    options = {"job-name": name, "output": f"{log}/{log_name('%j')}", **request.lines()}
    kept = f"export {VARIABLE}={shlex.quote(str(here / folder))}/{log_name('$SLURM_JOB_ID')}"
    return _SCRIPT.format(
        options="\n".join(f"#SBATCH --{_option(name, value)}" for name, value in options.items()),
        typed=typed,
        again=shlex.quote(str(here / folder / SCRIPT)),
        working_folder=shlex.quote(str(here)),
        setup="\n".join([*setup, kept]),
        step=shlex.join(_step(request)),
        command=shlex.join(command),
    )


def _option(name: str, value: str) -> str:
    return f"{name}={shlex.quote(value)}" if value else name


def _step(request: Request) -> list[str]:
    """Return the options of srun: all of the job, which ends when one of its processes fails."""
    cpus = [f"--cpus-per-task={request.cpus}"] if request.cpus else []  # which it does not take over from sbatch
    return ["--kill-on-bad-exit=1", "--export=ALL", *cpus]
