"""How a run ended, as its record says it."""

from __future__ import annotations

from pytorch_lightning.utilities.exceptions import SIGTERMException

from lighter.errors import LighterError, shorten
from lighter.raised import what
from lighter.runs.record.run_file import Status
from lighter.runs.record.secrets import Secrets
from lighter.runs.resume.signals import INTERRUPTED

LONGEST = 4000  # characters of an error's text


def ending_of(error: BaseException | None, secrets: Secrets) -> tuple[Status, str | None]:
    """Return the status of a run that ended so, and the text of what ended it."""
    if error is None:
        return "completed", None
    if isinstance(error, SIGTERMException):
        return "interrupted", None if error.code == INTERRUPTED else "SIGTERM"
    if is_interruption(error):
        return "interrupted", None
    return "failed", shorten(secrets.hide_named(what(error)), LONGEST)


def is_interruption(error: BaseException) -> bool:
    """Tell whether it is the answer to a signal; of Ctrl-C Lightning makes a SystemExit."""
    return isinstance(error, SIGTERMException) or KeyboardInterrupt in (type(error), type(error.__context__))


def tells_more(error: BaseException | None, status: Status) -> bool:
    """Tell whether what ended a stage says more of it than the status that its record has by then."""
    if isinstance(error, SIGTERMException) and status == "failed":  # of what the signal broke
        return True
    if error is None or isinstance(error, SystemExit):
        return status == "running"
    return status in ("running", "completed") or isinstance(error, LighterError)
