"""What any rank wants, known to all ranks at the same call, without a wait for it."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, distributed


class Vote:
    """Ballots on the CPU, over connections of their own: neither a GPU nor what is reduced on it waits for them.

    A ballot is a number, and the highest one counts. Each rank must call the same methods in the same order.
    """

    def __init__(self, trainer: pl.Trainer) -> None:
        timeout = getattr(trainer.strategy, "_timeout", None)
        self._group: Any = distributed.new_group(backend="gloo", timeout=timeout)
        self._ballot: Tensor | None = None
        self._under_way: distributed.Work | None = None

    def cast(self, number: int) -> int:
        """Cast a ballot, and return the result of the one before."""
        result = self._result()
        self._ballot = torch.tensor(number, device="cpu")
        self._under_way = distributed.all_reduce(
            self._ballot, distributed.ReduceOp.MAX, group=self._group, async_op=True
        )
        return result

    def settle(self, number: int) -> int:
        """Return the result of the ballot before, and if that is none, of one more, waiting for it."""
        return self._result() or self.cast(number) or self._result()

    def close(self) -> None:
        self._result()
        distributed.destroy_process_group(self._group)

    def _result(self) -> int:
        """Return the result of the ballot that is under way, and 0 if there is none."""
        if self._ballot is None or self._under_way is None:
            return 0
        self._under_way.wait()
        result, self._ballot, self._under_way = int(self._ballot), None, None
        return result
