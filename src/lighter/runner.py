"""The bridge: from a config to the parts that a stage needs, and on to the Trainer."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import pytorch_lightning as pl
from torch.optim import Optimizer

from lighter._clipping import clip_where_sharded
from lighter._epoch import callbacks_of
from lighter._same_data import SameData
from lighter._trained import TrainedWeights
from lighter.checking import checked, unchecked
from lighter.config import Config
from lighter.config.resolve import Resolver
from lighter.config.structure import MODE_TABLES, SLOTS, STAGES
from lighter.errors import ConfigError, UsageError, did_you_mean
from lighter.exact import Exact
from lighter.exact.distribute import distribute_batches
from lighter.launch import settle_port
from lighter.peers import Peers, refuse_other_world
from lighter.project import import_project
from lighter.runs.checkpoints.folders import write_atomically
from lighter.runs.checkpoints.mismatch import mismatch
from lighter.runs.checkpoints.stored import choose_checkpoint
from lighter.runs.record.recorder import Beginning, Recorder
from lighter.runs.resume.find import Done, Resumed, find_resumed
from lighter.runs.resume.loggers import place_loggers
from lighter.runs.resume.schedulers import step_beyond
from lighter.runs.resume.signals import Signals
from lighter.system import System

Stage: TypeAlias = Literal["fit", "validate", "test", "predict"]


class Runner:
    """Runs the stages of a config; after `run` the live parts are attributes.

    `trainer_arguments` may change the keyword arguments that the config gives its Trainer.
    """

    config: Config
    trainer: pl.Trainer
    system: pl.LightningModule
    datamodule: pl.LightningDataModule | None
    checkpoint: Path | None
    recorder: Recorder
    signals: Signals
    peers: Peers
    resumed: Resumed | None  # the run that is gone on with
    done: Done | None  # the run that was to go on, and has nothing left to do

    def __init__(self, trainer_arguments: Callable[[dict[str, Any]], dict[str, Any]] = dict) -> None:
        self._trainer_arguments = trainer_arguments

    def run(
        self,
        stage: Stage,
        sources: Sequence[str],
        overrides: Sequence[str] = (),
        *,
        ckpt: str | None = None,
        resume: bool = False,
        check: bool = True,
    ) -> Any:
        """Build what a stage needs, run it, and return what the Trainer returned.

        With `resume` a fit goes on with a run: the one that the first source is, else the newest one of these sources
        and overrides; where there is none it begins one, and where nothing is left to do it does nothing.

        Unless `check` is False, all that can be known to be wrong before anything is built is looked for first.

        Raises:
            ConfigError: the config cannot be right; BuildError if one of its parts raised while it was built.
            RunError: the checkpoint's weights do not fit the model.
        """
        _known(stage)
        config = checked(sources, overrides, stage) if check else unchecked(sources, overrides)
        settle_port()
        self.prepare(stage, config, ckpt=ckpt, resume=resume)
        return self.start()

    def prepare(self, stage: Stage, config: Config, *, ckpt: str | None = None, resume: bool = False) -> None:
        """Build what a stage needs of a config, but do not start it; build nothing where nothing is left to do."""
        _known(stage)
        if resume and (stage != "fit" or ckpt):
            raise UsageError("`resume` is of fit, and without `ckpt`: it finds the run's last checkpoint")
        self.stage, self.config, self.resumes = stage, config, resume
        project = import_project(config)
        resolver = Resolver.of(config)
        resolver.require()
        self.seed = _seed_everything(resolver)
        self.trainer = _instance(resolver, "trainer", pl.Trainer, self._trainer(resolver))
        write_atomically(self.trainer)
        clip_where_sharded(self.trainer)
        distribute_batches(self.trainer, seeded=self.seed is not None)
        self._add_callbacks(project)
        self.peers = Peers(self.trainer, self.recorder, self.signals)
        with self.peers.expected():
            self._build(resolver, ckpt)

    def _build(self, resolver: Resolver, ckpt: str | None) -> None:
        """Build what the Trainer is to run, unless nothing is left to do."""
        found = find_resumed(self.trainer, self.config) if self.resumes else None
        self.done = found if isinstance(found, Done) else None
        self.resumed = found if isinstance(found, Resumed) else None
        if self.done is not None:
            return
        if self.resumed is not None:
            place_loggers(self.trainer, self.resumed)
        resolver = resolver.with_live({"trainer": self.trainer})
        self.arguments = self._stage_arguments(resolver)
        self.checkpoint = self._checkpoint(ckpt, self.arguments.pop("ckpt_path", None))
        self.datamodule = self._datamodule(resolver)
        self.system = _instance(resolver, "system", pl.LightningModule, self._system(resolver))

    def record(self) -> Path | None:
        """Begin the record of the prepared stage, and return its folder; None where there is none to be left.

        Raises:
            ConfigError: the Trainer is for more or fewer processes than were started for it.
        """
        refuse_other_world(self.trainer, self.config)
        if self.recorder.folder is None and self.resumed is not None:
            self.recorder.reopen(self.trainer, self.resumed)
        elif self.recorder.folder is None:
            self.recorder.open(self.trainer, self.checkpoint)
        return self.recorder.folder

    def start(self) -> Any:
        """Run the prepared stage and return what the Trainer returned."""
        if self.done is not None:
            return None
        self.record()
        try:
            with self.signals.heard(), self.peers.watched():
                result = self.start_unrecorded()
        except BaseException as error:
            self.recorder.close(error)
            raise
        self.recorder.close()
        return result

    def start_unrecorded(self) -> Any:
        """Run the prepared stage, leave no record of it, and return what the Trainer returned."""
        stage = getattr(self.trainer, self.stage)
        ckpt_path = str(self.checkpoint) if self.checkpoint else None
        try:
            return stage(self.system, datamodule=self.datamodule, ckpt_path=ckpt_path, **self.arguments)
        except RuntimeError as error:
            failure = mismatch(self.checkpoint, error) if self.checkpoint else None
            if failure is None:
                raise
            raise failure from error
        except ValueError as error:
            failure = step_beyond(self.trainer, self.config, error, resumed=self.resumed is not None)
            if failure is None:
                raise
            raise failure from error

    def _add_callbacks(self, project: Path | None) -> None:
        """Add what records the run, answers signals and makes it exact to the Trainer's own callbacks."""
        self.recorder = Recorder(self.config, self.stage, seed=self.seed, project=project)
        self.signals = Signals(self.trainer, lambda: self.recorder.folder)
        first: list[pl.Callback] = [Beginning(self.recorder), TrainedWeights(), SameData()]
        if self.seed is not None:
            first.append(Exact(self.seed))
        callbacks = callbacks_of(self.trainer)
        callbacks[:] = [*first, self.recorder, *callbacks, self.signals]  # those that save checkpoints stay last

    def _checkpoint(self, asked: str | None, given: object) -> Path | None:
        """Return the checkpoint to begin with: the resumed run's, or what was asked for, or what the config gives."""
        if self.resumed is not None:
            return self.resumed.checkpoint
        which = asked or given
        return choose_checkpoint(str(which) if which else None, self.stage, self.trainer, self.config)

    def _trainer(self, resolver: Resolver) -> object:
        target = resolver.target("trainer")
        try:
            arguments = resolver.arguments("trainer")
            if isinstance(target, type) and issubclass(target, pl.Trainer):
                arguments = self._trainer_arguments(arguments)
            return resolver.call("trainer", arguments)
        except ConfigError as error:
            if "must have DeepSpeed installed" not in str(error):
                raise
            path = "trainer::strategy" if "trainer::strategy" in resolver else "trainer"
            message, mend = "the strategy needs DeepSpeed", "pip install 'lighter[deepspeed]'"
            raise ConfigError(message, place=resolver.place(path), path=path, suggestion=mend) from error

    def _stage_arguments(self, resolver: Resolver) -> dict[str, Any]:
        path = f"args::{self.stage}"
        arguments: dict[str, Any] = resolver.resolve(path) if path in resolver else {}
        if not isinstance(arguments, dict):
            raise ConfigError("must be a mapping", place=resolver.place(path), path=path, value=arguments)
        known = set(inspect.signature(getattr(self.trainer, self.stage)).parameters) - {"model", "datamodule"}
        for name in arguments:
            if name not in known:
                message, place = f"Trainer.{self.stage} takes no argument {name!r}", resolver.place(f"{path}::{name}")
                raise ConfigError(message, place=place, path=path, value=name, suggestion=did_you_mean(name, known))
        return dict(arguments)

    def _datamodule(self, resolver: Resolver) -> pl.LightningDataModule | None:
        if "data" not in resolver:
            return None
        if "system::dataloaders" in resolver and _system_class(resolver):
            message, path = "`data` stands in place of system::dataloaders: keep one of the two", "system::dataloaders"
            raise ConfigError(message, place=resolver.place(path), path=path)
        found: pl.LightningDataModule = _instance(resolver, "data", pl.LightningDataModule, resolver.resolve("data"))
        return found

    def _system(self, resolver: Resolver) -> object:
        target = _system_class(resolver)
        if target is None:
            return resolver.call("system", resolver.arguments("system"))
        arguments = resolver.arguments("system", skip=SLOTS)
        arguments |= self._model(resolver)
        arguments |= {slot: resolver.resolve(f"system::{slot}") for slot in self._early_slots(resolver)}
        arguments |= {slot: self._modes(resolver, slot) for slot in MODE_TABLES if f"system::{slot}" in resolver}
        if arguments.get("empty_init") and resolver.has_built("system::model"):
            path, message = "system::model", "is built where something refers to it, and empty_init would build another"
            raise ConfigError(message, place=resolver.place(path), path=path)
        if self.stage == "fit":
            arguments |= self._late_slots(resolver)
            if "optimizer" not in arguments and target.configure_optimizers is System.configure_optimizers:
                raise ConfigError("fit needs an optimizer", place=resolver.place("system"), path="system::optimizer")
        if self.datamodule is None:
            self._check_dataloaders(resolver, target, arguments.get("dataloaders"))
        return resolver.call("system", arguments)

    def _early_slots(self, resolver: Resolver) -> list[str]:
        slots = ["inferer", "parallelize"] + (["criterion"] if self.stage in ("fit", "validate") else [])
        return [slot for slot in slots if f"system::{slot}" in resolver]

    def _model(self, resolver: Resolver) -> dict[str, Any]:
        """Return the model; with `empty_init` a function that builds it, to be called where it takes no memory."""
        path = "system::empty_init"
        empty = resolver.resolve(path) if path in resolver else False
        if not isinstance(empty, bool):
            raise ConfigError("must be true or false", place=resolver.place(path), path=path, value=empty)
        if empty:
            return {"model": lambda: resolver.resolve("system::model"), "empty_init": True}
        return {"model": resolver.resolve("system::model")} if "system::model" in resolver else {}

    def _modes(self, resolver: Resolver, slot: str) -> Any:
        """Build the part of a slot that the stage's modes need."""
        path = f"system::{slot}"
        keys = resolver.keys(path)
        if keys is None:
            return resolver.resolve(path)
        return {mode: resolver.resolve(f"{path}::{mode}") for mode in STAGES[self.stage] if mode in keys}

    def _late_slots(self, resolver: Resolver) -> dict[str, Callable[[System], Any]]:
        """Return the optimizer and the scheduler as functions of the live System, which build them afresh."""
        late = resolver

        def optimizer(system: System) -> Optimizer:
            nonlocal late
            late = resolver.with_live({"system": system, "system::model": system.model})
            return late.resolve("system::optimizer")  # type: ignore[no-any-return]

        def scheduler(_: System) -> Any:
            return late.resolve("system::scheduler")

        slots: dict[str, Callable[[System], Any]] = {"optimizer": optimizer, "scheduler": scheduler}
        return {slot: build for slot, build in slots.items() if f"system::{slot}" in resolver}

    def _check_dataloaders(self, resolver: Resolver, target: type[System], loaders: Any) -> None:
        needed = STAGES[self.stage][0]
        hook = f"{needed}_dataloader"
        own = getattr(target, hook) is not getattr(System, hook)
        if not own and (loaders is None or (isinstance(loaders, dict) and loaders.get(needed) is None)):
            place = resolver.place("system::dataloaders" if "system::dataloaders" in resolver else "system")
            path = f"system::dataloaders::{needed}"
            raise ConfigError(f"{self.stage} needs a dataloader for {needed!r}", place=place, path=path)


def _known(stage: str) -> None:
    if stage not in STAGES:
        raise UsageError(f"{stage!r} is not a stage", suggestion=did_you_mean(stage, STAGES))


def _seed_everything(resolver: Resolver) -> Any:
    """Seed the generators that the parts are built with, and return the seed; None if the config has none."""
    seed = resolver.resolve("seed") if "seed" in resolver else None
    if seed is not None:
        pl.seed_everything(seed, workers=True, verbose=False)
    return seed


def _system_class(resolver: Resolver) -> type[System] | None:
    """Return the System that a config names, or None where it names any other module."""
    target = resolver.target("system")
    return target if isinstance(target, type) and issubclass(target, System) else None


def _instance(resolver: Resolver, path: str, kind: type, found: object) -> Any:
    if isinstance(found, kind):
        return found
    message = f"is {type(found).__name__}, not a {kind.__module__.split('.')[0]}.{kind.__name__}"
    raise ConfigError(message, place=resolver.place(path), path=path, value=type(found).__name__)
