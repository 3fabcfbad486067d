from __future__ import annotations

import json

import pytest

from lighter.config import compose
from lighter.runs.compare.settings import differing, labels, setting
from lighter.runs.record.flat import flatten
from lighter.runs.record.run_file import Setting

CONFIG = """\
vars: {lr: 0.1, odd: .inf, none: null, 2: two, true: yes, empty: {}, list: [1, [2]], no: []}
trainer: {_target_: pytorch_lightning.Trainer, max_epochs: "%vars::lr"}
system:
  _target_: lighter.System
  optimizer: {_target_: torch.optim.SGD, lr: "@vars::lr"}
  metrics:
    train: {accuracy: {_target_: torchmetrics.Accuracy, top: 5}}
    val: "%::train"
    test: "%::val"
"""


@pytest.fixture
def flat(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> dict[str, Setting]:
    monkeypatch.chdir(str(tmp_path))
    with open("config.yaml", "w", encoding="utf-8") as file:  # noqa: PTH123
        file.write(CONFIG)
    return flatten(compose("config.yaml").root)


def test_a_flat_config_has_each_value_at_its_path_as_json_can_hold_it(flat: dict[str, Setting]) -> None:
    assert {path: value for path, value in flat.items() if path.startswith("vars::")} == {
        "vars::lr": 0.1,
        "vars::odd": "inf",
        "vars::none": None,
        "vars::2": "two",
        "vars::true": True,
        "vars::empty": "{}",
        "vars::list::0": 1,
        "vars::list::1::0": 2,
        "vars::no": "[]",
    }
    assert json.loads(json.dumps(flat, allow_nan=False)) == flat


def test_every_path_of_it_is_one_of_the_config(flat: dict[str, Setting]) -> None:
    config = compose("config.yaml")
    for path, value in flat.items():
        assert config.plain(path) == value or value in ("inf", "{}", "[]"), path


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("vars::lr", 0.1),
        ("trainer::max_epochs", 0.1),
        ("system::optimizer::lr", 0.1),
        ("system::optimizer", "torch.optim.SGD"),
        ("system::metrics::val::accuracy::top", 5),
        ("system::metrics::test::accuracy", "torchmetrics.Accuracy"),
        ("system::nothing", None),
        ("nothing", None),
        ("", None),
    ],
)
def test_a_setting_is_found_behind_references(flat: dict[str, Setting], path: str, value: Setting) -> None:
    assert setting(flat, path) == value


def test_references_in_a_circle_lead_nowhere() -> None:
    assert setting({"a": "@b", "b": "@a", "c": "%::c"}, "a") is None
    assert setting({"c": "%::c"}, "c") is None


def test_settings_differ_by_value_in_whatever_order() -> None:
    configs: list[dict[str, Setting]] = [{"a": 1, "b": 1, "c": "x", "d": 2}, {"d": 2.0, "c": "x", "b": "1", "a": 1}]
    assert differing(configs) == ["b"]
    assert differing([{"a": None}, {}]) == ["a"]
    assert differing([{"a": 1}]) == []


def test_of_a_component_that_some_lack_only_the_target_is_told() -> None:
    component: dict[str, Setting] = {"s::_target_": "a.B", "s::x": 1, "s::inner::_target_": "c.D", "s::inner::y": 1}
    assert differing([component, {}]) == ["s::_target_"]
    assert differing([component, {**component, "s::_target_": "a.C", "s::x": 2}]) == ["s::_target_", "s::x"]
    assert differing([{}, {"a::x": 1, "a::y": 2}]) == ["a::x", "a::y"]


def test_labels_are_as_short_as_tells_them_apart() -> None:
    paths = ["vars::lr", "a::b::depth", "c::depth", "system::optimizer::_target_", "x::0", "epochs::x", "vars::epochs"]
    assert labels(paths, reserved=["epochs"]) == {
        "vars::lr": "lr",
        "a::b::depth": "b::depth",
        "c::depth": "c::depth",
        "system::optimizer::_target_": "optimizer",
        "x::0": "x::0",
        "epochs::x": "x",
        "vars::epochs": "vars::epochs",
    }
