from __future__ import annotations

import argparse
import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
import torchmetrics
import torchvision  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.strategies import FSDPStrategy
from torch import nn, optim
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader
from torchmetrics.classification import MulticlassAccuracy
from torchvision.transforms import v2  # type: ignore[import-untyped]

from lighter.config.check.help import argument_help, summary


def documented(text: str) -> Callable[..., None]:
    def function() -> None: ...

    function.__doc__ = text
    return function


class Base:
    """Hold what is given.

    Args:
        size: how many.
    """


class Derived(Base):
    """Hold more of it."""

    def __init__(self, rate: float = 0.1, size: int = 1) -> None:
        """Initialize.

        Args:
            rate: how fast.
        """


class Silent(Derived):
    def __init__(self, rate: float) -> None: ...


class Made:
    def __init__(self) -> None:
        """Make it, e.g. for a test. Then more."""


@dataclass
class Options:
    size: int = 1


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (nn.Linear, "Applies an affine linear transformation to the incoming data: y = xA^T + b"),
        (nn.LSTM, "Apply a multi-layer long short-term memory (LSTM) RNN to an input sequence"),
        (optim.SGD, "Implements stochastic gradient descent (optionally with momentum)"),
        (pl.Trainer, "Customize every aspect of training via flags"),
        (WandbLogger, "Log using Weights and Biases"),
        (MulticlassAccuracy, "Compute Accuracy for multiclass tasks"),
        (torchvision.datasets.CIFAR10, "CIFAR10 Dataset"),
        (
            torchvision.datasets.ImageFolder,
            "A generic data loader where the images are arranged in this way by default",
        ),
        (nn.functional.relu, "Applies the rectified linear unit function element-wise"),
        (nn.ReLU(), "Applies the rectified linear unit function element-wise"),
        (functools.partial(nn.ReLU), "Applies the rectified linear unit function element-wise"),
        (np.add, "Add arguments element-wise"),
        (argparse.ArgumentParser, "Object for parsing command line strings into Python objects"),
        (Made, "Make it, e.g. for a test"),
        (torchvision.models.ResNet, None),
        (Silent, None),
        (Options, None),  # only what dataclass says of itself
        (dict, None),
        (5, None),
        (None, None),
    ],
    ids=lambda item: getattr(item, "__name__", str(item)[:40]),
)
def test_a_summary_is_the_first_sentence(target: object, text: str | None) -> None:
    assert summary(target) == text


@pytest.mark.parametrize(
    ("owner", "name", "text"),
    [
        (nn.Linear, "in_features", "size of each input sample"),
        (nn.Linear.__init__, "in_features", "size of each input sample"),
        (nn.LSTM, "hidden_size", "The number of features in the hidden state h"),
        (nn.Upsample, "size", "output spatial sizes"),
        (nn.CrossEntropyLoss, "size_average", "Deprecated (see reduction)"),
        (optim.SGD, "lr", "learning rate (default: 1e-3)"),
        (optim.AdamW, "betas", "coefficients used for computing running averages of gradient and its square"),
        (
            lr_scheduler.OneCycleLR,
            "div_factor",
            "Determines the initial learning rate via initial_lr = max_lr/div_factor",
        ),
        (pl.Trainer, "max_epochs", "Stop training once this number of epochs is reached"),
        (ModelCheckpoint, "monitor", "quantity to monitor"),
        (EarlyStopping, "mode", "one of 'min', 'max'"),
        (
            EarlyStopping,
            "min_delta",
            "minimum change in the monitored quantity to qualify as an improvement, i.e. an absolute…",
        ),
        (MulticlassAccuracy, "num_classes", "Integer specifying the number of classes"),
        (MulticlassAccuracy, "average", "Defines the reduction that is applied over labels"),
        (MulticlassAccuracy, "multidim_average", "Defines how additionally dimensions ... should be handled"),
        (torchmetrics.Metric, "compute_on_cpu", "If metric state should be stored on CPU during computations"),
        (DataLoader, "batch_size", "how many samples per batch to load (default: 1)"),
        (
            DataLoader,
            "multiprocessing_context",
            "If None, the default multiprocessing context of your operating system will be used",
        ),
        (v2.RandomCrop, "size", "Desired output size of the crop"),
        (torchvision.models.resnet18, "weights", "The pretrained weights to use"),
        (torchvision.datasets.ImageFolder, "allow_empty", "If True, empty folders are considered to be valid classes"),
        (torch.tensor, "dtype", "the desired data type of returned tensor"),
        (FSDPStrategy, "cpu_offload", "See cpu_offload parameter in torch.distributed.fsdp.FullyShardedDataParallel"),
        (np.linspace, "num", "Number of samples to generate"),
        (functools.partial(nn.Linear, 3), "out_features", "size of each output sample"),
        (Base, "size", "how many"),
        (Derived, "rate", "how fast"),
        (Derived, "size", "how many"),
        (Silent, "rate", "how fast"),
        (nn.Linear, "device", None),
        (nn.Linear, "no_such", None),
        (torchvision.models.ResNet, "layers", None),
        (dict, "a", None),
        (None, "a", None),
        (5, "real", None),
    ],
)
def test_an_argument_is_told_in_one_line(owner: object, name: str, text: str | None) -> None:
    assert argument_help(owner, name) == text


GOOGLE = """Do it.

Arguments:
    first (:class:`~torch.Tensor`, optional): A :class:`~torch.nn.Module` of ``size`` :math:`N`. More.
    second (dict[str, (int, int)]): goes
        on here.

        And not here.
    third, fourth: both of them
    \\**others: what `Trainer <https://x.y>`_ takes
    fifth:
        Beneath it. More.

Returns:
    sixth: not an argument
"""
NUMPY = """Do it.

Parameters
----------
first : int, optional
    The **first** one. More.
second, third : {'a', 'b'}
    Both,
    on two lines.
fourth
    Without a type.

Returns
-------
fifth : int
    Not an argument.
"""
SPHINX = """Do it.

:param first: The first one
    on two lines.
:param int second: The *second* one.
:type second: int
:keyword third: The third.
:returns: nothing
"""
BULLETS = """Do it.

* **first** (:obj:`int`, defaults to 1) \N{EN DASH} The first one.
- ``second``: The [second](https://x.y) one.
"""


@pytest.mark.parametrize(
    ("doc", "lines"),
    [
        (
            GOOGLE,
            {
                "first": "A Module of size N",
                "second": "goes on here",
                "third": "both of them",
                "fourth": "both of them",
                "others": "what Trainer takes",
                "fifth": "Beneath it",
                "sixth": None,
                "on": None,
            },
        ),
        (
            NUMPY,
            {
                "first": "The first one",
                "second": "Both, on two lines",
                "third": "Both, on two lines",
                "fourth": "Without a type",
                "fifth": None,
            },
        ),
        (
            SPHINX,
            {"first": "The first one on two lines", "second": "The second one", "third": "The third", "fourth": None},
        ),
        (BULLETS, {"first": "The first one", "second": "The second one", "third": None}),
    ],
    ids=["google", "numpy", "sphinx", "bullets"],
)
def test_each_style_of_docstring_is_read(doc: str, lines: dict[str, str | None]) -> None:
    function = documented(doc)
    assert {name: argument_help(function, name) for name in lines} == lines


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (r"Scales by :math:`\frac{1}{1-p}` in training.", "Scales by in training"),
        ("Uses :func:`torch.relu` and :meth:`~Module.to`.", "Uses torch.relu and to"),
        ("See :ref:`the docs <a-label>` or `this <https://x.y>`__.", "See the docs or this"),
        ("The product a * b * c, \\*really\\*.", "The product a * b * c, *really*"),
        ("One of ``'a'``, `b`. Not more", "One of 'a', b"),
        ("Words " * 40, " ".join(["Words"] * 14 + ["Words…"])),
        ("\n\n.. note:: Not this.\n", None),
        (".. deprecated:: 1.0\n\nDo it.", "Do it"),
        ("Args:\n    a: b", None),
        ("   ", None),
    ],
)
def test_markup_is_left_out(text: str, line: str | None) -> None:
    assert summary(documented(text)) == line


def test_a_line_is_never_long_and_no_docstring_raises() -> None:
    owners = [nn.Linear, nn.LSTM, optim.Adam, pl.Trainer, ModelCheckpoint, WandbLogger, DataLoader, v2.Resize]
    texts = [argument_help(owner, name) for owner in owners for name in inspect.signature(owner).parameters]
    told = [text for text in texts if text]
    assert len(told) > 80
    assert all(len(text) <= 90 and "\n" not in text and "``" not in text and ":`" not in text for text in told)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["Args:", "    a: b", "  a (int", "Parameters", "-----", "a : int", ":param a: b", "* **a** - b"]
        )
        | st.text(max_size=12)
    ).map("\n".join),
    st.sampled_from(["a", "", "*", "\\", "(", "b.c"]),
)
def test_any_text_is_survived(text: str, name: str) -> None:
    for line in (summary(documented(text)), argument_help(documented(text), name)):
        assert line is None or (0 < len(line) <= 90 and len(line.splitlines()) == 1)


def test_what_has_no_docstring_or_a_strange_one_has_no_help() -> None:
    class Strange:
        __doc__ = 5  # type: ignore[assignment]

        def __getattr__(self, name: str) -> Any:
            raise RuntimeError(name)

    assert summary(Strange) is None
    assert summary(Strange()) is None
    assert argument_help(Strange(), "a") is None
    assert argument_help(Strange, "a") is None
