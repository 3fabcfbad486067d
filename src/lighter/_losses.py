"""What a criterion returns, by name, and its means over an epoch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from pytorch_lightning import Trainer
from torch import Tensor

from lighter.adapters import describe, name_of
from lighter.errors import ConfigError


@dataclass
class Losses:
    """Sample-weighted sums of the losses, kept on their device so that a step never waits for it."""

    sums: dict[str, Tensor] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, losses: Mapping[str, Tensor], samples: int) -> None:
        for name, loss in losses.items():
            if name not in self.sums:
                dtype = torch.float32 if loss.device.type == "mps" else torch.float64
                self.sums[name] = torch.zeros((), dtype=dtype, device=loss.device)
            self.sums[name].add_(loss.to(self.sums[name].device), alpha=samples)
            self.counts[name] += samples

    def state_dict(self) -> dict[str, Any]:
        return {"sums": {name: total.clone() for name, total in self.sums.items()}, "counts": dict(self.counts)}

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        self.sums = {name: total.to(device) for name, total in state["sums"].items()}
        self.counts = Counter(state["counts"])

    def means(self, trainer: Trainer) -> dict[str, Tensor]:
        """Return the means over the samples of all ranks; the names are those of any rank, in one order on all."""
        names = _on_any_rank(trainer, sorted(self.sums))
        if not names:
            return {}
        device = trainer.strategy.root_device
        dtype = torch.float32 if device.type == "mps" else torch.float64
        zero = torch.zeros((), dtype=dtype, device=device)
        sums = torch.stack([self.sums.get(name, zero).to(device) for name in names])
        counts = torch.tensor([self.counts[name] for name in names], dtype=dtype, device=device)
        sums, counts = trainer.strategy.reduce(torch.stack([sums, counts]), reduce_op="sum")
        return dict(zip(names, (sums / counts).float(), strict=True))


def _on_any_rank(trainer: Trainer, names: list[str]) -> list[str]:
    if trainer.world_size == 1:
        return names
    everyones: list[list[str]] = [[]] * trainer.world_size
    torch.distributed.all_gather_object(everyones, names)
    return sorted({name for ranks in everyones for name in ranks})


def named_losses(criterion: Callable[..., Any], made: Any) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the loss to minimise, and all that the criterion made by name, detached; its only loss has the name ''."""
    losses = {"": made} if isinstance(made, Tensor) else made
    if not isinstance(losses, Mapping) or not ("" in losses or "total" in losses):
        raise ConfigError(
            f"{name_of(criterion)} returned {describe(made)}; it must return a tensor, or a dict with 'total'"
        )
    losses = {name: _scalar(criterion, loss) for name, loss in losses.items()}
    loss = losses[""] if "" in losses else losses["total"]
    return loss, {name: value.detach() for name, value in losses.items()}


def loss_name(mode: str, name: str) -> str:
    return f"{mode}/loss/{name}" if name else f"{mode}/loss"


def count_samples(*values: Any) -> int:
    """Return the batch size that the first telling value shows.

    That is the first dimension of a tensor, also of one in a mapping; else the length of a list or tuple of samples.
    A tuple of tensors of one length holds several inputs instead, of that many samples.
    """
    for value in values:
        if isinstance(value, Tensor) and value.ndim:
            return len(value)
    parts = [part for value in values for part in (value.values() if isinstance(value, Mapping) else [value])]
    for part in parts:
        if isinstance(part, Tensor) and part.ndim:
            return len(part)
    sequences = [part for part in parts if isinstance(part, list | tuple) and part]
    for sequence in sequences:
        if not _is_parallel(sequence):
            return len(sequence)
    for sequence in sequences:
        return len(sequence[0]) if isinstance(sequence, tuple) else len(sequence)
    return 1


def _is_parallel(sequence: Sequence[Any]) -> bool:
    lengths = {len(item) if isinstance(item, Tensor) and item.ndim else None for item in sequence}
    return len(lengths) == 1 and None not in lengths


def _scalar(criterion: Callable[..., Any], loss: Any) -> Tensor:
    tensor = loss if isinstance(loss, Tensor) else torch.as_tensor(loss)
    if tensor.ndim == 0:
        return tensor
    if tensor.numel() == 1:
        return tensor.reshape(())
    raise ConfigError(
        f"{name_of(criterion)} returned {describe(loss)}, and a loss must be one number",
        suggestion="reduce it, for example with reduction='mean'",
    )
