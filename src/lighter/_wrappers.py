"""What torch wraps modules in, which shows in the names of all that is in them."""

from __future__ import annotations

import re

WRAPPERS = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")  # torch.compile, FSDP, checkpointing
_IN_NAMES = re.compile(rf"\b(?:{'|'.join(WRAPPERS)})\.")


def own_name(name: str) -> str:
    """Return the name that a parameter or buffer has where nothing is wrapped."""
    return _IN_NAMES.sub("", name)
