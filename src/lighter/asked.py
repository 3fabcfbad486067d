"""What a config asks of its Trainer, as far as it says so in so many words."""

from __future__ import annotations

from dataclasses import dataclass

from lighter.config.compose import Config
from lighter.config.reference import MAX_HOPS, absolute, expand_what_can_be, follow
from lighter.config.tree import Node, Path, PathError, is_reference, split
from lighter.errors import ConfigError, Place

TRAINERS = ("pytorch_lightning.Trainer", "lightning.pytorch.Trainer")
ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")  # those whose `devices` are counted as here


@dataclass(frozen=True)
class Asked:
    """A config whose Trainer is Lightning's own; None is what it leaves to be found out, or to an expression."""

    root: Node
    devices: int | None
    nodes: int | None

    @property
    def world(self) -> int | None:
        """Return how many processes that makes."""
        return None if self.devices is None or self.nodes is None else self.devices * self.nodes

    def find(self, path: str) -> Node | None:
        """Return the node at a path, behind references; None where there is none."""
        return _find(self.root, path)

    def place(self, name: str) -> Place | None:
        """Return where an argument of the Trainer is given, else where the Trainer is."""
        node = self.find(f"trainer::{name}") or self.find("trainer")
        return node.place if node else None


def asked_of_trainer(config: Config) -> Asked | None:
    """Return what a config asks of Lightning's Trainer; None where it names another one, or none."""
    root = expand_what_can_be(config.root)
    if _word(root, "trainer::_target_") not in TRAINERS:
        return None
    if _word(root, "trainer::_args_") is not None:
        return Asked(root, None, None)
    return Asked(root, _devices(root), _nodes(root))


def _devices(root: Node) -> int | None:
    """Return how many devices a node is to use; None where that is not said in so many words."""
    accelerator, node = _find(root, "trainer::accelerator"), _find(root, "trainer::devices")
    word = "auto" if accelerator is None else accelerator.value
    if word not in ACCELERATORS:
        return None
    if node is None or node.value in (None, "auto"):
        return 1 if word == "cpu" and (node is None or node.value == "auto") else None
    if isinstance(node.value, list):
        return len(node.value) if all(type(item.value) is int for item in node.value) else None
    if isinstance(node.value, str) and node.value.isdecimal():
        return int(node.value) or None
    return node.value if type(node.value) is int and node.value > 0 else None


def _nodes(root: Node) -> int | None:
    node = _find(root, "trainer::num_nodes")
    if node is None:
        return 1
    return node.value if type(node.value) is int and node.value > 0 else None


def _find(root: Node, path: str) -> Node | None:
    at: Path = split(path)
    try:
        for _ in range(MAX_HOPS):
            at, node = follow(root, at)
            if not is_reference(node.value, "@"):
                return node
            at = absolute(str(node.value)[1:], at)
    except (PathError, ConfigError):
        pass
    return None


def _word(root: Node, path: str) -> object:
    node = _find(root, path)
    return None if node is None else node.value
