"""Axes: from values to places between 0 and 1, and where their round ticks stand."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

ROOM = 0.04  # of the height, above and below the curves
TICKS = 6  # at most, roughly
ROUND = (1, 2, 5, 10)
TINY = 1e-280  # what is less counts as nothing: there are hardly floats between such


@dataclass(frozen=True)
class Scale:
    """An axis from `low` to `high`, in powers where it is `log`."""

    low: float
    high: float
    log: bool = False

    def place(self, value: float) -> float:
        """Return where a value stands, between 0 and 1."""
        move = math.log10 if self.log else float
        low, high = move(self.low), move(self.high)
        return (move(value) - low) / (high - low)

    def ticks(self, *, whole: bool = False) -> list[float]:
        """Return round values on the axis."""
        if self.log and self.high / self.low >= 8:
            return _log_ticks(self.low, self.high)
        return _ticks(self.low, self.high, least=1.0 if whole else 0.0)


def linear(values: Iterable[float]) -> Scale | None:
    """Return an axis with room around all finite values; None if there are none."""
    found = [value for value in values if math.isfinite(value)]
    return _with_room(min(found), max(found), log=False) if found else None


def logarithmic(values: Iterable[float]) -> Scale | None:
    """Return an axis of powers around all finite values above 0; None if there are none."""
    found = [value for value in values if math.isfinite(value) and value > 0]
    return _with_room(min(found), max(found), log=True) if found else None


def tick_text(tick: float) -> str:
    """Return a tick as text."""
    return re.sub(r"e([-+])0*", lambda sign: "e" + sign[1].strip("+"), f"{tick:.10g}")


def _with_room(low: float, high: float, *, log: bool) -> Scale:
    move: Callable[[float], float] = math.log10 if log else float
    back: Callable[[float], float] = (lambda value: 10.0**value) if log else float
    bottom, top = move(low), move(high)
    span = top - bottom
    if span <= 1e-12 * max(abs(bottom), abs(top), TINY):  # one value
        span = 1.0 if log or abs(bottom) < TINY else abs(bottom)
        bottom, top = bottom - span / 2, top + span / 2
        return Scale(back(bottom), back(top), log)
    return Scale(back(bottom - ROOM * span), back(top + ROOM * span), log)


def _ticks(low: float, high: float, least: float) -> list[float]:
    rough = (high - low) / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = max(next(factor * power for factor in ROUND if factor * power >= rough * 0.999), least)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(index * step, 12 - math.floor(math.log10(step))) + 0.0 for index in range(first, last + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    if len(powers) - 1 <= 3:
        found = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    else:
        found = [10.0**power for power in powers[:: math.ceil(len(powers) / TICKS)]]
    return [value for value in found if low <= value <= high]
