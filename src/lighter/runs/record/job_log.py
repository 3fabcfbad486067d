"""The log of a job, which a cluster writes elsewhere: in the folder of its run too."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

VARIABLE = "LIGHTER_JOB_LOG"  # the file that the output of this process goes to, as the job's script says


def link_log(folder: Path) -> None:
    """Give the log of the job that this process is of, if it is of one, a second name in the folder of its run."""
    log = os.environ.get(VARIABLE)
    if not log or not os.path.isfile(log):  # noqa: PTH113 (pathlib raises on names that cannot exist)
        return
    name = folder / Path(log).name
    try:
        os.link(log, name)
    except FileExistsError:
        return
    except OSError:  # another disk, or one without links
        with suppress(OSError):
            name.symlink_to(log)


def is_of_this_job(folder: Path) -> bool:
    """Tell whether a run was made by the job that this process is of, which has then started again."""
    log = os.environ.get(VARIABLE)
    return bool(log) and Path(folder, Path(str(log)).name).exists()
