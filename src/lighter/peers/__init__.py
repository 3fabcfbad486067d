"""The other ranks of a run, as far as one has to know of them."""

from lighter.peers.watch import Peers
from lighter.peers.world import refuse_other_world

__all__ = ["Peers", "refuse_other_world"]
