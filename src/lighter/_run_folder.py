"""What is in the folder of a run, and what its checkpoints tell of it, by name."""

CONFIG = "config.yaml"
RECORD = "run.json"
EPOCHS = "epochs.csv"
PATCH = "uncommitted.patch"
LOCK = ".lock"
CHECKPOINTS = "checkpoints"  # as Lightning calls the folder

INTERRUPTION = "interrupted-"  # what the name of a checkpoint begins with that a signal led to
KEY = "lighter"  # of the mapping in a checkpoint that tells of its run
