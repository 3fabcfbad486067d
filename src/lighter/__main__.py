"""Let `python -m lighter` (and `torchrun -m lighter`) be the command line."""

from lighter.cli import entry

if __name__ == "__main__":
    entry()
