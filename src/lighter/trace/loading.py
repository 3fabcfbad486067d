"""What failed while a batch was loaded, and what it received."""

from __future__ import annotations

import linecache
import traceback
from types import FrameType

from lighter.adapters import name_of
from lighter.exact.dataset import SeededDataset
from lighter.trace.values import Row, rows_of
from lighter.trace.way import Section

FETCHERS = "pytorch_lightning.loops.fetchers"  # what asks a dataloader for a batch
EXACT_FETCH = SeededDataset.__module__  # the same, of an exact run
TORCH_FETCH = "torch.utils.data._utils.fetch"  # what asks a dataset for its samples, and the collate function


def loading_failure(error: BaseException) -> Section | None:
    """Return who failed to load a batch, with what it received; None if the error came from elsewhere."""
    frames = list(traceback.walk_tb(error.__traceback__))
    if not any(_module(frame) == FETCHERS for frame, _ in frames):
        return None
    if "Original Traceback (most recent call last):" in str(error):
        told = Row("?", range="in a worker process: num_workers=0 shows it")
        return Section("dataloader", [], [told], failed=True)
    fetching = [(frame, line) for frame, line in frames if _module(frame) == TORCH_FETCH]
    if not fetching:
        return Section("dataloader", [], [], failed=True)
    frame, line = next((frame, line) for frame, line in fetching if "self" in frame.f_locals)
    fetcher = frame.f_locals["self"]
    if "collate_fn" in linecache.getline(frame.f_code.co_filename, line):
        name, rows = name_of(fetcher.collate_fn), rows_of("samples", frame.f_locals.get("data"))
        return Section("collate function", [name], rows, failed=True)
    own = [frame for frame, _ in frames if _module(frame) == EXACT_FETCH]
    dataset = fetcher.dataset.dataset if own else fetcher.dataset
    return Section("dataset", [name_of(dataset)], _index(own or [frame for frame, _ in fetching]), failed=True)


def _index(frames: list[FrameType]) -> list[Row]:
    """Return the row of the index that a dataset was given; none of an iterable one."""
    for name in ("idx", "index", "indices", "possibly_batched_index"):
        for frame in frames:
            if name in frame.f_locals and not hasattr(frame.f_locals.get("self"), "dataset_iter"):
                return rows_of("index", frame.f_locals[name])
    return []


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__"))
