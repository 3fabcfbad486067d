"""`lighter submit`."""

from __future__ import annotations

import contextlib
import gc
import shlex
import sys
from typing import TYPE_CHECKING

from lighter.commands import CHECK, HELP, Help, Job
from lighter.commands._arguments import split_arguments
from lighter.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from lighter.submit.request import Request

HELP_TEXT = Help(
    usage="lighter submit SOURCE... [OVERRIDE...] [--nodes N] [--gpus G] [--time TIME] [FLAGS] [--dry-run]",
    summary="Train in a job of SLURM, which goes on where it was when it is requeued.",
    text=(
        "Composes and checks the config, writes it and a script into a new folder below lighter_jobs, and hands the\n"
        "script to sbatch. The job runs lighter fit --resume under srun, with one process a GPU. Shortly before its\n"
        "time is up, and when it is preempted, it saves; it is then requeued, and goes on. What is asked for here\n"
        "stands in place of num_nodes, devices and accelerator of the Trainer."
    ),
    flags=(
        ("--nodes N", "How many nodes; 1 if nothing is said."),
        ("--gpus G", "GPUs on each node, also as TYPE:G; 1 if nothing is said, 0 to train on CPUs."),
        ("--time TIME", "The longest time at a stretch: minutes, H:M:S, days-hours; else the partition's."),
        ("--cpus-per-task N", "Processors for each process, and what loads its data."),
        ("--mem SIZE", "Memory of each node, such as 64G."),
        ("--partition NAME", "The partition, or several with commas."),
        ("--account NAME", "The account to charge."),
        ("--qos NAME", "The quality of service."),
        ("--constraint TEXT", "Features that nodes must have."),
        ("--sbatch OPTIONS", "Any other options of sbatch, such as 'exclusive mail-type=END,FAIL'."),
        ("--setup COMMAND", "What the script does first, such as 'module load cuda'."),
        ("--name NAME", "The job's name; that of the first source if nothing is said."),
        ("--dry-run", "Print the script and the command, and write nothing."),
        CHECK,
        HELP,
    ),
    examples=(
        "lighter submit config.yaml --gpus 4 --time 1-00:00:00",
        "lighter submit config.yaml system::optimizer::lr=0.01 --nodes 8 --gpus a100:4 --cpus-per-task 12",
        "lighter submit config.yaml --gpus 0 --partition cpu --time 30 --dry-run",
    ),
)


def run(
    *arguments: str,
    nodes: str = "1",
    gpus: str = "1",
    time: str | None = None,
    cpus_per_task: str | None = None,
    mem: str | None = None,
    partition: str | None = None,
    account: str | None = None,
    qos: str | None = None,
    constraint: str | None = None,
    sbatch: str | None = None,
    setup: str | None = None,
    name: str | None = None,
    dry_run: bool = False,
    no_check: bool = False,
) -> Job:
    """Train in a job of SLURM, which goes on where it was when it is requeued."""
    from lighter.submit.folder import job_name
    from lighter.submit.request import read_request

    sources, overrides = split_arguments(arguments)
    named = {"mem": mem, "partition": partition, "account": account, "qos": qos, "constraint": constraint}
    request = read_request(nodes, gpus, cpus_per_task, time, named, sbatch)
    if setup is not None and len(setup.splitlines()) > 1:
        raise UsageError("--setup takes one line", value=setup, suggestion="source a file with the others")
    called = job_name(name, sources[0])

    def job() -> int:
        from lighter.submit.submission import Submission

        gc.disable()  # collecting while torch and Lightning are imported is a third of the time that takes
        with contextlib.redirect_stdout(sys.stderr):  # where what is imported may print
            submission = Submission(sources, overrides, request, called, setup, not no_check)
            said = submission.preview() if dry_run else _told(request, *submission.submit())
        print(said, end="")
        return 0

    return Job(job, logs=False)


def _told(request: Request, job: str, folder: Path) -> str:
    """Say what was submitted, and what to do with it."""
    from lighter.submit.folder import SCRIPT, log_name

    rows = {
        "job": f"{job}: {request}",
        "folder": str(folder),
        "queue": f"squeue --jobs {job}",
        "follow": f"tail -F {shlex.quote(str(folder / log_name(job)))}",
        "cancel": f"scancel {job}",
        "go on": f"sbatch {shlex.quote(str(folder / SCRIPT))}",
    }
    return "lighter submit\n" + "".join(f"  {name:<11} {value}\n" for name, value in rows.items())
