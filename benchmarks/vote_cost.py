"""Measure what it costs that all ranks stop at one step, in microseconds of wall time a step.

    python benchmarks/vote_cost.py [--steps 2000] [--ranks 2] [--work 2000]

Between two votes each rank waits for `work` microseconds, as for a GPU. The vote of `lighter` is waited for a step
later; the other is a plain all-reduce, waited for at once. On a GPU that one would also wait for all kernels before it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import torch
from torch import distributed

from lighter.runs.resume.vote import Vote


def at_once(number: int) -> int:
    ballot = torch.tensor(number)
    distributed.all_reduce(ballot, distributed.ReduceOp.MAX)
    return int(ballot)


def time_votes(vote: Callable[[int], int], steps: int, work: int) -> float:
    """Return the microseconds of a vote: the first quartile, as other processes of the machine take the rest longer."""
    taken = []
    for _ in range(steps):
        time.sleep(work * 1e-6)
        began = time.perf_counter()
        vote(0)
        taken.append((time.perf_counter() - began) * 1e6)
    return statistics.quantiles(taken)[0]


def measure(rank: int, ranks: int, steps: int, work: int, file: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=ranks)
    for _ in range(3):
        vote = Vote(cast(Any, SimpleNamespace(strategy=None)))
        later = time_votes(vote.cast, steps, work)
        vote.close()
        now = time_votes(at_once, steps, work)
        if rank == 0:
            print(f"a step later {later:7.1f} us   at once {now:7.1f} us", flush=True)
    distributed.destroy_process_group()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--work", type=int, default=2000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        given = (options.ranks, options.steps, options.work, str(Path(folder, "meeting")))
        start = multiprocessing.get_context("fork").Process
        processes = [start(target=measure, args=(rank, *given)) for rank in range(options.ranks)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()


if __name__ == "__main__":
    main()
