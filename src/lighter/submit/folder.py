"""The folder of a job: its script, its config, and the log that SLURM writes."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path

from lighter.errors import RunError, UsageError
from lighter.launch import INTERACTIVE

JOBS = Path("lighter_jobs")
CONFIG, SCRIPT = "config.yaml", "job.sh"

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


def job_name(given: str | None, source: str) -> str:
    """Return the name of a job: what is given, else that of its first source, or of the folder of a `config.yaml`.

    Raises:
        UsageError: what is given is no name for a job.
    """
    if given is None:
        path = Path(source.partition(",")[0]).absolute()
        text = path.parent.name if path.stem == "config" else path.name if path.is_dir() else path.stem
        name = re.sub(r"[^A-Za-z0-9_.-]+", "-", text)[:100].strip("-.") or "run"
        return f"{name}-run" if name in INTERACTIVE else name
    if not _NAME.fullmatch(given):
        raise UsageError(
            f"{given!r} is no name for a job", value=given, suggestion="at most 100 letters, digits and any of _.-"
        )
    if given in INTERACTIVE:
        raise UsageError(f"a job named {given!r} is an interactive one to Lightning", value=given)
    return given


def log_name(job: str) -> str:
    """Return the name of the log of the job with a number."""
    return f"slurm-{job}.log"


def next_folder(name: str) -> Path:
    """Return the folder that the next job of a name gets."""
    folders = (JOBS / f"{name}_{number}" for number in count())
    return next(folder for folder in folders if not os.path.lexists(folder))


def make_folder(name: str) -> Path:
    """Make the folder of a job, which no other one has, also if two are submitted at once.

    Raises:
        RunError: it cannot be made.
    """
    while True:
        folder = next_folder(name)
        try:
            JOBS.mkdir(exist_ok=True)
            folder.mkdir()
        except FileExistsError as error:
            if not JOBS.is_dir():
                raise RunError(f"{str(JOBS)!r} is not a folder", value=str(JOBS)) from error
            continue
        except OSError as error:
            raise RunError(f"{str(folder)!r} cannot be made: {error.strerror}", value=str(folder)) from error
        return folder


def write_files(folder: Path, files: Mapping[str, str], *, private: bool) -> None:
    """Write the files of a job, readable by its owner alone if they are private.

    Raises:
        RunError: they cannot be written.
    """
    try:
        for name, text in files.items():
            path = folder / name
            path.touch(mode=0o600 if private else 0o666)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        remove_folder(folder)
        raise RunError(f"{str(path)!r} cannot be written: {error.strerror}", value=str(path)) from error


def remove_folder(folder: Path) -> None:
    """Remove the folder of a job that was never submitted."""
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):  # it has others
        JOBS.rmdir()
