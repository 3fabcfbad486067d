"""What `lighter schema` prints accepts every config that we ship, and marks what is wrong where it stands."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator, ValidationError  # type: ignore[import-untyped]

from lighter.cli import command_help
from lighter.commands import schema as command
from lighter.config.check.signatures import signature_of
from lighter.config.structure import ADAPTERS, MODE_TABLES, MODES, RESERVED, SECTIONS, SLOTS, STAGES
from lighter.errors import UsageError
from lighter.schema import words
from lighter.schema.catalog import known_targets
from test_docs import PAGES, ROOT, blocks_of

BYTES = 850_000
TARGETS = 700  # or more
CONFIGS = 50  # or more that we ship
NO_CONFIGS = ("optimizers.yaml", "from_other_files__shared.yaml")  # pieces that others take parts of
BROKEN = ("broken.yaml",)

FILES = sorted([*ROOT.glob("projects/*/*.yaml"), *ROOT.glob("tests/config/check/valid/*.yaml")])
BLOCKS = [block for page in PAGES for block in blocks_of(page) if block.language == "yaml"]
SHIPPED = {
    str(file.relative_to(ROOT)): file.read_text(encoding="utf-8") for file in FILES if file.name not in NO_CONFIGS
}
SHIPPED |= {block.place: block.text for block in BLOCKS if block.title not in (*NO_CONFIGS, *BROKEN)}

RIGHT = [
    "",
    "trainer:",
    "trainer: {max_epochs: 5, anything: 1}",  # of a Trainer that another file names
    "trainer: {_target_: project.Trainer, max_epochs: never}",
    "trainer: '%base.yaml::trainer'",
    "trainer: {_target_: pytorch_lightning.Trainer, max_epochs: '%vars::epochs', callbacks: ['@vars::a', $b]}",
    "trainer: {_target_: pytorch_lightning.Trainer, devices: [0, 1], precision: 16, max_time: {hours: 1}}",
    "trainer: {_target_: pytorch_lightning.Trainer, fast_dev_run: 1, max_epochs: 1e3, deterministic: warn}",
    "trainer: {_target_: pytorch_lightning.Trainer, ~logger: null, =callbacks: [], callbacks::0::patience: 3}",
    "trainer: {_target_: pytorch_lightning.Trainer, ~callbacks: [0, -1], ~of_another: null, enable_progress_bar: no}",
    "trainer::max_epochs: 5\n~trainer::logger: null\n=system::model: {_target_: a.b}\nsystem::optimizer::lr: 1",
    "system: {metrics: [a], optimizer: 3, noise: 0.1}",  # of a LightningModule that another file names
    "system: {_target_: project.system.Noisy, noise: 0.1, dataloaders: [1]}",
    "system: {_target_: lighter.System, metrics: '%other.yaml', dataloaders: {_target_: a.loaders, any: 1}}",
    "system: {_target_: lighter.System, =model: {_target_: a.B}, model::width: 3, ~inferer: null}",
    "system: {_target_: lighter.System, adapters: {train: {=batch: $one, ~metrics: null}, val: '%::train'}}",
    "system: {_target_: lighter.System, optimizer: [{_target_: torch.optim.SGD, lr: 1}, '@a'], scheduler: null}",
    "system: {_target_: lighter.System, scheduler: {one: {_target_: a.B}, two: {scheduler: '@a', interval: step}}}",
    "system: {_target_: lighter.System, scheduler: {step_size: 3}}",  # of a scheduler that another file names
    "vars: {average: {_target_: torchmetrics.Accuracy, task: multiclass, average: Macro, num_classes: 3}}",
    "vars: {x: {_target_: torch.nn.Linear, in_features: 3, out_features: null, bias: on, device: cpu}}",
    "vars: {x: {_target_: torch.nn.Linear, _args_: [3, 4], _disabled_: false, _mode_: callable}}",
    "vars: {x: {_target_: torch.nn.Linear, in_features: {_target_: int, _args_: ['3']}}}",
    "vars: {x: {_target_: $name, a: 1}, y: {_target_: '%::name'}, z: {_target_: größe.Größe}, w: {_target_: dict}}",
    "vars: {x: {_target_: torch.utils.data.DataLoader, dataset: [1, 2, 3], sampler: [0, 2]}}",
    "vars: {x: &x {_target_: torch.nn.Dropout, p: 0.1}, y: {<<: *x, p: 1}}",
    "args: {fit: {ckpt_path: last, of_another_trainer: 1}}",
    "seed: $20 + 22",
    "_requires_: [a.b, $import numpy as np]\n_imports_: {np: numpy, ~torch: null}",
    "vars: {x: {_target_: torch.nn.Linear, width: 3, _disabled_: $1 > 2}, y: {_target_: a.B, _disabled_: no}}",
    "vars: {x: {_target_: a.B, b: {_target_: torch.nn.Linear, width: 3}, _disabled_: true}}",
    "vars: {x: {_target_: torch.optim.lr_scheduler.CyclicLR, base_momentum: [0.8, 0.9]}}",  # annotated with float
    "sweep: {anything: [1, {_target_: [a, b], ~c: d}]}",
]

TRAINER = "trainer: {{_target_: pytorch_lightning.Trainer, {}}}"
SYSTEM = "system: {{_target_: lighter.System, {}}}"
VARS = "vars: {{x: {{_target_: {}}}}}"
WRONG = [
    # sections
    ("trianer: {max_epochs: 1}", "trianer"),
    ("model: {_target_: torch.nn.Linear}", "model"),
    ("trianer::max_epochs: 1", "trianer::max_epochs"),
    ("=sytem: {}", "=sytem"),
    ("~var: null", "~var"),
    ("~vars: {a: 1}", "~vars"),
    ("seed: one", "seed"),
    ("seed: 1.5", "seed"),
    ("seed: true", "seed"),
    ("project: 5", "project"),
    ("_imports_: {np: 3}", "_imports_/np"),
    ("_imports_: [numpy]", "_imports_"),
    ("_requires_: {numpy: 1}", "_requires_"),
    ("_requires_: [numpy, 3]", "_requires_/1"),
    ("data: datamodule", "data"),
    ("- trainer", ""),
    # stages
    ("args: {fitt: {}}", "args/fitt"),
    ("args: {fit: last}", "args/fit"),
    (TRAINER.format("max_epochs: 1") + "\nargs: {fit: {ckpt: last}}", "args/fit/ckpt"),
    (
        TRAINER.format("max_epochs: 1") + "\nargs: {predict: {return_predictions: sure}}",
        "args/predict/return_predictions",
    ),
    # the Trainer
    ("trainer: pytorch_lightning.Trainer", "trainer"),
    ("trainer: [1]", "trainer"),
    (TRAINER.format("max_epoch: 1"), "trainer/max_epoch"),
    (TRAINER.format("max_epochs: ten"), "trainer/max_epochs"),
    (TRAINER.format("max_epochs: 1.5"), "trainer/max_epochs"),
    (TRAINER.format("max_epochs: [1]"), "trainer/max_epochs"),
    (TRAINER.format("precision: 17"), "trainer/precision"),
    (TRAINER.format("gradient_clip_val: '5'"), "trainer/gradient_clip_val"),
    (TRAINER.format("enable_checkpointing: maybe"), "trainer/enable_checkpointing"),
    (TRAINER.format("logger: tensorboard"), "trainer/logger"),
    (TRAINER.format("callbacks: [early]"), "trainer/callbacks/0"),
    (TRAINER.format("~logger: false"), "trainer/~logger"),
    (
        TRAINER.format("callbacks: [{_target_: pytorch_lightning.callbacks.ModelCheckpoint, save_best: 1}]"),
        "trainer/callbacks/0/save_best",
    ),
    (
        TRAINER.format("callbacks: [{_target_: pytorch_lightning.callbacks.ModelCheckpoint, save_last: links}]"),
        "trainer/callbacks/0/save_last",
    ),
    (
        TRAINER.format("callbacks: {_target_: pytorch_lightning.callbacks.EarlyStopping, monitor: a, patience: long}"),
        "trainer/callbacks/patience",
    ),
    (
        TRAINER.format("logger: [{_target_: pytorch_lightning.loggers.CSVLogger, save_dir: a, folder: b}]"),
        "trainer/logger/0/folder",
    ),
    (
        TRAINER.format("strategy: {_target_: pytorch_lightning.strategies.FSDPStrategy, state_dict_type: half}"),
        "trainer/strategy/state_dict_type",
    ),
    # the System
    ("system: lighter.System", "system"),
    (SYSTEM.format("modle: {_target_: torch.nn.Linear}"), "system/modle"),
    (SYSTEM.format("=modle: {_target_: torch.nn.Linear}"), "system/=modle"),
    (SYSTEM.format("modle::width: 1"), "system/modle::width"),
    (SYSTEM.format("model: resnet18"), "system/model"),
    (SYSTEM.format("criterion: torch.nn.CrossEntropyLoss"), "system/criterion"),
    (SYSTEM.format("optimizer: SGD"), "system/optimizer"),
    (SYSTEM.format("dataloaders: [1]"), "system/dataloaders"),
    (SYSTEM.format("dataloaders: {trian: {_target_: a.B}}"), "system/dataloaders/trian"),
    (SYSTEM.format("dataloaders: {train: 3}"), "system/dataloaders/train"),
    (SYSTEM.format("metrics: {predict: {_target_: a.B}}"), "system/metrics/predict"),
    (SYSTEM.format("metrics: {train: accuracy}"), "system/metrics/train"),
    (SYSTEM.format("adapters: {tets: {}}"), "system/adapters/tets"),
    (SYSTEM.format("adapters: {train: {bacth: {_target_: a.B}}}"), "system/adapters/train/bacth"),
    (SYSTEM.format("adapters: {train: {batch: 0}}"), "system/adapters/train/batch"),
    (SYSTEM.format("adapters: {train: [{_target_: a.B}]}"), "system/adapters/train"),
    (
        SYSTEM.format("adapters: {val: {batch: {_target_: lighter.adapters.BatchAdapter, input: 0}}}"),
        "system/adapters/val/batch/input",
    ),
    (
        SYSTEM.format("adapters: {val: {batch: {_target_: lighter.adapters.BatchAdapter, input_accessor: 0.5}}}"),
        "system/adapters/val/batch/input_accessor",
    ),
    (SYSTEM.format("scheduler: {scheduler: '@a', intervall: step}"), "system/scheduler/intervall"),
    (SYSTEM.format("scheduler: {scheduler: '@a', interval: batch}"), "system/scheduler/interval"),
    (SYSTEM.format("scheduler: [{scheduler: '@a', frequency: often}]"), "system/scheduler/0/frequency"),
    (SYSTEM.format("optimizer: {_target_: torch.optim.SGD, learning_rate: 0.1}"), "system/optimizer/learning_rate"),
    (SYSTEM.format("=optimizer: {_target_: torch.optim.SGD, learning_rate: 0.1}"), "system/=optimizer/learning_rate"),
    (SYSTEM.format("optimizer: {_target_: torch.optim.SGD, lr: '0.1'}"), "system/optimizer/lr"),
    (SYSTEM.format("optimizer: [{_target_: torch.optim.Adam, betas: [0.9, high]}]"), "system/optimizer/0/betas/1"),
    # components at any depth
    ("system::model: {_target_: torch.nn.Linear, in_feature: 1}", "system::model/in_feature"),
    (VARS.format("torch.nn.Conv2d, padding_mode: zero"), "vars/x/padding_mode"),
    (VARS.format("torch.nn.Sequential, _args_: [{_target_: torch.nn.Dropout, rate: 0.1}]"), "vars/x/_args_/0/rate"),
    (VARS.format("a.B, b: [[1, {c: {_target_: torch.nn.Flatten, dim: 1}}]]"), "vars/x/b/0/1/c/dim"),
    (VARS.format("torch.utils.data.DataLoader, batchsize: 3"), "vars/x/batchsize"),
    (VARS.format("torch.utils.data.DataLoader, shuffle: sometimes"), "vars/x/shuffle"),
    (VARS.format("torchmetrics.classification.MulticlassAccuracy, num_class: 3"), "vars/x/num_class"),
    (VARS.format("torchmetrics.classification.MulticlassAccuracy, num_classes: 3, average: mikro"), "vars/x/average"),
    (VARS.format("torchmetrics.classification.MulticlassAccuracy, num_classes: three"), "vars/x/num_classes"),
    (VARS.format("torchvision.models.resnet18, num_clases: 3"), "vars/x/num_clases"),
    (VARS.format("torchvision.datasets.CIFAR10, root: a, transforms: null"), "vars/x/transforms"),
    (VARS.format("torchvision.transforms.v2.RandomHorizontalFlip, prob: 1"), "vars/x/prob"),
    (VARS.format("torch.optim.lr_scheduler.StepLR, step: 3"), "vars/x/step"),
    (VARS.format("lighter.callbacks.Freezer, names: fc, until_step: ten"), "vars/x/until_step"),
    (VARS.format("lighter.callbacks.FileWriter, path: a, writer: 3"), "vars/x/writer"),
    (VARS.format("lighter.callbacks.TableWriter, path: a.csv, overwrite: sure"), "vars/x/overwrite"),
    (VARS.format("lighter.utils.model.replace_layer_with, layer: fc"), "vars/x/layer"),
    # reserved keys
    (VARS.format("torch.nn."), "vars/x/_target_"),
    (VARS.format("3"), "vars/x/_target_"),
    (VARS.format("torch.nn.ReLU, _mode_: call"), "vars/x/_mode_"),
    (VARS.format("torch.nn.ReLU, _mod_: callable"), "vars/x/_mod_"),
    (VARS.format("torch.nn.ReLU, _disabled_: maybe"), "vars/x/_disabled_"),
    (VARS.format("torch.nn.ReLU, _disabled_: false, place: 1"), "vars/x/place"),
    (VARS.format("a.B, _disabled_: 0"), "vars/x/_disabled_"),
    (VARS.format("torch.nn.ReLU, _args_: 3"), "vars/x/_args_"),
]


def resolvers(**patterns: str) -> dict[None, list[tuple[str, re.Pattern[str]]]]:
    return {None: [(f"tag:yaml.org,2002:{tag}", re.compile(f"^(?:{pattern})$")) for tag, pattern in patterns.items()]}


CORE = {
    "null": r"~|null|Null|NULL|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+",
    "float": r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan",
    "merge": "<<",
}


class Editor(yaml.SafeLoader):
    """Reads YAML 1.2, as editors do: `yes` and `on` are text."""

    yaml_implicit_resolvers = resolvers(**CORE)


class OlderEditor(Editor):
    """Reads the booleans of YAML 1.1."""

    yaml_implicit_resolvers = resolvers(**{**CORE, "bool": f"(?i:{CORE['bool']}|yes|no|on|off)"})


def number(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> float:
    text = str(loader.construct_scalar(node))
    if re.fullmatch(CORE["int"], text):
        return int(text, 0) if text[:2] in ("0x", "0o") else int(text)
    return float(text.replace(".inf", "inf").replace(".nan", "nan"))


Editor.add_constructor("tag:yaml.org,2002:int", number)
Editor.add_constructor("tag:yaml.org,2002:float", number)


def read(text: str, loader: type[yaml.SafeLoader] = Editor) -> Any:
    """Return what an editor makes of a file: keys are text."""

    def with_text_keys(value: Any) -> Any:
        if isinstance(value, dict):
            return {str(key): with_text_keys(item) for key, item in value.items()}
        return [with_text_keys(item) for item in value] if isinstance(value, list) else value

    return with_text_keys(yaml.load(text, loader))


@pytest.fixture(scope="module")
def printed() -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert command.run().run() == 0
    return out.getvalue()


@pytest.fixture(scope="module")
def schema(printed: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(printed)
    return found


@pytest.fixture(scope="module")
def marked(schema: dict[str, Any]) -> Callable[..., list[str]]:
    """Give the function that returns the paths of what an editor marks in a text."""
    validator = Draft7Validator(schema)

    def mark(text: str, loader: type[yaml.SafeLoader] = Editor) -> list[str]:
        return [path for error in validator.iter_errors(read(text, loader)) for path in places(error)]

    return mark


def places(error: ValidationError) -> Iterator[str]:
    """Yield the paths that an error is about: of keys that are not allowed, each."""
    path = "/".join(map(str, error.absolute_path))
    if error.validator != "additionalProperties":
        yield path
        return
    patterns = error.schema.get("patternProperties", {})
    for key in error.instance:
        if key not in error.schema["properties"] and not any(re.search(pattern, key) for pattern in patterns):
            yield "/".join(filter(None, [path, key]))


def follow(schema: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """Return a part of the schema without the reference that it may be."""
    return follow(schema, schema["definitions"][part["$ref"].split("/")[-1]]) if "$ref" in part else part


def arguments(schema: dict[str, Any], target: str) -> dict[str, Any]:
    """Return what the schema says of a target's arguments."""
    branches = schema["definitions"]["Component"]["then"]["allOf"]
    while True:
        (branch,) = (branch for branch in branches if is_for(branch["if"]["properties"]["_target_"], target))
        if "allOf" not in branch["then"]:
            properties = follow(schema, branch["then"])["properties"]
            return {name: follow(schema, part) for name, part in properties.items()}
        branches = branch["then"]["allOf"]


def is_for(condition: dict[str, str], target: str) -> bool:
    return condition["const"] == target if "const" in condition else bool(re.search(condition["pattern"], target))


# --- what it accepts and what it marks


def test_what_we_ship_is_found() -> None:
    assert len(SHIPPED) >= CONFIGS
    assert {"projects/digits/config.yaml", "tests/config/check/valid/free_form_vars.yaml"} <= SHIPPED.keys()
    assert any(place.startswith("docs/schema.md") for place in SHIPPED)


@pytest.mark.parametrize("loader", [Editor, OlderEditor])
@pytest.mark.parametrize("place", SHIPPED)
def test_a_shipped_config_is_right(place: str, loader: type[yaml.SafeLoader], marked: Callable[..., list[str]]) -> None:
    assert marked(SHIPPED[place], loader) == []


@pytest.mark.parametrize("text", RIGHT)
def test_what_may_be_right_is_not_marked(text: str, marked: Callable[..., list[str]]) -> None:
    assert marked(text) == []


@pytest.mark.parametrize(("text", "path"), WRONG)
def test_what_is_wrong_is_marked_once_where_it_stands(text: str, path: str, marked: Callable[..., list[str]]) -> None:
    assert marked(text) == [path]


def test_what_the_docs_show_as_broken_is_marked(marked: Callable[..., list[str]]) -> None:
    for block in (block for block in BLOCKS if block.title in BROKEN):
        assert marked(block.text)


# --- what it tells


def test_the_sections_modes_slots_and_stages_are_those_of_the_structure(schema: dict[str, Any]) -> None:
    assert tuple(schema["properties"]) == SECTIONS
    system = arguments(schema, "lighter.System")
    assert tuple(system) == ("_target_", *SLOTS)
    for slot, modes in MODE_TABLES.items():
        assert tuple(system[slot]["allOf"][-1]["else"]["properties"]) == modes
    assert tuple(schema["definitions"]["Adapters"]["allOf"][-1]["else"]["properties"]) == ADAPTERS
    assert tuple(schema["then"]["properties"]["args"]["properties"]) == tuple(STAGES)
    assert set(MODES) >= {mode for modes in MODE_TABLES.values() for mode in modes}


def test_every_key_of_lighter_has_its_help(schema: dict[str, Any]) -> None:
    for told, keys in [
        (words.SECTIONS, SECTIONS),
        (words.SLOTS, SLOTS),
        (words.ADAPTERS, ADAPTERS),
        (words.STAGES, STAGES),
        (words.RESERVED, RESERVED),
    ]:
        assert set(told) == set(keys)
    assert all(part["description"] for part in schema["properties"].values())
    assert all(part["description"] for part in schema["definitions"]["Mapping"]["properties"].values())


def test_every_argument_of_lighters_targets_has_its_help(schema: dict[str, Any]) -> None:
    own = {name: target for name, target in known_targets().items() if name.startswith("lighter.")}
    assert len(own) >= 14
    for name, target in own.items():
        signature = signature_of(target)
        assert signature is not None
        found = arguments(schema, name)
        assert set(found) == {"_target_", *signature.named}
        for argument, part in found.items():
            assert len(part["description"].rpartition(". ")[2]) > 10, f"{name} {argument}"


@pytest.mark.parametrize(
    ("target", "argument", "description"),
    [
        ("pytorch_lightning.Trainer", "max_epochs", "an int or null. Stop training once this number of epochs"),
        ("pytorch_lightning.Trainer", "accumulate_grad_batches", "an int, default 1. Accumulates gradients over"),
        ("pytorch_lightning.callbacks.EarlyStopping", "patience", "an int, default 3. number of checks with no"),
        ("torch.optim.SGD", "_target_", "Implements stochastic gradient descent"),
        ("torch.optim.AdamW", "weight_decay", "a float, default 0.01. weight decay coefficient"),
        ("torch.utils.data.DataLoader", "batch_size", "an int or null, default 1. how many samples per batch"),
        ("torchmetrics.Accuracy", "task", "one of 'binary', 'multiclass', 'multilabel'"),
        ("torchvision.transforms.v2.RandomCrop", "size", "Desired output size of the crop"),
        ("lighter.callbacks.Freezer", "until_epoch", "an int or null. Train them from this epoch on"),
        ("lighter.System", "metrics", "For each of train, val, test: a metric"),
    ],
)
def test_a_known_argument_has_its_type_and_its_help(
    target: str, argument: str, description: str, schema: dict[str, Any]
) -> None:
    assert description in arguments(schema, target)[argument]["description"]


def test_an_argument_has_its_default_and_its_choices(schema: dict[str, Any]) -> None:
    found = arguments(schema, "torch.nn.Conv2d")["padding_mode"]
    assert found["default"] == "zeros"
    choices, other = follow(schema, found["allOf"][0])["anyOf"]
    assert choices == {"enum": ["zeros", "reflect", "replicate", "circular"]}
    assert other["errorMessage"].startswith("takes one of 'zeros', 'reflect', 'replicate', 'circular'; or a reference")


def test_the_names_of_the_targets_are_proposed(schema: dict[str, Any]) -> None:
    names = schema["definitions"]["Target"]["anyOf"][1]["enum"]
    assert len(names) >= TARGETS
    assert set(names) <= set(known_targets())
    for name in names:
        assert "_target_" in arguments(schema, name)


def test_an_editor_tries_few_targets(schema: dict[str, Any]) -> None:
    def tried(branches: list[Any], target: str) -> int:
        taken = [branch["then"] for branch in branches if is_for(branch["if"]["properties"]["_target_"], target)]
        return len(branches) + sum(tried(then.get("allOf", []), target) for then in taken)

    branches = schema["definitions"]["Component"]["then"]["allOf"]
    assert max(tried(branches, name) for name in schema["definitions"]["Target"]["anyOf"][1]["enum"]) < 80


# --- the schema itself


def test_it_is_a_schema_of_draft_7_whose_references_lead_somewhere(schema: dict[str, Any], printed: str) -> None:
    Draft7Validator.check_schema(schema)
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    references = re.findall(r'"\$ref":"([^"]+)"', printed)
    assert {reference.removeprefix("#/definitions/") for reference in references} <= schema["definitions"].keys()
    assert not any(set(name) & set("/~%#") for name in schema["definitions"])  # as editors unescape none of it


def test_it_stays_small_and_is_ascii_in_lines_that_can_be_compared(printed: str) -> None:
    assert len(printed) < BYTES
    assert printed.isascii()  # so that no shell's redirection changes it
    assert len(printed.splitlines()) > 1000


@pytest.mark.slow
def test_it_is_the_same_in_every_process(printed: str) -> None:
    code = "from lighter.commands import schema; schema.run().run()"
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout == printed


# --- the command


def test_the_command_takes_no_arguments() -> None:
    with pytest.raises(UsageError, match="lighter schema takes no arguments"):
        command.run("config.yaml")


def test_the_help_says_what_to_do_with_it() -> None:
    assert "lighter schema > lighter.schema.json" in command_help(command)
