"""Which process a run is, and whether it is still alive."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """A process on a host; `began` tells it from a later one of the same number, where the host has /proc."""

    host: str
    pid: int
    began: str | None = None


def this_process() -> Process:
    return Process(socket.gethostname(), os.getpid(), began(os.getpid()))


def is_alive(process: Process) -> bool | None:
    """Tell whether a process lives; None where that cannot be told from this host."""
    if process.host != socket.gethostname() or os.name == "nt":  # Windows knows no signal that only asks
        return None
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it is another user's
    return process.began is None or began(process.pid) == process.began


def began(pid: int) -> str | None:
    """Return when a process began, as the boot of the host and the clock ticks since; None of a dead one."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else f"{boot}:{int(fields[19])}"
