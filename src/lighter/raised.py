"""What an exception says: what went wrong, in a line, and where in the user's code that was."""

from __future__ import annotations

import re

from lighter.errors import LighterError, is_library, own_frame

_FRAME = re.compile(r'^  File "(.+)", line (\d+), in (.+)\n(?:    (\S.*)\n)?', re.MULTILINE)
_FRAMES = re.compile(r"^(?:  File .*\n|    .*\n)+", re.MULTILINE)
_OF_WORKER = "Original Traceback (most recent call last):\n"  # before what a process that loads data sends: a text


class ExitError(Exception):
    """The end of the process, which the user's code has asked for; the cause is chained."""


def what(error: BaseException) -> str:
    """Return what went wrong, without names of this package's own."""
    trace = _trace(error)
    if trace:
        return of_trace(trace)[0]
    text = _text(error)
    if isinstance(error, LighterError | ExitError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def where(error: BaseException) -> str | None:
    """Return where in the user's code it was: `at FILE:LINE in NAME: CODE`, or None."""
    if isinstance(error, ExitError) and error.__cause__:
        return own_frame(error.__cause__)
    trace = _trace(error)
    return of_trace(trace)[1] if trace else own_frame(error)


def of_trace(trace: str) -> tuple[str, str | None]:
    """Return both out of a traceback that came as text from another process."""
    text = re.sub(r"^lighter\.\w+\.\w+: ", "", _FRAMES.split(trace)[-1].strip())
    own = [frame for frame in _FRAME.findall(trace) if not is_library(frame[0])]
    return text, "at {}:{} in {}: {}".format(*own[-1]) if own else None


def _trace(error: BaseException) -> str:
    return _text(error).partition(_OF_WORKER)[2]


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # of the user's own class
        return "(its text cannot be shown)"
