"""Train deep-learning models from a YAML file, on PyTorch Lightning."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lighter.runner import Runner
    from lighter.system import System

__all__ = ["Runner", "System", "__version__"]


def __getattr__(name: str) -> Any:
    """Import `System`, `Runner` and `__version__` on first use, so that `import lighter` stays free of torch."""
    if name == "__version__":
        from importlib.metadata import version

        return version("lighter")
    if name in ("Runner", "System"):
        return getattr(import_module(f"lighter.{name.lower()}"), name)
    raise AttributeError(f"module 'lighter' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, *globals()]
