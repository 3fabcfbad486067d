"""What a SLURM job can be asked, and asked for."""

from __future__ import annotations

import os
import signal
import subprocess

import pytorch_lightning as pl
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from loguru import logger


def requeue_signal(trainer: pl.Trainer) -> int | None:
    """Return the signal by which SLURM is to say that a job's time is nearly up; None outside of such a job."""
    environment = trainer._accelerator_connector.cluster_environment
    if not isinstance(environment, SLURMEnvironment) or not environment.auto_requeue:
        return None
    return None if environment.requeue_signal is None else signal.Signals(environment.requeue_signal)


def requeue() -> None:
    """Put this job back into SLURM's queue."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    job = f"{array}_{task}" if array else os.environ.get("SLURM_JOB_ID", "")
    try:
        done = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True, check=False)
    except OSError as error:
        logger.warning(f"the job {job} cannot be requeued: {error}")
        return
    if done.returncode:
        logger.warning(f"SLURM did not requeue the job {job}: {(done.stderr or done.stdout).strip()}")
    else:
        logger.info(f"requeued the job {job}")
