"""Whether a Trainer is for as many processes as were started for it, or starts them in a way that works."""

from __future__ import annotations

import pytorch_lightning as pl
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from pytorch_lightning.strategies.launchers import _MultiProcessingLauncher

from lighter.agreement import spawned
from lighter.config import Config
from lighter.errors import ConfigError
from lighter.launch import count, launched


def refuse_other_world(trainer: pl.Trainer, config: Config) -> None:
    """Refuse a Trainer of more or fewer processes than were started for it, and one that spawns them.

    Of what a config leaves to be found out nothing can be said before; and with one device Lightning would train
    once in each of the processes.

    Raises:
        ConfigError: it is for another number of them, or spawns them.
    """
    strategy, launcher = "trainer::strategy", trainer.strategy.launcher
    if isinstance(launcher, _MultiProcessingLauncher) and launcher._start_method != "fork":
        node = config.find(strategy) or config.find("trainer")
        raise ConfigError(problems=[spawned(node.place if node else None, strategy, launcher._start_method)])
    launch, environment = launched(), trainer._accelerator_connector.cluster_environment
    world = trainer.num_devices * trainer.num_nodes
    if (
        launch is None
        or launch.world == world
        or not isinstance(environment, (TorchElasticEnvironment, SLURMEnvironment))
    ):
        return
    node, mend = config.find("trainer"), "let trainer::devices times trainer::num_nodes be as many"
    message = f"makes {count(world, 'process', 'es')}, but {launch}"
    raise ConfigError(message, place=node.place if node else None, path="trainer", value=world, suggestion=mend)
