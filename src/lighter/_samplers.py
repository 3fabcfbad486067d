"""What samplers draw from, and when."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

DRAW_ALL_AT_ONCE = ("torch.", "lightning_fabric.", "pytorch_lightning.", "lighter.")  # or from a generator of their own


def samplers(part: Any) -> Iterator[Any]:
    """Yield a sampler and those that it draws from, also behind what Lightning puts around it for several ranks."""
    while part is not None:
        yield part
        part = getattr(part, "sampler", None) or getattr(getattr(part, "dataset", None), "_sampler", None)


def draws_at_once(sampler: Any) -> bool:
    """Tell whether a sampler needs the global generators only when it is first asked."""
    return all(type(part).__module__.startswith(DRAW_ALL_AT_ONCE) for part in samplers(sampler))
