"""What is said, once and in one way, where a run cannot be exact."""

from __future__ import annotations

from pytorch_lightning.utilities import rank_zero_warn

IS_ITERABLE = (
    "{name} is an iterable dataset. A resumed run reads it again from the start of the epoch, and is the same only if "
    "it yields the same again; another num_workers may change what it yields."
)
LOADS_IN_ITS_WAY = "{name} loads in a way of its own, which `seed` does not cover."
STARTS_AGAIN = LOADS_IN_ITS_WAY + " A resumed run starts at its first batch again."
HAS_HIDDEN_RANDOMNESS = (
    "{name} loads other samples from the same seed. Draw from the global generators of torch, numpy or random, or from "
    "one that the dataset has when its loader is made."
)
ENDS_BATCHES = (
    "Lightning calls {name}'s on_train_batch_end or on_validation_end after it saves the checkpoints of that time, so "
    "what it changes is not in them. It is better changed in a callback."
)
FREEZES_AGAIN = "{name} freezes again what it has thawed when a run is resumed. lighter.callbacks.Freezer does not."


def warn(reason: str, owner: object) -> None:
    rank_zero_warn(f"This run may not be repeated or resumed exactly: {reason.format(name=type(owner).__name__)}")
