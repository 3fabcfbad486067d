"""Kill runs at random, resume them, and compare how they end: exact_soak.py [KILLS] [OVERRIDE...].

Each variant of the loaders has one run that is left alone, and then others that are killed until they are done: in half
of the cases at a random hook (a step, a batch of validation, a checkpoint, the end of an epoch) or after the
checkpoints of one, in the other half by the clock, by SIGKILL or SIGTERM. Every process is the real command on a real
config. Compared are the weights, the last metrics and all that was logged: `epochs.csv` and `metrics.csv`.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
import time
from itertools import cycle
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import lighter.runner  # noqa: F401 - for the processes that are forked from this one
from exact.kill import NEVER, VARIANTS, differing, final, fork, wait

HOOKS, SAVING_HOOKS = 110, 50  # of a run, about
ENDS = (0, 128 + signal.SIGTERM, -signal.SIGTERM, -signal.SIGKILL)  # the status of a process


def main(kills: int, overrides: list[str]) -> None:
    root, begin = Path(tempfile.mkdtemp(prefix="exact-soak-")), time.perf_counter()
    wholes = {variant: whole(root / "whole" / variant, [*VARIANTS[variant], *overrides]) for variant in VARIANTS}
    done = 0
    for number, variant in enumerate(cycle(VARIANTS)):
        if done >= kills:
            break
        folder, (seconds, expected) = root / f"run{number}", wholes[variant]
        places = killed(folder, [*VARIANTS[variant], *overrides], seconds)
        different = differing(expected, final(folder))
        done += len(places)
        print(f"{variant}: killed {', '.join(places) or 'never'}: {different or 'exact'}", flush=True)
        if different:
            raise SystemExit(f"see {folder}")
    print(f"{done} kills in {number} runs, all exact, in {time.perf_counter() - begin:.0f} s")


def whole(folder: Path, overrides: list[str]) -> tuple[float, dict[str, Any]]:
    folder.mkdir(parents=True)
    begin = time.perf_counter()
    assert wait(fork(folder, *overrides)) == 0, (folder / "log.txt").read_text()
    return time.perf_counter() - begin, final(folder)


def killed(folder: Path, overrides: list[str], seconds: float) -> list[str]:
    """Run until it is done, and return where it was killed."""
    places = []
    while not (folder / "final.pt").exists():
        how = random.choice(("SIGKILL", "SIGTERM", "at", "after"))
        at, after, delay = random.randrange(HOOKS), random.randrange(SAVING_HOOKS), random.uniform(0.2, 1.0) * seconds
        place = {"at": f"at hook {at}", "after": f"after hook {after}"}.get(how, f"by {how} after {delay:.2f} s")
        process = fork(
            folder,
            *overrides,
            kill_at=at if how == "at" else NEVER,
            kill_after=after if how == "after" else NEVER,
        )
        if how in signal.Signals.__members__:
            time.sleep(delay)
            os.killpg(process, signal.Signals[how])
        status = wait(process)
        assert status in ENDS, (folder / "log.txt").read_text()[-3000:]
        if status:
            places.append(place)
    return places


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 30, sys.argv[2:])
