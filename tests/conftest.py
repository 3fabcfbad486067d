"""What all tests share: threads that leave the cores to the others, and an environment of their own."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def _own_environment() -> Iterator[None]:
    """Take back what launchers leave in the environment, and projects among the modules, for the next test."""
    before, modules = dict(os.environ), set(sys.modules)
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)
    for name in set(sys.modules) - modules:
        if name.partition(".")[0] == "project":
            del sys.modules[name]
