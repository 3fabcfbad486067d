"""What all tests share: threads that leave the cores to the others, and an environment of their own."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def _own_environment() -> Iterator[None]:
    """Take back what launchers leave in the environment, which would pass for that of the next test."""
    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)
