"""The LightningModule that runs a model with its criterion, metrics and data in every mode."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer.states import TrainerFn
from pytorch_lightning.utilities import CombinedLoader, rank_zero_warn
from pytorch_lightning.utilities.memory import recursive_detach
from torch import Tensor, nn

from lighter._distributed import weights_of
from lighter._epoch import Epoch, extra_arguments, monitored_steps, wants_outputs
from lighter._losses import count_samples, loss_name, named_losses
from lighter._metrics import SharedMetrics, collections_by_mode, scalars
from lighter._optimization import build_optimizers, listed, optimizer_values, scheduler_configs
from lighter._ranks import of_all_ranks, of_this_rank, repeats_data
from lighter._sharded import check_alike, empty_tensors, is_parallelized, materialize, parallelized
from lighter.adapters import CriterionAdapter, MetricsAdapter, describe, name_of, pair, whole
from lighter.errors import ConfigError, RunError
from lighter.modes import MODES, by_mode, check_keys

ADAPTER_SLOTS = ("batch", "criterion", "metrics", "logging")
CRITERION_MODES = ("train", "val")
STAGE_WORDS = {"train": "train", "val": "validation", "test": "test"}  # as Lightning's hooks spell the modes
BESIDE_MODEL = ("criterion.", "inferer.", *(f"{mode}_metrics." for mode in MODES))  # in a state dict
EPOCH_KEY = "lighter_epoch"  # in a checkpoint: what the unfinished training epoch has summed up, by rank
BATCHES_KEY = "lighter_batches"  # in a checkpoint: the evaluation batches of earlier epochs, by mode


class NoLoaders(CombinedLoader):
    """No loader at all, for which Lightning skips the loop; of an empty list it would warn."""

    def __init__(self) -> None:
        super().__init__([], "sequential")

    @property
    def flattened(self) -> list[Any]:
        return []

    @flattened.setter
    def flattened(self, flattened: list[Any]) -> None:
        pass


class System(pl.LightningModule):
    """Train, validate, test and predict with a model.

    `model` may be a callable that makes the model, called in `configure_model`; `optimizer` and `scheduler` may be
    callables of the live System, called in `configure_optimizers`, which leaves what it built under these names.
    Under a ModelParallelStrategy, `parallelize` is called with the model and the mesh of devices, and shards the model.
    With `empty_init` a model that the strategy shards takes no memory before it is sharded.
    `dataloaders`, `metrics` and `adapters` are mappings by mode: train, val, test, predict.

    Raises:
        ConfigError: an argument cannot be right.
    """

    model: nn.Module

    def __init__(
        self,
        model: nn.Module | Callable[[], nn.Module],
        dataloaders: Mapping[str, Any] | None = None,
        optimizer: Any = None,
        scheduler: Any = None,
        criterion: Callable[..., Any] | None = None,
        metrics: Mapping[str, Any] | None = None,
        adapters: Mapping[str, Mapping[str, Any] | None] | None = None,
        inferer: Callable[..., Any] | None = None,
        parallelize: Callable[..., Any] | None = None,
        empty_init: bool = False,
    ) -> None:
        super().__init__()
        self._make_model: Callable[[], nn.Module] | None = None
        if isinstance(model, nn.Module) and empty_init:
            raise ConfigError(
                "empty_init needs the model as a callable that returns it, as it is too late for this one"
            )
        if isinstance(model, nn.Module):
            self.model = model
        elif callable(model):
            self._make_model = model
        else:
            raise ConfigError(f"the model must be an nn.Module or a callable that returns one, not {model!r}")
        self.dataloaders = by_mode("dataloaders", dataloaders)
        self.optimizer: Any = None
        self.scheduler: Any = None
        self._given_optimizer, self._given_scheduler = optimizer, scheduler
        self.criterion = _callable("the criterion", criterion)
        self.inferer = _callable("the inferer", inferer)
        self.parallelize, self.empty_init = _callable("parallelize", parallelize), empty_init
        self.metrics = collections_by_mode(by_mode("metrics", metrics))
        for mode, collection in self.metrics.items():  # as submodules they follow the System to its device
            self.add_module(f"{mode}_metrics", collection)
        self.adapters = {
            mode: _adapters(mode, adapters_of_mode) for mode, adapters_of_mode in by_mode("adapters", adapters).items()
        }
        self._epochs: dict[str, Epoch] = {}
        self._batches_before: dict[str, int] = {}  # in earlier epochs, by mode
        self._unfinished: dict[str, Any] | None = None  # the training epoch that a checkpoint was saved in
        self._unloggable: set[str] = set()

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.model(*args, **kwargs)

    def configure_model(self) -> None:
        if self._make_model is not None:
            with empty_tensors(self._trainer) if self.empty_init else nullcontext():
                model = self._make_model()
            if not isinstance(model, nn.Module):
                raise ConfigError(
                    f"{name_of(self._make_model)} returned {model!r} for the model, which is no nn.Module"
                )
            self.model, self._make_model = model, None
        if self._trainer is not None and not is_parallelized(self.model):
            check_alike(self.model, self.trainer)
        if self.device_mesh is not None and not is_parallelized(self.model):
            self.model = parallelized(self.model, self.parallelize, self.trainer)
        if self.empty_init and self._trainer is not None:
            materialize(self.model, self.trainer)

    def configure_optimizers(self) -> Any:
        if self._given_optimizer is None:
            raise ConfigError("fit needs an optimizer, and the System has none", suggestion="give it system::optimizer")
        self.optimizer = build_optimizers(self._given_optimizer, self)
        given = self._given_scheduler
        self.scheduler = given(self) if callable(given) else given
        return listed(self.optimizer), scheduler_configs(self.scheduler, self)

    def train_dataloader(self) -> Any:
        return self._dataloader("train")

    def val_dataloader(self) -> Any:
        if "val" not in self.dataloaders and self.trainer.state.fn == TrainerFn.FITTING:
            return NoLoaders()
        return self._dataloader("val")

    def test_dataloader(self) -> Any:
        return self._dataloader("test")

    def predict_dataloader(self) -> Any:
        return self._dataloader("predict")

    def setup(self, stage: str) -> None:  # noqa: ARG002 - the hook's signature
        self._epochs.clear()  # an epoch that was cut off
        self._unfinished = None

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        epoch, now = self._epochs.get("train"), (self.current_epoch, batch_idx)
        # an optimizer such as LBFGS asks for the loss of a batch several times; it counts once
        again = epoch is not None and epoch.now == now and self.automatic_optimization and self._trainer is not None
        made = self._step("train", batch, (batch_idx, 0), again=again)
        self._epochs["train"].now = now
        return made

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:
        return self._step("val", batch, (batch_idx, dataloader_idx))

    def test_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:
        return self._step("test", batch, (batch_idx, dataloader_idx))

    def predict_step(self, batch: Any, batch_idx: int = 0, dataloader_idx: int = 0) -> dict[str, Any]:  # noqa: ARG002
        try:
            output: dict[str, Any] = self._step("predict", batch)
        except TypeError as error:
            if isinstance(batch, list | tuple) and "batch" not in self.adapters.get("predict", {}):
                raise RunError(
                    f"without a batch adapter, predict gives the model the whole batch, {describe(batch)}: {error}",
                    suggestion="say where the input is: lighter.adapters.BatchAdapter(input_accessor=0)",
                ) from error
            raise
        return output

    def on_train_epoch_end(self) -> None:
        self._end_epoch("train")

    def on_validation_epoch_end(self) -> None:
        self._end_epoch("val")

    def on_test_epoch_end(self) -> None:
        self._end_epoch("test")

    def on_predict_epoch_end(self) -> None:
        self._epochs.pop("predict", None)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint[BATCHES_KEY] = dict(self._batches_before)
        # a resumed fit may have no batch of its epoch left
        unfinished = self._epochs["train"].state_dict() if "train" in self._epochs else self._unfinished
        if unfinished is not None:
            checkpoint[EPOCH_KEY] = of_all_ranks(self.trainer, unfinished)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Load the model strictly; what stands beside it is there only in the stages that need it."""
        self._batches_before = dict(checkpoint.get(BATCHES_KEY, {}))
        if EPOCH_KEY in checkpoint and self._trainer is not None and self.trainer.state.fn == TrainerFn.FITTING:
            self._unfinished = of_this_rank(self.trainer, checkpoint[EPOCH_KEY])
        given, own = checkpoint.get("state_dict", {}), self.state_dict()
        for name in [name for name in given if name.startswith(BESIDE_MODEL) and name not in own]:
            del given[name]
        for name in [name for name in own if name.startswith(BESIDE_MODEL) and given and name not in given]:
            given[name] = own[name]

    def _step(self, mode: str, batch: Any, index: tuple[int, int] | None = None, *, again: bool = False) -> Any:
        """Run one step, and return the output dict where someone reads it, else only the loss.

        The index is that of the batch and of its loader. A step that is run `again` on its batch, or on samples that
        another rank has, is neither counted nor logged.
        """
        epoch, weight = self._begin_step(mode, index, again=again)
        is_monitored = bool(epoch.monitored) and not again
        again = again or not weight or not epoch.counts
        input, target, identifier = _unpack(epoch, batch)  # noqa: A001 - the word for it
        pred = self._predict(epoch, input)
        loss: Tensor | None = None
        losses: dict[str, Tensor] = {}
        if epoch.criterion is not None:
            loss, losses = named_losses(epoch.criterion, epoch.criterion_adapter(epoch.criterion, input, target, pred))
            if not again:
                epoch.losses.add(losses, count_samples(input, target, identifier))
        if not epoch.is_evaluation:
            pred = pred.detach() if isinstance(pred, Tensor) else recursive_detach(pred)
        if loss is not None and mode == "train" and weight != 1:
            loss = loss * weight  # so that the ranks' mean of the gradients is that over their samples
        log = not again and (epoch.logs_values or epoch.logs_loss) and self._is_log_step(epoch)
        metrics: dict[str, Any] | None = None
        if epoch.metrics is not None and not again:
            wanted = (log and epoch.logs_values) or epoch.monitors_metrics
            update = epoch.metrics.forward if wanted else epoch.metrics.update
            metrics = epoch.metrics_adapter(update, input, target, pred)
        if log or is_monitored:
            self._log_step(epoch, losses, metrics or {}, only=None if log else epoch.monitored)
        if not epoch.returns_outputs:
            return loss
        if epoch.logging_adapter is not None:
            input, target, pred = epoch.logging_adapter(input, target, pred)  # noqa: A001
        output = {"identifier": identifier, "input": input, "target": target, "pred": pred, "loss": loss}
        output |= {"metrics": metrics, "step": self.global_step, "epoch": self.current_epoch}
        if losses and "" not in losses:
            output["losses"] = losses
        return output

    def _begin_step(self, mode: str, index: tuple[int, int] | None, *, again: bool) -> tuple[Epoch, float]:
        """Return the epoch that the step is of, and how much its batch counts in a mean over the ranks."""
        epoch = self._epochs.get(mode) or self._begin_epoch(mode)
        if index == (0, 0) and not again and epoch.batches:
            hook = f"on_{STAGE_WORDS[mode]}_epoch_end"
            raise ConfigError(f"{type(self).__name__}.{hook} must call super().{hook}(), which ends the epoch")
        epoch.batches += not again
        return epoch, epoch.weight(*index) if index else 1.0

    def _begin_epoch(self, mode: str) -> Epoch:
        criterion = self.criterion if mode in CRITERION_MODES else None
        if mode == "train" and criterion is None:
            raise ConfigError("fit needs a criterion, and the System has none", suggestion="give it system::criterion")
        adapters = self.adapters.get(mode, {})
        trainer = self._trainer
        watched = trainer is not None and not trainer.sanity_checking and not trainer.barebones and mode != "predict"
        monitored = monitored_steps(self.trainer) if watched and mode == "train" else frozenset()
        logs_values = bool(monitored) or (watched and bool(self.trainer.loggers))
        collection, metrics = self.metrics.get(mode), None
        if collection is not None:
            metrics = SharedMetrics(collection, batch_values=logs_values)
            metrics.reset()
        epoch = self._epochs[mode] = Epoch(
            mode=mode,
            unpack=adapters.get("batch") or (whole if mode == "predict" else pair),
            model=self.model,
            model_arguments=extra_arguments(self.model),
            inferer=None if mode == "train" else self.inferer,
            criterion=criterion,
            criterion_adapter=adapters.get("criterion") or CriterionAdapter(pred_argument=0, target_argument=1),
            metrics=metrics,
            metrics_adapter=adapters.get("metrics") or MetricsAdapter(pred_argument=0, target_argument=1),
            logging_adapter=adapters.get("logging"),
            returns_outputs=trainer is None or wants_outputs(mode, trainer, self),
            logs_values=logs_values,
            logs_loss=watched and mode == "train" and self.trainer.progress_bar_callback is not None,
            monitored=monitored,
            weights=() if trainer is None else weights_of(trainer),
            counts=trainer is None or not repeats_data(trainer),
        )
        if mode == "train" and self._unfinished is not None:
            epoch.load_state_dict(self._unfinished, self.device)
            self._unfinished = None
        return epoch

    def _end_epoch(self, mode: str) -> None:
        """Log the epoch's values, the same on every rank."""
        epoch = self._epochs.pop(mode, None)
        was_cut_off = mode == "train" and self._unfinished is not None  # after its last batch
        begun = epoch is not None or was_cut_off
        if not self.trainer.strategy.reduce_boolean_decision(begun, all=False):
            return
        if epoch is None:  # where another rank had batches, which waits for this one
            epoch = self._begin_epoch(mode)
            del self._epochs[mode]
        if self.trainer.sanity_checking or self.trainer.barebones:
            if epoch.metrics is not None:
                epoch.metrics.reset()
            return
        self._batches_before[mode] = self._batches_before.get(mode, 0) + epoch.batches
        values = {loss_name(mode, name): mean for name, mean in epoch.losses.means(self.trainer).items()}
        if epoch.metrics is not None:
            values |= self._metric_values(mode, epoch.metrics.compute())
        for name, value in values.items():
            # the ranks already agree; "max" of what is equal only keeps Lightning from warning that they may not
            self.log(f"{name}/epoch", value.to(self.device), sync_dist=True, reduce_fx="max", batch_size=1)

    def _predict(self, epoch: Epoch, input: Any) -> Any:  # noqa: A002 - the word for it
        if not epoch.model_arguments:
            return epoch.model(input) if epoch.inferer is None else epoch.inferer(input, epoch.model)
        progress = {"epoch": self.current_epoch, "step": self.global_step}
        model = partial(epoch.model, **{name: progress[name] for name in epoch.model_arguments})
        return model(input) if epoch.inferer is None else epoch.inferer(input, model)

    def _is_log_step(self, epoch: Epoch) -> bool:
        """Tell whether Lightning writes to the loggers after this step (after its last batch, when accumulating)."""
        if not self.trainer._logger_connector.should_update_logs:
            return False
        return epoch.is_evaluation or not (self.automatic_optimization and self.trainer.fit_loop._should_accumulate())

    def _log_step(
        self, epoch: Epoch, losses: dict[str, Tensor], metrics: dict[str, Any], only: frozenset[str] | None
    ) -> None:
        """Log the step's values: all of them on a log step, on others `only` what is monitored."""
        mode = epoch.mode
        tensors = {f"{loss_name(mode, name)}/step": loss for name, loss in losses.items()}
        on_bar = f"{loss_name(mode, '' if '' in losses else 'total')}/step"
        if not epoch.logs_values:
            only = frozenset([on_bar])
        else:
            tensors |= {f"{name}/step": value for name, value in self._metric_values(mode, metrics).items()}
        values = {name: float(value) for name, value in tensors.items() if only is None or name in only}
        if epoch.is_evaluation:
            # past Lightning's log, which would write these again after each later batch
            step = self._batches_before.get(mode, 0) + epoch.batches - 1
            for logger in self.trainer.loggers:
                logger.log_metrics(values, step)
            return
        if epoch.logs_values and only is None:
            values |= optimizer_values(self.trainer.optimizers)
        if epoch.monitored and self.trainer.world_size > 1:  # what looks at them must decide alike
            monitored = {name: value for name, value in values.items() if name in epoch.monitored}
            values |= self.trainer.strategy.broadcast(monitored)
        for name, value in values.items():
            # on the CPU, as Lightning reads the progress bar's values again at every step
            number = torch.tensor(value)
            self.log(name, number, on_step=True, on_epoch=False, prog_bar=name == on_bar, batch_size=1)

    def _metric_values(self, mode: str, metrics: Mapping[str, Any]) -> dict[str, Tensor]:
        values = {f"{mode}/metrics/{name}": value for name, value in scalars(metrics)}
        for name in [name for name, value in values.items() if value is None and name not in self._unloggable]:
            self._unloggable.add(name)
            rank_zero_warn(f"{name} is no number and no vector, so it is not logged")
        return {name: value for name, value in values.items() if value is not None}

    def _dataloader(self, mode: str) -> Any:
        if mode not in self.dataloaders:
            present = ", ".join(self.dataloaders) or "no mode"
            raise ConfigError(f"there is no dataloader for {mode!r}, only for {present}", value=mode)
        return self.dataloaders[mode]


def _unpack(epoch: Epoch, batch: Any) -> tuple[Any, Any, Any]:
    parts = epoch.unpack(batch)
    if not isinstance(parts, list | tuple) or len(parts) != 3:
        raise ConfigError(
            f"{name_of(epoch.unpack)} returned {describe(parts)}; a batch adapter returns (input, target, identifier)"
        )
    return parts[0], parts[1], parts[2]


def _callable(what: str, given: Callable[..., Any] | None) -> Callable[..., Any] | None:
    if given is not None and not callable(given):
        raise ConfigError(f"{what} must be callable, not {given!r}", value=given)
    return given


def _adapters(mode: str, given: Mapping[str, Any]) -> dict[str, Callable[..., Any]]:
    if not isinstance(given, Mapping):
        raise ConfigError(
            f"adapters::{mode} must be a mapping of {', '.join(ADAPTER_SLOTS)}, not {given!r}", value=given
        )
    check_keys(f"adapters::{mode}", given, ADAPTER_SLOTS, "slot")
    for slot, adapter in given.items():
        _callable(f"adapters::{mode}::{slot}", adapter)
    return {slot: adapter for slot, adapter in given.items() if adapter is not None}
