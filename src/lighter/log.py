"""The log: Lightning's, Python's and our own messages on stderr, each once."""

from __future__ import annotations

import logging
import sys
import warnings
from typing import TextIO

from loguru import logger

# Lightning's notes on what the head and the tail already say, or on products.
_NOISE = (
    "GPU available:",
    "TPU available:",
    "HPU available:",
    "💡 Tip:",
    "Restoring states from the checkpoint",
    "Loaded model weights from the checkpoint",
    "`Trainer.fit` stopped: `max_epochs",
    "Using default `ModelCheckpoint`",
    "Initializing distributed:",
    "-----",
    "Loading `train_dataloader` to estimate",
    "\nDetected KeyboardInterrupt",
)

# Warnings that a user can do nothing about: one library's use of another.
_OTHERS_WARNINGS = (
    r".*isinstance\(treespec, LeafSpec\)",  # Lightning 2.6 with torch 2.13 and newer
    "The dirpath has changed from",  # a ModelCheckpoint's, though every run has a folder of its own
)


class _Handler(logging.Handler):
    """Pass records of Python's logging on to loguru."""

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if message.startswith(_NOISE):
            logger.debug(message)
        else:
            logger.log(_LEVELS.get(record.levelno, record.levelno), message.strip())


_LEVELS = {logging.DEBUG: "DEBUG", logging.INFO: "INFO", logging.WARNING: "WARNING", logging.ERROR: "ERROR"}


def setup_logging(*, debug: bool = False) -> None:
    """Send Lightning's, Python's and our own messages to stderr through loguru, each once."""
    logger.remove()
    logger.add(
        lambda message: print(message, end="", file=sys.stderr),  # the stream of the moment: a progress bar swaps it
        level="DEBUG" if debug else "INFO",
        format="<dim>{time:HH:mm:ss}</dim> <level>{level: <7}</level> {message}",
        colorize=sys.stderr.isatty(),
    )
    logging.basicConfig(handlers=[_Handler()], level=logging.INFO, force=True)
    for name in ("pytorch_lightning", "lightning_fabric", "lightning"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    seen: set[str] = set()

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,  # noqa: ARG001 - the signature is Python's
        line: str | None = None,  # noqa: ARG001
    ) -> None:
        text = " ".join(str(message).split())
        if text not in seen:
            seen.add(text)
            logger.warning(text)
            logger.debug(f"{category.__name__} from {filename}:{lineno}")

    warnings.showwarning = show
    for pattern in _OTHERS_WARNINGS:
        warnings.filterwarnings("ignore", pattern)
