"""The values of each training epoch, told once: also those of an epoch that a checkpoint was saved at the end of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

Values = Mapping[str, Tensor]


class Epochs:
    """Tell the values that an epoch has logged from those that were there before it.

    `due` are the number and the step of an epoch that has ended and whose values are not written yet: some of them are
    logged only after it.
    """

    def __init__(self) -> None:
        self.due: tuple[int, int] | None = None
        self._seen: dict[str, Tensor] = {}
        self._seen_before: list[str] = []  # when the checkpoint was saved that a fit goes on from

    def take(self, values: Values) -> dict[str, float]:
        """Return the values that are new, of the epoch that was due."""
        new = {name: float(value) for name, value in values.items() if value is not self._seen.get(name)}
        self.due, self._seen = None, dict(values)
        return new

    def state(self, values: Values) -> dict[str, Any]:
        """Return what a checkpoint has to hold of this, as plain data."""
        seen = [name for name, value in values.items() if value is self._seen.get(name)]
        return {"epoch": self.due and [*self.due], "seen": seen}

    def load(self, state: Mapping[str, Any]) -> None:
        self._seen_before = state.get("seen", [])
        if state.get("epoch"):
            epoch, step = state["epoch"]
            self.due = epoch, step

    def pass_over(self, written: int) -> None:
        """Pass over the epoch that is due if it is not after the last one that is written."""
        if self.due is not None and self.due[0] <= written:
            self.due = None

    def go_on(self, values: Values) -> None:
        """Take the values that a resumed fit has restored."""
        self._seen |= {name: values[name] for name in self._seen_before if name in values}
