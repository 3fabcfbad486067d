"""What the writers share: a batch of predictions, taken apart into samples that know their place in the dataset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import BasePredictionWriter
from pytorch_lightning.utilities import CombinedLoader

from lighter._distributed import weight_of, weights_of
from lighter._ranks import part_of_data, repeats_data
from lighter.errors import ConfigError


@dataclass(frozen=True)
class Batch:
    """One batch's predictions, still batched, with an identifier and a position in the dataset for each sample."""

    identifiers: Sequence[str | int]
    positions: Sequence[int]
    pred: object
    identified: bool  # by the module, not by position
    dataloader_idx: int


class SampleWriter(BasePredictionWriter):
    """Hand on what `predict_step` returns, a batch at a time, and keep nothing of it."""

    def __init__(self, path: str | Path, overwrite: bool) -> None:
        super().__init__(write_interval="batch")
        self.path = Path(path)
        self.overwrite = overwrite
        self._counts: Counter[int] = Counter()

    def prepare(self, trainer: Trainer) -> None:
        """Refuse what cannot be written; called on every rank before any rank writes."""
        raise NotImplementedError

    def write(self, trainer: Trainer, batch: Batch) -> None:
        """Write one batch."""
        raise NotImplementedError

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        if stage == "predict":
            self._counts.clear()
            self.prepare(trainer)

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,  # noqa: ARG002
        prediction: Any,
        batch_indices: Sequence[int] | None,
        batch: Any,  # noqa: ARG002
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        if self._is_written_elsewhere(trainer, batch_idx, dataloader_idx):
            return
        given, pred = _split_output(prediction)
        if pred is None:
            raise ConfigError(f"{type(self).__name__}: predict_step returned no prediction")
        known = _release_indices(trainer, batch_idx, dataloader_idx) and _integers(batch_indices or ())
        size = len(given or known or ()) or batch_size(pred)
        if known:
            # More or fewer outputs than samples is fine if they have identifiers: the positions then only order them.
            positions = (known + known[-1:] * (size - len(known)))[:size]
        else:
            positions = self._count(trainer, dataloader_idx, size)
        if size:
            self.write(trainer, Batch(given or positions, positions, pred, given is not None, dataloader_idx))

    def _is_written_elsewhere(self, trainer: Trainer, batch_idx: int, dataloader_idx: int) -> bool:
        return repeats_data(trainer) or weight_of(weights_of(trainer), batch_idx, dataloader_idx) == 0

    def _count(self, trainer: Trainer, dataloader_idx: int, size: int) -> list[int]:
        """Return positions for samples of unknown ones: the ranks' running counts, interleaved."""
        start = self._counts[dataloader_idx]
        self._counts[dataloader_idx] += size
        part, parts = part_of_data(trainer)
        return [index * parts + part for index in range(start, start + size)]


def several_dataloaders(trainer: Trainer) -> bool:
    """Tell whether this predict run has more than one dataloader; known once it has started."""
    return len(trainer.num_predict_batches) > 1


def map_arrays(function: Callable[[torch.Tensor], Any], pred: Any) -> Any:
    """Apply a function to each tensor or array of a nested prediction."""
    if isinstance(pred, torch.Tensor):
        return function(pred)
    if isinstance(pred, np.ndarray):
        return function(torch.from_numpy(pred)) if pred.dtype.kind in "biufc" else pred.tolist()
    if isinstance(pred, Mapping):
        return {key: map_arrays(function, value) for key, value in pred.items()}
    if isinstance(pred, tuple):
        return tuple(map_arrays(function, value) for value in pred)
    if isinstance(pred, list):
        return [map_arrays(function, value) for value in pred]
    return pred


def to_cpu(pred: Any) -> Any:
    """Return a nested prediction with its tensors on the CPU and its arrays as tensors."""
    return map_arrays(lambda tensor: tensor.detach().cpu(), pred)


def unbatch(pred: Any, size: int) -> list[Any]:
    """Take a batched prediction apart into `size` samples.

    A tensor is split along its first dimension; a list holds one item a sample; a tuple or a dict holds several
    batched predictions, and each sample becomes a tuple or a dict. None within these stays None for each sample.

    Raises:
        ConfigError: some part has not `size` samples.
    """
    if isinstance(pred, Mapping) and pred:
        columns = [unbatch_or_none(value, size) for value in pred.values()]
        return [dict(zip(pred, sample, strict=True)) for sample in zip(*columns, strict=True)]
    if isinstance(pred, tuple) and pred:
        return list(zip(*(unbatch_or_none(value, size) for value in pred), strict=True))
    if isinstance(pred, torch.Tensor) and pred.ndim and len(pred) == size:
        return list(pred)
    if isinstance(pred, list) and len(pred) == size:
        return pred
    if size == 1 and (isinstance(pred, (int, float)) or getattr(pred, "ndim", None) == 0):
        return [pred]  # what a squeezed batch of one looks like
    raise ConfigError(
        f"cannot take {_describe(pred)} apart into {size} samples: a prediction is a tensor with a batch dimension, "
        "a list with one item a sample, or a tuple or dict of these",
    )


def unbatch_or_none(pred: Any, size: int) -> list[Any]:
    return [None] * size if pred is None else unbatch(pred, size)


def batch_size(pred: Any) -> int:
    """Return the number of samples in a batched prediction: the length of its first tensor or list."""
    if isinstance(pred, Mapping):
        pred = tuple(pred.values())
    if isinstance(pred, tuple):
        return next((batch_size(value) for value in pred if value is not None), 0)
    if isinstance(pred, (list, torch.Tensor, np.ndarray)):
        return len(pred) if getattr(pred, "ndim", 1) else 1
    raise ConfigError(f"cannot tell the number of samples in {_describe(pred)}")


def _split_output(prediction: Any) -> tuple[list[str | int] | None, Any]:
    """Return identifiers, where the output has them, and the prediction."""
    if not (isinstance(prediction, Mapping) and "pred" in prediction):
        return None, prediction
    identifiers = prediction.get("identifier")
    if identifiers is None:
        return None, prediction["pred"]
    identifiers = map_arrays(torch.Tensor.tolist, identifiers)
    if not isinstance(identifiers, (list, tuple)):
        identifiers = [identifiers]
    return [name if isinstance(name, (str, int)) else str(name) for name in identifiers], prediction["pred"]


def _release_indices(trainer: Trainer, batch_idx: int, dataloader_idx: int) -> bool:
    """Tell whether Lightning knows this batch's dataset positions, and free its own record of them.

    Lightning keeps every position until the run ends, reads each once, and has handed this batch's on by now. For a
    dataloader without a batch sampler it hands on stale ones, hence the question.
    """
    loader = CombinedLoader(trainer.predict_dataloaders).flattened[dataloader_idx]
    sampler = getattr(loader, "batch_sampler", None)
    seen: list[Sequence[int]] | None = getattr(sampler, "seen_batch_indices", None)
    if not seen:
        return False
    seen[batch_idx] = ()
    return True


def _integers(indices: Sequence[Any]) -> list[int]:
    """Return a sampler's indices, or none where it hands out keys of another kind."""
    return [int(index) for index in indices] if all(isinstance(index, Integral) for index in indices) else []


def _describe(pred: Any) -> str:
    if isinstance(pred, torch.Tensor):
        return f"a tensor of shape {tuple(pred.shape)}"
    return f"a {type(pred).__name__}" + (f" of {len(pred)}" if hasattr(pred, "__len__") else "")
