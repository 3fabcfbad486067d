from __future__ import annotations

import pytest

from lighter.config import compose
from lighter.errors import ConfigError

from .parts import composed, screen, write

SYSTEM = "trainer: {_target_: pytorch_lightning.Trainer}\nsystem:\n  _target_: lighter.System\n"


def test_an_unknown_section_suggests_the_nearest_and_every_problem_is_told_at_once() -> None:
    text = """\
trainer: {_target_: pytorch_lightning.Trainer}
system:
  _target_: lighter.System
  modle: {_target_: torch.nn.Linear}
  metrics: {train: null, predict: null}
  dataloaders: {trian: null}
  adapters: {train: {bacth: null}, tets: {}}
arg: 5
args: {fitt: {}}
seed: one
project: 5
"""
    assert (
        screen(lambda: compose([write(text, head="")]))
        == """
config.yaml:8:1: arg: 'arg' is not a known section
    8 | arg: 5
      | ^
  did you mean 'args'?

config.yaml:10:7: seed: must be a whole number
   10 | seed: one
      |       ^

config.yaml:11:10: project: must be a folder
   11 | project: 5
      |          ^

config.yaml:9:8: args::fitt: 'fitt' is not a known stage
    9 | args: {fitt: {}}
      |        ^
  did you mean 'fit'?

config.yaml:4:3: system::modle: 'modle' is not a known argument of lighter.System
    4 |   modle: {_target_: torch.nn.Linear}
      |   ^
  did you mean 'model'?

config.yaml:6:17: system::dataloaders::trian: 'trian' is not a known mode
    6 |   dataloaders: {trian: null}
      |                 ^
  did you mean 'train'?

config.yaml:5:26: system::metrics::predict: 'predict' is not a known mode
    5 |   metrics: {train: null, predict: null}
      |                          ^
  known: train, val, test

config.yaml:7:36: system::adapters::tets: 'tets' is not a known mode
    7 |   adapters: {train: {bacth: null}, tets: {}}
      |                                    ^
  did you mean 'test'?

config.yaml:7:22: system::adapters::train::bacth: 'bacth' is not a known adapter
    7 |   adapters: {train: {bacth: null}, tets: {}}
      |                      ^
  did you mean 'batch'?

9 problems
"""
    )


@pytest.mark.parametrize("section", ["trainer", "system"])
def test_trainer_and_system_are_needed(section: str) -> None:
    other = "trainer: {_target_: a}" if section == "system" else "system: {_target_: a}"
    with pytest.raises(ConfigError, match=f"config.yaml: the section '{section}' is missing"):
        compose([write(other, head="")])
    with pytest.raises(
        ConfigError, match=f"config.yaml:2:1: {section}: '{section}' must be a mapping with a `_target_`"
    ):
        compose([write(f"{other}\n{section}: {{a: 1}}", head="")])
    with pytest.raises(ConfigError, match="must be a mapping with a `_target_`"):
        composed("", f"{section}=null")


def test_an_override_does_not_make_a_system() -> None:
    with pytest.raises(ConfigError, match="there is no 'system' in the config"):
        compose([write("trainer: {_target_: a}", head="")], ["system::metrics::train=1"])


@pytest.mark.parametrize(
    "line",
    [
        "vars: {anything: [1]}\nsweep: {anything: 1}\ndata: {_target_: a}",
        "args: {fit: {ckpt_path: a}, validate: {}, test: {}, predict: {}}",
        "args: '@vars::args'\nseed: '$1 + 1'",
        "args: null\nseed: null\nproject: null\n_imports_: null",
        "seed: 5\nproject: folder\n_imports_: {np: numpy}\n_requires_: [os]",
    ],
)
def test_what_the_structure_allows(line: str) -> None:
    composed(line)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("seed: true", "config.yaml:1:7: seed: must be a whole number"),
        ("seed: 1.5", "seed: must be a whole number"),
        ("project: [a]", "project: must be a folder"),
        ("args: 5", "config.yaml:1:7: args: must be a mapping"),
        ("args: text", "args: must be a mapping"),
        ("_imports_: [numpy]", "_imports_: must be a mapping"),
        ("1: a", "config.yaml:1:1: 1: '1' is not a known section"),
    ],
)
def test_what_the_structure_refuses(line: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        composed(line)


def test_a_system_of_another_class_has_arguments_of_its_own() -> None:
    config = compose(
        [write("trainer: {_target_: a}\nsystem: {_target_: my.Module, anything: 1, metrics: {odd: 1}}", head="")]
    )
    assert config.plain("system::anything") == 1


@pytest.mark.parametrize("slot", ["dataloaders", "metrics", "adapters"])
def test_a_mode_table_can_be_a_component_or_a_reference(slot: str) -> None:
    for value in ("{_target_: my.Table, odd: 1}", "'@vars::table'", "null", "[1]"):
        compose([write(f"{SYSTEM}  {slot}: {value}", head="")])
