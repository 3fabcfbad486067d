"""What all tests share: as many threads to a process as leave the cores to the others."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
