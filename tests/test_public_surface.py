"""What a config, a script or a shell may use. A change here breaks people's files: say so in the CHANGELOG."""

from __future__ import annotations

import importlib
import inspect

import pytest

import lighter
from lighter import commands
from lighter.config import structure


def parameters(path: str) -> str:
    module, _, name = path.rpartition(".")
    names = inspect.signature(getattr(importlib.import_module(module), name)).parameters
    return ", ".join(names)


def test_the_package_hands_on_three_names() -> None:
    assert lighter.__all__ == ["Runner", "System", "__version__"]
    assert set(dir(lighter)) >= set(lighter.__all__)
    with pytest.raises(AttributeError, match="module 'lighter' has no attribute 'Sistem'"):
        _ = lighter.Sistem


@pytest.mark.parametrize(
    ("path", "arguments"),
    [
        ("lighter.Runner", "trainer_arguments"),
        (
            "lighter.System",
            "model, dataloaders, optimizer, scheduler, criterion, metrics, adapters, inferer, parallelize, empty_init",
        ),
        ("lighter.adapters.BatchAdapter", "input_accessor, target_accessor, identifier_accessor"),
        (
            "lighter.adapters.CriterionAdapter",
            "input_argument, target_argument, pred_argument, input_transforms, target_transforms, pred_transforms",
        ),
        (
            "lighter.adapters.MetricsAdapter",
            "input_argument, target_argument, pred_argument, input_transforms, target_transforms, pred_transforms",
        ),
        ("lighter.adapters.LoggingAdapter", "input_transforms, target_transforms, pred_transforms"),
        (
            "lighter.callbacks.Freezer",
            "names, name_starts_with, except_names, except_name_starts_with, until_step, until_epoch",
        ),
        ("lighter.callbacks.FileWriter", "path, writer, shard, overwrite"),
        ("lighter.callbacks.TableWriter", "path, writer, overwrite"),
        ("lighter.utils.data.collate_replace_corrupted", "batch, dataset, default_collate_fn"),
        ("lighter.utils.model.replace_layer_with", "model, layer_name, new_layer"),
        ("lighter.utils.model.replace_layer_with_identity", "model, layer_name"),
        ("lighter.utils.model.remove_n_last_layers_sequentially", "model, num_layers"),
        (
            "lighter.utils.model.adjust_prefix_and_load_state_dict",
            "model, ckpt_path, ckpt_to_model_prefix, layers_to_ignore",
        ),
    ],
)
def test_the_arguments_that_configs_use(path: str, arguments: str) -> None:
    assert parameters(path) == arguments


def test_the_commands_and_their_flags() -> None:
    flags = {
        name: [flag for flag, _ in importlib.import_module(f"lighter.commands.{name}").HELP_TEXT.flags]
        for name in commands.NAMES
    }
    stage = ["--ckpt PATH|best|last", "--no-check", "--debug", "--help"]
    assert flags == {
        "fit": ["--resume", *stage],
        "validate": stage,
        "test": stage,
        "predict": stage,
        "submit": [
            *("--nodes N", "--gpus G", "--time TIME", "--cpus-per-task N", "--mem SIZE", "--partition NAME"),
            *(
                "--account NAME",
                "--qos NAME",
                "--constraint TEXT",
                "--sbatch OPTIONS",
                "--setup COMMAND",
                "--name NAME",
            ),
            *("--dry-run", "--no-check", "--help"),
        ],
        "check": ["--stage STAGE", "--no-import", "--json", "--help"],
        "show": ["--at PATH", "--origin", "--help"],
        "trace": ["--stage STAGE", "--debug", "--help"],
        "schema": ["--help"],
        "runs": ["--sort NAME", "--where EXPRESSION", "--json", "--csv", "--help"],
        "diff": ["--json", "--help"],
        "report": ["--out FILE", "--help"],
    }


def test_the_fixed_structure_of_a_config() -> None:
    assert structure.SECTIONS == (
        "_imports_",
        "_requires_",
        "args",
        "data",
        "project",
        "seed",
        "sweep",
        "system",
        "trainer",
        "vars",
    )
    assert tuple(parameters("lighter.System").split(", ")) == structure.SLOTS
    assert structure.MODES == ("train", "val", "test", "predict")
    assert structure.ADAPTERS == ("batch", "criterion", "metrics", "logging")
    assert list(structure.STAGES) == ["fit", "validate", "test", "predict"]
