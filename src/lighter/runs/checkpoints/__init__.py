"""The checkpoints of runs: which one is meant, and what is in it."""
