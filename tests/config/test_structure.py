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

config.yaml:10:7: seed: must be a whole number, not 'one'
   10 | seed: one
      |       ^

config.yaml:11:10: project: must be a folder, not 5
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


def test_a_key_near_a_reserved_one_is_told_of_it_wherever_it_stands() -> None:
    text = """\
trainer: {_targt_: pytorch_lightning.Trainer}
system:
  _target_: lighter.System
  _modes_: callable
  model: {_target_: a, layers: [{_target_: b, _arg_: [1]}, {__target__: c}]}
vars: {x: {_target_: d, _disable_: true}}
"""
    assert (
        screen(lambda: compose([write(text, head="")]))
        == """
config.yaml:1:11: trainer::_targt_: '_targt_' is not a reserved key
    1 | trainer: {_targt_: pytorch_lightning.Trainer}
      |           ^
  did you mean '_target_'?

config.yaml:4:3: system::_modes_: '_modes_' is not a reserved key
    4 |   _modes_: callable
      |   ^
  did you mean '_mode_'?

config.yaml:5:47: system::model::layers::0::_arg_: '_arg_' is not a reserved key
    5 |   model: {_target_: a, layers: [{_target_: b, _arg_: [1]}, {__target__: c}]}
      |                                               ^
  did you mean '_args_'?

config.yaml:5:61: system::model::layers::1::__target__: '__target__' is not a reserved key
    5 |   model: {_target_: a, layers: [{_target_: b, _arg_: [1]}, {__target__: c}]}
      |                                                             ^
  did you mean '_target_'?

config.yaml:6:25: vars::x::_disable_: '_disable_' is not a reserved key
    6 | vars: {x: {_target_: d, _disable_: true}}
      |                         ^
  did you mean '_disabled_'?

5 problems
"""
    )


@pytest.mark.parametrize(
    "key",
    [
        "_name_",
        "_base_",
        "_model_",
        "_node_",
        "_code_",
        "_kwargs_",
        "_size_",
        "__init__",
        "_",
        "__",
        "target",
        "_target",
        "1",
    ],
)
def test_other_keys_with_underscores_are_nobodys_business(key: str) -> None:
    assert composed(f"vars: {{x: {{{key}: 1}}}}").plain("vars::x") is not None


def test_a_key_with_dots_is_told_of_the_separator() -> None:
    text = "trainer: {_target_: a}\ntrainer.max_epochs: 3\nsystem: {_target_: lighter.System, model: {}, model.size: 1}"
    with pytest.raises(ConfigError) as caught:
        compose([write(text, head="")])
    assert [problem.suggestion for problem in caught.value.problems] == [
        "levels are separated by '::': 'trainer::max_epochs'",
        "levels are separated by '::': 'model::size'",
    ]
    assert composed("vars: {a: {}, a.b: 1}").plain("vars") == {"a": {}, "a.b": 1}


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
