from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassRecall

from lighter._metrics import SharedMetrics
from lighter.adapters import BatchAdapter, CriterionAdapter, LoggingAdapter, MetricsAdapter, describe, name_of, pair
from lighter.errors import ConfigError, RunError

IMAGE, LABEL, PRED = torch.zeros(4, 3), torch.zeros(4, dtype=torch.int64), torch.ones(4, 10)


def received(*args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return args, kwargs


# Batches


@pytest.mark.parametrize("accessors", [(0, 1, 2), (-3, -2, -1)])
def test_batch_parts_are_taken_by_index(accessors: tuple[int, int, int]) -> None:
    assert BatchAdapter(*accessors)(["x", "y", "id"]) == ("x", "y", "id")


def test_batch_parts_are_taken_by_key_or_by_callable() -> None:
    adapter = BatchAdapter("image", lambda batch: batch["label"] * 2, "path")
    assert adapter({"image": 1, "label": 2, "path": "a.png"}) == (1, 4, "a.png")


def test_batch_parts_without_an_accessor_are_none() -> None:
    assert BatchAdapter(0)([1, 2, 3]) == (1, None, None)


@pytest.mark.parametrize("accessor", [True, 1.5, ["image"], None])
def test_batch_accessor_of_another_kind_is_refused(accessor: Any) -> None:
    with pytest.raises(ConfigError, match=r"BatchAdapter: input_accessor must be an index, a key or a callable, not"):
        BatchAdapter(accessor)


def test_failing_accessor_names_itself_and_the_batch() -> None:
    with pytest.raises(ConfigError) as caught:
        BatchAdapter("image", "labels")({"image": IMAGE, "label": LABEL})
    assert str(caught.value) == (
        "BatchAdapter target_accessor='labels' received {image: float32[4, 3], label: int64[4]}: KeyError: 'labels'"
    )
    assert isinstance(caught.value.__cause__, KeyError)


def test_failing_accessor_callable_is_named() -> None:
    def second(batch: Any) -> Any:
        return batch[1]

    with pytest.raises(ConfigError, match=r"second received list of 1 \(int\): IndexError: list index out of range"):
        BatchAdapter(second)([1])


def test_default_takes_input_and_target_from_a_pair() -> None:
    assert pair([IMAGE, LABEL, "more"]) == (IMAGE, LABEL, None)


def test_default_shows_a_dict_batch_and_how_to_write_the_adapter() -> None:
    with pytest.raises(ConfigError) as caught:
        pair({"image": IMAGE, "label": LABEL})
    assert str(caught.value) == (
        "without a batch adapter, a batch must be (input, target), but it is {image: float32[4, 3], label: int64[4]}\n"
        "  say where they are: lighter.adapters.BatchAdapter(input_accessor='image', target_accessor=...)"
    )


@pytest.mark.parametrize("batch", [torch.zeros(8, 2), [IMAGE], {}], ids=["tensor", "one item", "empty"])
def test_default_never_takes_samples_for_input_and_target(batch: Any) -> None:
    with pytest.raises(ConfigError, match=r"without a batch adapter, a batch must be \(input, target\)"):
        pair(batch)


# Arguments


def test_arguments_are_passed_by_position() -> None:
    adapter = CriterionAdapter(input_argument=2, target_argument=0, pred_argument=1)
    assert adapter(received, "x", "y", "p") == (("y", "p", "x"), {})


def test_arguments_are_passed_by_keyword_beside_positions() -> None:
    adapter = MetricsAdapter(input_argument="image", target_argument="labels", pred_argument=0)
    assert adapter(received, "x", "y", "p") == (("p",), {"image": "x", "labels": "y"})


def test_argument_that_is_not_named_is_not_passed() -> None:
    assert CriterionAdapter(pred_argument=0)(received, "x", "y", "p") == (("p",), {})


def test_without_arguments_pred_and_target_are_passed_as_without_an_adapter() -> None:
    assert CriterionAdapter()(lambda *given: given, 1, 2, 3) == (3, 2)
    assert MetricsAdapter(pred_transforms=str)(lambda *given: given, 1, 2, 3) == ("3", 2)


def test_transforms_apply_in_their_order() -> None:
    adapter = CriterionAdapter(
        target_argument=1, pred_argument=0, target_transforms=[lambda y: y + 1, lambda y: y * 10], pred_transforms=str
    )
    assert adapter(received, 0, 1, 2) == (("2", 20), {})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pred_argument": 1}, r"positions must count from 0 without a gap, not \[1\]"),
        ({"pred_argument": 0, "target_argument": 2}, r"without a gap, not \[0, 2\]"),
        ({"pred_argument": -1}, r"without a gap, not \[-1\]"),
        ({"pred_argument": 0, "target_argument": 0}, "go to the same argument"),
        ({"pred_argument": "x", "input_argument": "x"}, "go to the same argument"),
        ({"pred_argument": False}, "an argument is a position or a keyword, not False"),
        ({"pred_argument": 0, "target_argument": True}, "an argument is a position or a keyword, not True"),
        ({"pred_argument": 1.0}, "an argument is a position or a keyword, not 1.0"),
        ({"pred_argument": 0, "pred_transforms": 3}, "CriterionAdapter pred_transforms: 3 is not callable"),
        ({"pred_argument": 0, "input_transforms": [str, "lower"]}, "input_transforms: 'lower' is not callable"),
    ],
)
def test_arguments_that_cannot_be_right_are_refused_when_given(arguments: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CriterionAdapter(**arguments)


def test_failing_criterion_shows_what_it_received_and_where() -> None:
    with pytest.raises(RunError) as caught:
        CriterionAdapter(pred_argument=0, target_argument=1)(nn.CrossEntropyLoss(), IMAGE, LABEL, torch.ones(8, 10))
    assert str(caught.value) == (
        "CrossEntropyLoss received 0 (pred): float32[8, 10], 1 (target): int64[4]: "
        "ValueError: Expected input batch_size (8) to match target batch_size (4)."
    )
    assert isinstance(caught.value.__cause__, ValueError)


def test_failing_call_names_its_keywords() -> None:
    with pytest.raises(
        RunError, match=r"MSELoss received 0 \(pred\): float32\[4, 10\], truth \(target\): int64\[4\]: "
    ):
        CriterionAdapter(pred_argument=0, target_argument="truth")(nn.MSELoss(), IMAGE, LABEL, PRED)


def test_failing_metrics_are_named() -> None:
    metrics = SharedMetrics(MetricCollection({"acc": MulticlassAccuracy(10), "recall": MulticlassRecall(10)}))
    with pytest.raises(RunError, match=r"^acc, recall received 0 \(pred\): float32\[4, 10\], 1 \(target\): int64\[3\]"):
        MetricsAdapter(pred_argument=0, target_argument=1)(metrics.update, IMAGE, LABEL[:3], PRED)


def test_failing_transform_is_named_with_what_it_received() -> None:
    def to_box(value: Tensor) -> Tensor:
        raise IndexError("no box")

    adapter = CriterionAdapter(pred_argument=0, pred_transforms=[to_box])
    with pytest.raises(RunError, match=r"pred_transforms: .*to_box received float32\[4, 10\]: IndexError: no box"):
        adapter(received, IMAGE, LABEL, PRED)


def test_out_of_memory_stays_out_of_memory() -> None:
    def allocate(pred: Tensor) -> Tensor:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.cuda.OutOfMemoryError):
        CriterionAdapter(pred_argument=0)(allocate, IMAGE, LABEL, PRED)


def test_our_own_error_is_not_wrapped_again() -> None:
    def refuse(pred: Tensor) -> Tensor:
        raise ConfigError("plain")

    with pytest.raises(ConfigError, match=r"^plain$"):
        CriterionAdapter(pred_argument=0)(refuse, IMAGE, LABEL, PRED)


# Logging


def test_logging_adapter_changes_only_what_it_has_transforms_for() -> None:
    assert LoggingAdapter(pred_transforms=[lambda p: p + 1, str])(1, 2, 3) == (1, 2, "4")


# Texts


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (torch.zeros(2, 3, dtype=torch.bfloat16), "bfloat16[2, 3]"),
        (torch.tensor(1), "int64[]"),
        (np.zeros((2, 2)), "float64[2, 2]"),
        (None, "None"),
        ("text", "str"),
        ([IMAGE] * 5, "list of 5 (float32[4, 3], float32[4, 3], float32[4, 3], ...)"),
        ((1, {"boxes": [LABEL]}), "tuple of 2 (int, {boxes: list of 1 (int64[4])})"),
    ],
)
def test_values_are_described_by_their_shape(value: Any, text: str) -> None:
    assert describe(value) == text


@pytest.mark.parametrize(
    ("part", "name"),
    [
        (nn.MSELoss(), "MSELoss"),
        (nn.MSELoss().forward, "MSELoss"),
        (nn.functional.mse_loss, "mse_loss"),
        (partial(nn.functional.mse_loss, reduction="sum"), "mse_loss"),
        (torch.sigmoid, "sigmoid"),
    ],
)
def test_parts_are_named_as_their_author_named_them(part: Any, name: str) -> None:
    assert name_of(part).endswith(name)
