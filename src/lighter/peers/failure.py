"""What an error says of a rank: its own failure, or just the echo of another one's."""

from __future__ import annotations

import pickle
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import walk_tb

from torch import distributed
from torch.multiprocessing.spawn import ProcessContext, ProcessRaisedException

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
_OF_ANOTHER = re.compile(r"^lighter\.errors\.RankError: ", re.MULTILINE)
_RANK = re.compile(r"rank (\d+) ")


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


def rank_of(sentence: str) -> int | None:
    """Return the rank of which a sentence tells."""
    found = _RANK.match(sentence)
    return int(found[1]) if found else None


def ended(status: int) -> str:
    """Say how a process ended, by its status."""
    return f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


def of_process(error: ProcessRaisedException, first: int) -> str:
    """Return how a forked rank failed, and where in the user's code, out of its traceback.

    Of one that fell with another it is the other's failure: chance decides of which of them torch hears. `first` is the
    rank of the first of these processes.
    """
    rank, trace = first + error.error_index, str(error)
    text, frame = of_trace(trace)
    if not _OF_ANOTHER.search(trace):
        return _told(f"rank {rank} failed: {text}", frame)
    other, context = rank_of(text), _context(error)
    index = -1 if other is None else other - first
    if context is None or not 0 <= index < len(context.processes):
        return text
    if DIED in text:
        status = context.processes[index].exitcode
        return f"rank {other} {ended(status)}" if status else text
    return _told(text, _frame_in(Path(context.error_files[index])))


def _told(text: str, frame: str | None) -> str:
    return text + (f"\n  {frame}" if frame else "")


def _context(error: ProcessRaisedException) -> ProcessContext | None:
    """Return what torch keeps of all the processes, which it does not hand out."""
    owners = (frame.f_locals.get("self") for frame, _ in walk_tb(error.__traceback__))
    return next((owner for owner in owners if isinstance(owner, ProcessContext)), None)


def _frame_in(file: Path) -> str | None:
    """Return where in the user's code a rank failed, of the traceback that it has left."""
    try:
        return of_trace(pickle.loads(file.read_bytes()))[1]
    except (OSError, EOFError, pickle.UnpicklingError):  # it was ended before it had written it
        return None


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
