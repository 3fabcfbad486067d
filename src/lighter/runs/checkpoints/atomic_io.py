"""Write checkpoints that are whole or not there at all, and say what is wrong where one cannot be written."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import torch
from lightning_fabric.plugins.io import TorchCheckpointIO

from lighter.errors import RunError
from lighter.runs.checkpoints.sharded import consolidated, is_sharded

SUFFIX = ".tmp"  # of a checkpoint that is being written
LIMITS = {  # which have nothing to do with what is free on the disk
    errno.EFBIG: "raise the limit on the size of a file (ulimit -f)",
    errno.EDQUOT: "make room within your quota",
}
_TORCHS = "inline_container.cc"  # in the error of a file that torch writes itself, without what the system has said
STALE = 3600  # seconds after which no process is still writing, in a folder where others may


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write a checkpoint beside its place, and rename it once it is on the disk.

    Lightning's own makes a copy in memory and another in the system's temporary folder, from where a rename to another
    disk is a copy again, which a kill or a full disk cuts short; it leaves it to the system when all that is written;
    and in a folder that may not be written to it saves nothing without a word.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        if storage_options is not None or "://" in str(path):  # a remote place, which knows no rename
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        target, handled = Path(path), sys.exc_info()[1]
        beside = target.with_name(f".{target.name}.{os.getpid()}{SUFFIX}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            _write(checkpoint, beside)
            put_in_place(beside, target)
        except BaseException as error:
            with suppress(OSError):  # of a disk that has become read-only
                beside.unlink(missing_ok=True)
            raise failure_of(target, error, checkpoint, handled) or error from error

    def load_checkpoint(self, path: str | Path, *args: Any, **options: Any) -> dict[str, Any]:
        if "://" not in str(path) and is_sharded(Path(path)):  # of a strategy that is not this one
            return consolidated(Path(path))
        return super().load_checkpoint(path, *args, **options)


def failure_of(
    path: Path, error: BaseException, checkpoint: object = None, handled: BaseException | None = None
) -> RunError | None:
    """Return what to say where a checkpoint was not written; None where that is not the system's doing.

    Of a sharded one, the checkpoint is not at hand.
    """
    cause = _cause(error, handled)
    return None if cause is None else _failure(path, cause, checkpoint)


def put_in_place(beside: Path, target: Path) -> None:
    """Rename a checkpoint that is wholly written.

    Where one of the two is a folder, the one in its place cannot be replaced in one go: meanwhile that has a name by
    which it is found as a checkpoint.
    """
    is_folder = beside.is_dir()
    if is_folder:
        for part in (*beside.rglob("*"), beside):
            _sync(part)
    before = target.with_name(f"{target.stem}.old{target.suffix}")
    if is_folder and target.is_symlink():
        target.unlink()
    elif not target.is_symlink() and (target.is_dir() or (is_folder and target.exists())):
        _remove(before)
        target.rename(before)
    beside.replace(target)
    _sync(target.parent)
    if is_folder or before.is_dir():
        _remove(before)


def _remove(checkpoint: Path) -> None:
    """Remove a checkpoint, which is not found as one any more when of its folder a part is left."""
    if checkpoint.is_dir():
        hidden = checkpoint.with_name(f".{checkpoint.name}.{os.getpid()}{SUFFIX}")
        checkpoint.rename(hidden)
        shutil.rmtree(hidden, ignore_errors=True)
    else:
        checkpoint.unlink(missing_ok=True)


def remove_stale(folders: Iterable[Path], own: Path) -> None:
    """Remove what a killed process had begun to write into folders; `own` is the run's, where no other one writes."""
    for folder in {own, *folders}:
        for file in folder.glob(f".*{SUFFIX}"):
            if file.is_dir() and ".ckpt." not in file.name:
                continue
            with suppress(FileNotFoundError):  # of one that its process has just finished
                if own in (folder, *folder.parents) or time.time() - file.stat().st_mtime > STALE:
                    shutil.rmtree(file) if file.is_dir() else file.unlink()


def _write(checkpoint: dict[str, Any], path: Path) -> None:
    with path.open("wb") as file:
        torch.save(checkpoint, file)
        file.flush()
        os.fsync(file.fileno())


def _sync(path: Path) -> None:
    """Let a file, or a rename in a folder, survive a power cut."""
    if os.name == "nt":  # folders cannot be opened there
        return
    opened = os.open(path, os.O_RDONLY)
    with suppress(OSError):  # not every file system can
        os.fsync(opened)
    os.close(opened)


def _cause(error: BaseException | None, handled: BaseException | None) -> OSError | None:
    """Return what the system said when a write failed; torch wraps it in errors of its own.

    `handled` is what was being handled already when the write began.
    """
    of_torch = None
    while error is not handled and isinstance(error, Exception):
        if isinstance(error, OSError):
            return error
        if _TORCHS in str(error):
            of_torch = OSError("torch could not write all of a file")
        error = error.__cause__ or error.__context__
    return of_torch


def _failure(path: Path, error: OSError, checkpoint: object) -> RunError:
    message = f"the checkpoint {str(path)!r} cannot be written: {error.strerror or error}"
    if error.errno not in (*LIMITS, errno.ENOSPC, None):
        return RunError(message, value=str(path))
    size, limit = None if checkpoint is None else _size(checkpoint), LIMITS.get(error.errno or 0)
    sizes = [] if size is None else [f"it needs {_bytes(size)}"]
    if limit is None:
        sizes.append(f"{_bytes(_free(path.parent))} are free")
    told = f" ({', '.join(sizes)})" if sizes else ""
    return RunError(
        f"{message}{told}; earlier checkpoints are whole",
        value=str(path),
        suggestion=f"{limit or 'make room'}, and go on with --resume",
    )


def _free(folder: Path) -> int:
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _size(checkpoint: object) -> int | None:
    """Return how many bytes a checkpoint takes, by writing it nowhere; None where it cannot be written at all."""
    counter = _Counter()
    with suppress(Exception):
        torch.save(checkpoint, cast("Any", counter))
        return counter.size
    return None


class _Counter:
    """A file that keeps nothing of what is written to it but its size."""

    def __init__(self) -> None:
        self.size = 0

    def write(self, content: bytes) -> int:
        written = memoryview(content).nbytes
        self.size += written
        return written

    def flush(self) -> None:
        pass


def _bytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 1e6 else f"{size / 1e3:,.1f} kB"
