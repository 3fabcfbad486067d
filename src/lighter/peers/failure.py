"""What an error says of a rank: its own failure, or just the echo of another one's."""

from __future__ import annotations

import re
import signal

from torch import distributed
from torch.multiprocessing.spawn import ProcessRaisedException

from lighter.errors import is_library

NO_ANSWER = "no answer from another rank"
STOPPED = {130: 130, 143: 143, -signal.SIGINT: 130, -signal.SIGTERM: 143}  # what to end with after a rank that ended so
DIED = "has ended without a word, as what its node or job has printed may tell"

_ECHO = re.compile(r"gloo|NCCL|TCPStore|recvValue|Application timeout")
_GONE = re.compile(r"Connection (closed|reset) by peer|Broken pipe|Connection was likely closed|remote process exited")
_WAITED = re.compile(r"Timed out waiting|Application timeout")
_FRAMES = r"^(?:  File .*\n|    .*\n)+"


def is_echo(error: Exception) -> bool:
    """Tell whether an error is of the connection to the other ranks, and so may come from one of them."""
    return isinstance(error, distributed.DistError) or (type(error) is RuntimeError and bool(_ECHO.search(str(error))))


def lost(error: Exception) -> str | None:
    """Say of such an error that another rank is gone, or does not answer; None if it says something else."""
    if _WAITED.search(str(error)):
        return f"{NO_ANSWER} within the timeout of the strategy: it hangs, or has fewer batches, or more"
    if _GONE.search(str(error)):
        return f"another rank {DIED}"
    return None


def ended(status: int) -> str:
    """Say how a process ended, by its status."""
    return f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


def of_process(error: ProcessRaisedException) -> str:
    """Return how a forked rank failed, and where in the user's code, out of its traceback."""
    text = re.split(_FRAMES, str(error), flags=re.MULTILINE)[-1].strip()
    told = re.fullmatch(r"lighter\.errors\.RankError: (.*)", text, re.DOTALL)
    if told:
        return told[1]
    frames = re.findall(r'^  File "(.+)", line (\d+), in (.+)\n(?:    (\S.*)\n)?', str(error), re.MULTILINE)
    own = [f"\n  at {file}:{line} in {name}: {code}" for file, line, name, code in frames if not is_library(file)]
    return f"rank {error.error_index} failed: {text.removeprefix('lighter.errors.')}{(own or [''])[-1]}"
