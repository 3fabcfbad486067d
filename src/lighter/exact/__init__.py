"""Make a run a function of its config and seed: repeated or resumed, with any number of workers, bit for bit."""

from lighter.exact.callback import Exact

__all__ = ["Exact"]
