"""What an editor says of the keys that are Lighter's own: sections, slots, adapters, and its targets' arguments."""

from __future__ import annotations

from typing import Any

SECTIONS = {
    "_imports_": "Names that expressions may use, each with the module, class or function that it stands for.",
    "_requires_": "Modules to import before anything is built, for what their import does.",
    "args": "Arguments of the Trainer's methods, by stage: fit, validate, test, predict.",
    "data": "A LightningDataModule, in place of the System's dataloaders.",
    "project": "A folder of code to make importable: DIR/model.py is project.model.",
    "seed": "A whole number that seeds Python, NumPy and PyTorch, in the workers too.",
    "sweep": "Kept for searches over many runs.",
    "system": "The System: model, data, optimizer, metrics and the rest; or any LightningModule.",
    "trainer": "The Trainer, usually pytorch_lightning.Trainer.",
    "vars": "Values of your own, for the rest to refer to: %vars::name.",
}
STAGES = {
    "fit": "Arguments of Trainer.fit.",
    "validate": "Arguments of Trainer.validate.",
    "test": "Arguments of Trainer.test.",
    "predict": "Arguments of Trainer.predict.",
}
RESERVED = {
    "_target_": "The dotted name of the class or function to call with what stands beside it.",
    "_args_": "A list of positional arguments.",
    "_mode_": "`callable` gives the target back as a function with these arguments bound; `default` calls it.",
    "_disabled_": "`true` drops it, and references to it, from where they stand.",
}
SLOTS = {
    "model": "The model, an nn.Module.",
    "dataloaders": "A dataloader for each mode: train, val, test, predict.",
    "optimizer": "An optimizer, built when the model is in its final form; or a mapping or list of several.",
    "scheduler": "A scheduler, or a mapping with Lightning's keys (scheduler, interval, monitor, …).",
    "criterion": "A callable that returns a loss, or a mapping of losses with `total`.",
    "metrics": "For each of train, val, test: a metric, a list, a mapping of names, or a MetricCollection.",
    "adapters": "For each mode: batch, criterion, metrics, logging.",
    "inferer": "A callable (input, model) that stands in for the model in val, test and predict.",
    "parallelize": "A callable (model, device_mesh) that shards the model, called under a ModelParallelStrategy.",
    "empty_init": "`true` gives a model that the strategy shards no memory before it is sharded.",
}
ADAPTERS = {
    "batch": "Takes input, target and identifier out of a batch: lighter.adapters.BatchAdapter.",
    "criterion": "Calls the criterion with what it wants: lighter.adapters.CriterionAdapter.",
    "metrics": "Calls the metrics with what they want: lighter.adapters.MetricsAdapter.",
    "logging": "Changes what callbacks receive: lighter.adapters.LoggingAdapter.",
}
SCHEDULER = {
    "scheduler": "The scheduler itself.",
    "interval": "When it steps: after each step, or after each epoch.",
    "frequency": "How many steps or epochs lie between two of its steps.",
    "monitor": "The logged value that a ReduceLROnPlateau watches, such as val/loss/epoch.",
    "strict": "Whether it is an error if the monitored value is missing.",
    "name": "The name that a LearningRateMonitor logs it under.",
}

_TRANSFORMS = {
    f"{source}_transforms": f"A callable of the {source}, or a list of them, applied just for this call."
    for source in ("input", "target", "pred")
}
_PASSED = {
    f"{source}_argument": f"Position or name of the argument that the {source} is passed as; not passed without it."
    for source in ("input", "target", "pred")
}
_CHANGED = "to change; it is changed in place and returned."
_ARGUMENTS = {
    "lighter.system.System": SLOTS,
    "lighter.adapters.BatchAdapter": {
        "input_accessor": "Where the input is in a batch: an index, a key, or a callable of the batch.",
        "target_accessor": "Where the target is; without it there is none.",
        "identifier_accessor": "Where the identifiers are, which name what writers write.",
    },
    "lighter.adapters.CriterionAdapter": {**_PASSED, **_TRANSFORMS},
    "lighter.adapters.MetricsAdapter": {**_PASSED, **_TRANSFORMS},
    "lighter.adapters.LoggingAdapter": _TRANSFORMS,
    "lighter.callbacks.freezer.Freezer": {
        "names": "Freeze these parameters, named as in the model.",
        "name_starts_with": "Freeze all parameters whose name starts so.",
        "except_names": "But not these.",
        "except_name_starts_with": "But not those whose name starts so.",
        "until_step": "Train them from this optimizer step on.",
        "until_epoch": "Train them from this epoch on.",
    },
    "lighter.callbacks.file_writer.FileWriter": {
        "path": "The folder to write to.",
        "writer": "tensor (.pt), image (.png), video (.mp4), or a callable of a path and a sample's prediction.",
        "shard": "With the writer tensor: this many predictions in a file.",
        "overwrite": "Replace what an earlier run wrote.",
    },
    "lighter.callbacks.table_writer.TableWriter": {
        "path": "The table: a .csv file, or .parquet with the extra `parquet`.",
        "writer": "Turns a sample's prediction into its cells: a number, a text, a list or a mapping.",
        "overwrite": "Replace the table of an earlier run.",
    },
    "lighter.utils.data.collate_replace_corrupted": {
        "batch": "The samples, None for one that could not be read.",
        "dataset": "The dataset to draw others from.",
        "default_collate_fn": "Makes the batch of the samples.",
    },
    "lighter.utils.model.replace_layer_with": {
        "model": f"The model {_CHANGED}",
        "layer_name": "The layer's dotted name, such as backbone.fc.",
        "new_layer": "What comes in its place.",
    },
    "lighter.utils.model.replace_layer_with_identity": {
        "model": f"The model {_CHANGED}",
        "layer_name": "The layer's dotted name, such as backbone.fc.",
    },
    "lighter.utils.model.remove_n_last_layers_sequentially": {
        "model": "The model to take the layers of.",
        "num_layers": "How many of its last layers to leave out.",
    },
    "lighter.utils.model.adjust_prefix_and_load_state_dict": {
        "model": f"The model {_CHANGED}",
        "ckpt_path": "A Lightning checkpoint, or a bare state dict.",
        "ckpt_to_model_prefix": "Module names in the checkpoint, each with the model's name for it.",
        "layers_to_ignore": "Modules or parameters of the model that keep the weights they have.",
    },
    "lighter.utils.model.compile_in_place": {
        "model": "The model to compile. Its weights keep their names.",
        "fullgraph": "Whether a model that cannot be one graph is an error.",
        "dynamic": "Whether shapes may change; null to find out.",
        "backend": "What compiles the graphs: inductor, or another that torch has.",
        "mode": "What to compile for: default, reduce-overhead, max-autotune.",
        "options": "Options of the backend, in place of a mode.",
    },
}


def own_argument(target: Any, name: str) -> str | None:
    """Return the help on an argument of one of Lighter's own targets, whose docstrings tell no arguments."""
    own = _ARGUMENTS.get(f"{target.__module__}.{target.__qualname__}", {})
    return own[name].rstrip(".") if name in own else None
