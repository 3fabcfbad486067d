"""Write text files that are whole or not there at all, whenever the process dies."""

from __future__ import annotations

import os
import threading
from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """Write a file in place of the one that may be there."""
    written = _beside(path, text)
    try:
        written.replace(path)
    except OSError:
        written.unlink(missing_ok=True)
        raise


def keep_text(path: Path, text: str, number: int) -> None:
    """Keep the file that is there under a name with a number, if it holds another text."""
    before = path.read_text(encoding="utf-8", errors="surrogateescape") if path.exists() else text
    if before != text:
        write_text(path.with_name(f"{path.stem}.{number}{path.suffix}"), before)


def create_text(path: Path, text: str) -> None:
    """Write a file that is not there yet, as the only one of all who try at once.

    Raises:
        FileExistsError: it is there.
    """
    written = _beside(path, text)
    try:
        os.link(written, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links: claim the name first
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        written.replace(path)
    finally:
        written.unlink(missing_ok=True)


def _beside(path: Path, text: str) -> Path:
    beside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        beside.write_bytes(text.encode("utf-8", "surrogateescape"))
    except OSError:  # such as a full disk
        beside.unlink(missing_ok=True)
        raise
    return beside
