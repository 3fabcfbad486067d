"""What an error says of a rank: its own failure, or just the echo of another one's."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from torch import distributed
from torch.multiprocessing.spawn import ProcessRaisedException

from lighter.raised import ExitError, of_trace, what
from lighter.runs.record.ending import is_interruption

NO_ANSWER = "no answer from another rank"
IN_TIME = "within the timeout of the strategy"
STOPPED = {130: 130, 143: 143, -signal.SIGINT: 130, -signal.SIGTERM: 143}  # what to end with after a rank that ended so
DIED = "has ended without a word, as what its node or job has printed may tell"

_ECHO = re.compile(r"gloo|NCCL|TCPStore|recvValue|Application timeout")
_GONE = re.compile(r"Connection (closed|reset) by peer|Broken pipe|Connection was likely closed|remote process exited")
_ABSENT = re.compile(r"waiting for clients. (\d+)/(\d+) clients joined")
_NO_STORE = re.compile(r"client socket has timed out .*while trying to connect")
_WAITED = re.compile(r"Timed out waiting|Application timeout")


def is_echo(error: Exception) -> bool:
    """Tell whether an error is of the connection to the other ranks, and so may come from one of them."""
    return isinstance(error, distributed.DistError) or (type(error) is RuntimeError and bool(_ECHO.search(str(error))))


def lost(error: Exception) -> str | None:
    """Say of such an error that another rank is gone, has not come, or does not answer; None if it says otherwise."""
    if found := _ABSENT.search(str(error)):
        return f"only {found[1]} of {found[2]} ranks came {IN_TIME}"
    if _NO_STORE.search(str(error)):
        return f"the first rank did not come {IN_TIME}"
    if _WAITED.search(str(error)):
        return f"{NO_ANSWER} {IN_TIME}: it hangs, or has fewer batches, or more"
    if _GONE.search(str(error)):
        return f"another rank {DIED}"
    return None


def ended(status: int) -> str:
    """Say how a process ended, by its status."""
    return f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


def of_process(error: ProcessRaisedException) -> str:
    """Return how a forked rank failed, and where in the user's code, out of its traceback."""
    trace = str(error)
    text, frame = of_trace(trace)
    if re.search(r"^lighter\.errors\.RankError: ", trace, re.MULTILINE):
        return text
    return f"rank {error.error_index} failed: {text}" + (f"\n  {frame}" if frame else "")


@contextmanager
def exits_fail() -> Iterator[None]:
    """Let it be a failure if the user's code asks for the end of the process, and no signal does.

    Raises:
        ExitError: it has asked for it.
    """
    try:
        yield
    except SystemExit as error:
        if is_interruption(error):
            raise
        raise ExitError(what(error)) from error
