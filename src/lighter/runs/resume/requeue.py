"""Put a SLURM job back into the queue; nothing here needs torch, so that it can be done while a run begins."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from types import FrameType

from lighter.runs.record.job_log import VARIABLE

STATUS = 143  # as shells say it
STALLED = "stalled"  # in the folder of a job whose last start has trained nothing


def requeue(*, has_advanced: bool) -> bool:
    """Put this job back into SLURM's queue, unless its time is too short for a step, as two starts have shown.

    Return whether it is there.
    """
    from loguru import logger

    if not has_advanced and _has_stalled_before():
        logger.error("twice the time was up before a step was done: the job is not requeued, it needs a longer --time")
        return False
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    job = f"{array}_{task}" if array else os.environ.get("SLURM_JOB_ID", "")
    try:
        done = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True, check=False)
    except OSError as error:
        logger.warning(f"the job {job} cannot be requeued: {error}")
        return False
    if done.returncode:
        logger.warning(f"SLURM did not requeue the job {job}: {(done.stderr or done.stdout).strip()}")
        return False
    logger.info(f"requeued the job {job}")
    return True


def advance() -> None:
    """Note that a job of `lighter submit` has time enough for a step."""
    if marker := _marker():
        marker.unlink(missing_ok=True)


class EarlyRequeue:
    """The answer to SLURM's signal while a job of `lighter submit` begins, when there is nothing to save yet."""

    def __init__(self) -> None:
        self._process = os.getpid()

    @property
    def is_inherited(self) -> bool:
        """Tell whether this process, which may load data, is a copy of the one that it answers for."""
        return os.getpid() != self._process

    def __call__(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if self.is_inherited:
            return
        if os.environ.get("SLURM_PROCID", "0") == "0":
            requeue(has_advanced=False)
        os._exit(STATUS)


def requeue_early() -> None:
    """Answer SLURM's signal from now on, if this is such a job: nobody else would, and the job would be lost."""
    handler = signal.getsignal(signal.SIGUSR1)
    is_free = handler is signal.SIG_DFL or (isinstance(handler, EarlyRequeue) and handler.is_inherited)
    if VARIABLE in os.environ and is_free:
        signal.signal(signal.SIGUSR1, EarlyRequeue())


def _has_stalled_before() -> bool:
    """Tell whether the start before this one has trained nothing either, and note that this one has not."""
    marker = _marker()
    if marker is None:
        return False
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        marker.unlink(missing_ok=True)
        return True
    except OSError:
        return False
    return False


def _marker() -> Path | None:
    log = os.environ.get(VARIABLE)
    return Path(log).with_name(STALLED) if log else None
