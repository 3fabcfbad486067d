"""What a SLURM job can be asked."""

from __future__ import annotations

import signal

import pytorch_lightning as pl
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment


def requeue_signal(trainer: pl.Trainer) -> int | None:
    """Return the signal by which SLURM is to say that a job's time is nearly up; None outside of such a job."""
    environment = trainer._accelerator_connector.cluster_environment
    if not isinstance(environment, SLURMEnvironment) or not environment.auto_requeue:
        return None
    return None if environment.requeue_signal is None else signal.Signals(environment.requeue_signal)
