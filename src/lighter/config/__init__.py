"""The config language: text to one composed tree whose every value knows where it came from, and on to objects.

Nothing here imports torch.
"""

from lighter.config.compose import Config, compose
from lighter.config.dump import dump

__all__ = ["Config", "compose", "dump"]
