"""Let `python -m lighter` (and `torchrun -m lighter`) be the command line."""

import sys

from lighter.cli import main

if __name__ == "__main__":
    sys.exit(main())
