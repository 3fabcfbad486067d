"""The longest time that a job may take, as SLURM writes it."""

from __future__ import annotations

import re

from lighter.errors import UsageError

FORMS = "minutes, minutes:seconds, hours:minutes:seconds, days-hours, days-hours:minutes or days-hours:minutes:seconds"

_TIME = re.compile(r"(?:(?P<days>\d{1,4})-)?(?P<rest>\d{1,7}(?::\d{1,7}){0,2})", re.ASCII)
_NO_LIMIT = ("unlimited", "infinite")


def seconds_of(text: str) -> int | None:
    """Return a time in seconds; None where it has no limit.

    Raises:
        UsageError: it is not a time, or none at all.
    """
    if text.lower() in _NO_LIMIT:
        return None
    match = _TIME.fullmatch(text)
    if match is None:
        raise UsageError(f"{text!r} is not a time of SLURM's", value=text, suggestion=f"it is {FORMS}")
    numbers = list(map(int, match["rest"].split(":")))
    if match["days"] is not None:
        hours, minutes, seconds = [*numbers, 0, 0][:3]
    else:
        hours, minutes, seconds = {1: [0, *numbers, 0], 2: [0, *numbers], 3: numbers}[len(numbers)]
    total = ((int(match["days"] or 0) * 24 + hours) * 60 + minutes) * 60 + seconds
    if not total:
        raise UsageError(f"--time {text} is no time to run in", value=text, suggestion=f"it is {FORMS}")
    return total


def shown(seconds: int | None) -> str:
    """Return a time as SLURM shows it, in which `1:30` for a minute and a half stands out."""
    if seconds is None:
        return "unlimited time"
    days, rest = divmod(seconds, 24 * 3600)
    clock = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days}-{clock}" if days else clock
