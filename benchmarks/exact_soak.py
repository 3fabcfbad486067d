"""Kill a run at random steps, resume it, and compare how it ends: exact_soak.py [KILLS] [OVERRIDE...]."""

from __future__ import annotations

import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from exact.kill import STEPS, differing, final, start

WORKERS = "system::dataloaders::{mode}::num_workers={number}"


def main(kills: int, overrides: list[str]) -> None:
    """Run whole once, then again and again with a kill or more in each run, until there were enough."""
    root = Path(tempfile.mkdtemp(prefix="exact-soak-"))
    begin = time.perf_counter()
    assert start(root / "whole", *overrides).wait() == 0, (root / "whole" / "log.txt").read_text()
    whole, done, runs = final(root / "whole"), 0, 0
    while done < kills:
        folder, places = root / f"run{runs}", []
        while not (folder / "final.pt").exists():
            number = random.choice([0, 0, 1, 2])
            workers = [WORKERS.format(mode=mode, number=number) for mode in ("train", "val")]
            kill_at = random.randrange(STEPS // 2)
            status = start(folder, *workers, *overrides, kill_at=kill_at).wait()
            assert status in (0, -9), (folder / "log.txt").read_text()[-3000:]
            if status == -9:
                places.append(kill_at)
        done, runs = done + len(places), runs + 1
        different = differing(whole, final(folder))
        print(
            f"run {runs}: killed after {places} batches: {'DIFFERENT ' + str(different) if different else 'exact'}",
            flush=True,
        )
        if different:
            raise SystemExit(f"see {folder}")
    print(f"{done} kills in {runs} runs, all exact, in {time.perf_counter() - begin:.0f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20, sys.argv[2:])
