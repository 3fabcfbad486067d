"""What is told while ranks wait for one another to come."""

from __future__ import annotations

import time

import pytorch_lightning as pl
from loguru import logger
from torch import distributed
from torch.distributed.constants import default_pg_timeout

from lighter.launch import count, found_host

SILENT = 10.0  # seconds for which they wait without a word


class Waiting:
    """Say once, at the first rank of a node, that the others have not come yet."""

    def __init__(self, trainer: pl.Trainer) -> None:
        self._trainer, self._began, self._is_over = trainer, time.monotonic(), False

    def tell(self) -> None:
        """Say it if it is time to; call this again and again."""
        if self._is_over or time.monotonic() < self._began + SILENT:
            return
        self._is_over = True
        trainer = self._trainer
        if trainer.world_size == 1 or trainer.local_rank or distributed.is_initialized():
            return
        environment = trainer._accelerator_connector.cluster_environment
        host, nodes = environment.main_address, count(trainer.num_nodes, "node")
        unknown = "" if found_host(host) else ", a host that is not found"
        minutes = (getattr(trainer.strategy, "_timeout", None) or default_pg_timeout).total_seconds() / 60
        where = f"{host}:{environment.main_port}{unknown}"
        logger.info(f"waiting for the other ranks at {where} ({nodes}, up to {minutes:g} min)")
