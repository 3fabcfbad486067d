"""A System of a project's own."""

from __future__ import annotations

from typing import Any

from lighter import System


class Mixing(System):
    """Mix the samples of a batch."""

    def __init__(self, *args: Any, alpha: float = 0.4, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.alpha = alpha
