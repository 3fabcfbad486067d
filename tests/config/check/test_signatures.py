from __future__ import annotations

import abc
import enum
import functools
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, NamedTuple, TypeVar, get_args

import pytest
import pytorch_lightning as pl
import torch
import torchmetrics.classification
import torchvision  # type: ignore[import-untyped]
from torchvision.transforms import v2  # type: ignore[import-untyped]

import lighter.adapters
import lighter.callbacks
from lighter.config.check.arguments import EMPTY, Signature
from lighter.config.check.signatures import signature_of

if TYPE_CHECKING:
    from decimal import Decimal

T = TypeVar("T")


def signature(target: Callable[..., object]) -> Signature:
    found = signature_of(target)
    assert found is not None
    return found


def positional(target: Callable[..., object]) -> list[str]:
    return [item.name for item in signature(target).positional]


def plain(a: int, /, b: str, c: float = 0.5, *rest: int, d: bool, e: int | None = None) -> None: ...


class Strict:
    """Keep a size."""

    registry: dict[str, int] = {}

    def __init__(self, size: int, unit: Unit | None = None) -> None: ...

    def scale(self, factor: float) -> None: ...

    @classmethod
    def make(cls, size: int, **kwargs: Any) -> Strict:
        return cls(size, **kwargs)

    @staticmethod
    def count(of: str) -> int:
        return len(of)

    def __call__(self, x: int) -> int:
        raise AssertionError("a target is never called")


class Unit: ...


# What a function declares


def test_positional_and_named_arguments_are_told_apart() -> None:
    found = signature(plain)
    assert positional(plain) == ["a", "b", "c"]
    assert found.any_positional
    assert list(found.named) == ["b", "c", "d", "e"]
    assert found.required == {"a", "b", "d"}
    assert not found.open


def test_an_argument_has_its_annotation_its_default_and_who_describes_it() -> None:
    size = signature(Strict).named["size"]
    assert (size.annotation, size.default, size.owner) == (int, EMPTY, Strict)
    assert signature(plain).named["e"].annotation == int | None
    assert signature(plain).named["c"].default == 0.5
    assert signature(plain).named["c"].owner is plain


def test_an_annotation_is_looked_up_in_the_module_then_in_the_class() -> None:
    class Local:
        Kind = Literal["a", "b"]

        def __init__(self, kind: Kind, unit: Unit) -> None: ...

    assert get_args(signature(Local).named["kind"].annotation) == ("a", "b")
    assert signature(Local).named["unit"].annotation is Unit
    assert signature(Strict).named["unit"].annotation == Unit | None


def test_an_annotation_that_cannot_be_evaluated_is_empty_and_spoils_no_other() -> None:
    def checked(a: Decimal, b: Annotated[int, "positive"], c: list[Decimal], d: None = None, *, e: 3 = 3) -> None: ...  # type: ignore[valid-type]

    named = signature(checked).named
    assert named["a"].annotation is named["c"].annotation is EMPTY
    assert named["b"].annotation == Annotated[int, "positive"]
    assert named["d"].annotation is type(None)


def test_methods_are_bound() -> None:
    assert list(signature(Strict.make).named) == ["size", "unit"]
    assert list(signature(Strict.count).named) == ["of"]
    assert list(signature(Strict.scale).named) == ["self", "factor"]
    assert list(signature(Strict(1).scale).named) == ["factor"]
    assert list(signature(Strict(1)).named) == ["x"]


# Classes


def test_a_class_without_a_constructor_takes_nothing() -> None:
    class Empty: ...

    class Abstract(abc.ABC, Generic[T]): ...

    for kind in (Empty, Abstract, Unit):
        assert signature(kind) == Signature((), False, {}, frozenset(), False)


def test_an_inherited_constructor_is_described_where_it_is_defined() -> None:
    class Child(Strict): ...

    assert signature(Child).named["size"].owner is Strict


def test_the_fields_of_a_dataclass_are_evaluated_where_they_are_declared() -> None:
    other = types.ModuleType("other_module")
    text = "from __future__ import annotations\nimport dataclasses\nclass Unit: ...\n"
    text += "@dataclasses.dataclass\nclass Base:\n    unit: Unit\n"
    sys.modules["other_module"] = other
    exec(text, vars(other))

    @dataclass
    class Child(other.Base):  # type: ignore[name-defined,misc]
        own: Unit
        names: list[str] = field(default_factory=list)
        hidden: int = field(init=False, default=0)

    found = signature(Child)
    del sys.modules["other_module"]
    assert list(found.named) == ["unit", "own", "names"]
    assert found.required == {"unit", "own"}
    assert found.named["unit"].annotation is other.Unit
    assert found.named["unit"].owner is other.Base
    assert found.named["own"].annotation is Unit


def test_named_tuples_and_enumerations_are_known() -> None:
    class Point(NamedTuple):
        x: int
        y: int = 0

    class Color(enum.Enum):
        RED = 1

    assert (positional(Point), set(signature(Point).required)) == (["x", "y"], {"x"})
    assert signature(Point).named["x"].annotation is int
    assert not signature(Point).open
    assert "value" in signature(Color).named


class Chosen:
    def __new__(cls, kind: str, **kwargs: Any) -> Any:
        if kind == "strict":
            return Strict(1, **kwargs)
        if kind == "none":
            return None
        raise ValueError(kind)

    def __init__(self, **kwargs: Any) -> None:
        raise AssertionError("it makes something else")


def test_a_constructor_that_makes_something_else_decides_alone() -> None:
    assert set(signature(Chosen).named) == {"kind", "unit"}
    assert not signature(Chosen).open


def test_a_constructor_that_makes_instances_and_the_one_that_fills_them_must_both_accept() -> None:
    class Counted:
        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            made = super().__new__(cls)
            print(args, kwargs)
            return made

        def __init__(self, size: int, rate: float = 0.1) -> None: ...

    class Named:
        def __new__(cls, size: int, name: str) -> Any:
            return object.__new__(cls)

        def __init__(self, size: int, **kwargs: Any) -> None: ...

    class Renamed:
        def __new__(cls, a: int) -> Any:
            return super().__new__(cls)

        def __init__(self, b: int) -> None: ...

    class Odd:
        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            return kwargs.get("made")

        def __init__(self, size: int) -> None: ...

    assert (positional(Counted), set(signature(Counted).required)) == (["size", "rate"], {"size"})
    assert not signature(Counted).open
    assert set(signature(Named).named) == {"size", "name"}
    assert (positional(Renamed), set(signature(Renamed).named)) == (["b"], set())
    assert signature(Renamed).required == {"b"}
    assert (set(signature(Odd).named), signature(Odd).open) == ({"size", "made"}, True)


def test_a_constructor_that_a_decorator_puts_in_front_is_seen_through() -> None:
    def deprecated(kind: Any) -> Any:
        original = kind.__new__

        def wrapper(cls: type, *args: Any, **kwargs: Any) -> Any:
            if original is not object.__new__:
                return original(cls, *args, **kwargs)
            return original(cls)

        kind.__new__ = staticmethod(wrapper)
        return kind

    @deprecated
    class Old:
        def __init__(self, size: int) -> None: ...

    assert list(signature(Old).named) == ["size"]
    assert not signature(Old).open


def test_a_metaclass_that_calls_is_followed() -> None:
    class Registering(type):
        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            kwargs.pop("register", None)
            return super().__call__(*args, **kwargs)

    class Fixed(type):
        def __call__(cls, name: str) -> Any:
            return name

    class Registered(Strict, metaclass=Registering): ...

    class Named(Strict, metaclass=Fixed): ...

    assert set(signature(Registered).named) == {"size", "unit", "register"}
    assert positional(Registered) == ["size", "unit"]
    assert set(signature(Named).named) == {"name"}


def test_a_module_takes_nothing_unless_its_class_hands_arguments_on() -> None:
    class Net(torch.nn.Module):
        def __init__(self, width: int, **kwargs: Any) -> None:
            super().__init__(**kwargs)

    class Cooperative(Net, Strict):
        call_super_init = True

    assert set(signature(Net).named) == {"width"}
    assert not signature(Net).open
    assert signature(Cooperative).open


# Other callables


def test_what_a_partial_binds_is_not_needed_again() -> None:
    def target(a: int, b: int, c: int, d: int = 0, **kwargs: Any) -> None:
        raise AssertionError

    by_place = signature(functools.partial(plain, 1, "b"))
    assert [item.name for item in by_place.positional] == ["c"]
    assert (set(by_place.named), set(by_place.required)) == ({"c", "d", "e"}, {"d"})
    by_name = signature(functools.partial(target, b=2))
    assert [item.name for item in by_name.positional] == ["a"]
    assert (set(by_name.named), set(by_name.required)) == ({"a", "b", "c", "d"}, {"a", "c"})
    assert by_name.named["b"].default == 2
    assert set(signature(functools.partial(functools.partial(Strict, unit=None), 1)).named) == {"unit"}


def test_a_cached_function_takes_what_the_function_takes() -> None:
    assert list(signature(functools.lru_cache(Strict.count)).named) == ["of"]


def test_of_what_is_written_in_c_only_functions_that_state_their_arguments_are_known() -> None:
    assert positional(len) == ["obj"]
    assert set(signature(sorted).named) == {"key", "reverse"}
    assert not signature(sorted).open
    for kind in (dict, int, torch.Tensor, torch.zeros, ValueError):
        found = signature_of(kind)
        assert found is None or found.open


def test_nothing_that_a_target_does_makes_it_raise() -> None:
    class Hostile:
        __hash__ = None  # type: ignore[assignment]

        def __getattribute__(self, name: str) -> Any:
            raise RuntimeError(name)

        def __eq__(self, other: object) -> bool:
            raise RuntimeError

        def __call__(self, a: int = 0) -> None: ...

    class Lying:
        __signature__ = "none"

        def __call__(self, *args: Any) -> None: ...

    def circular(**kwargs: Any) -> None: ...

    circular.__wrapped__ = circular  # type: ignore[attr-defined]
    for target in (Hostile(), Lying, Lying(), circular, type, object, super, 3, None):
        found = signature_of(target)  # type: ignore[arg-type]
        assert found is None or isinstance(found, Signature)


def test_unhashable_callables_are_known() -> None:
    @dataclass
    class Adder:
        amount: int

        def __call__(self, value: int) -> int:
            return value + self.amount

    assert positional(Adder(1)) == ["value"]


# Real targets


def classes(*modules: types.ModuleType, base: type = object) -> list[type]:
    """Return the public classes of a package that it defines itself."""
    found = [getattr(module, name) for module in modules for name in sorted(dir(module)) if name[0] != "_"]
    kinds = [item for item in found if isinstance(item, type) and issubclass(item, base)]
    return [kind for kind in kinds if kind.__module__.split(".")[0] == modules[0].__name__.split(".")[0]]


OPTIMIZERS = classes(torch.optim, base=torch.optim.Optimizer)
SCHEDULERS = classes(torch.optim.lr_scheduler, base=torch.optim.lr_scheduler.LRScheduler)
MODULES = classes(torch.nn, base=torch.nn.Module)
TRANSFORMS = classes(v2, base=torch.nn.Module)
METRICS = classes(torchmetrics, torchmetrics.classification, base=torchmetrics.Metric)
CALLBACKS = classes(pl.callbacks, base=pl.Callback)
KEEPING = (pl.strategies.DDPStrategy, pl.strategies.FSDPStrategy)  # which refuse what they wrap with later
LIGHTNING = [
    pl.Trainer,
    pl.LightningModule,
    *CALLBACKS,
    *classes(pl.loggers),
    *classes(pl.strategies, base=pl.strategies.Strategy),
    *classes(pl.profilers, base=pl.profilers.Profiler),
]
DATA = classes(torch.utils.data)
OWN = [lighter.System, *classes(lighter.adapters, lighter.callbacks)]
BUILDERS = [torchvision.models.get_model_builder(name) for name in torchvision.models.list_models()]

WEIGHT = torch.nn.Parameter(torch.zeros(1))
GIVEN: dict[str, object] = {
    "params": [WEIGHT],
    "optimizer": torch.optim.SGD([WEIGHT], lr=0.1),
    "task": "multiclass",
    "num_classes": 3,
    "dataset": [1],
    "data_source": [1],
    "min_precision": 0.5,
    "min_recall": 0.5,
    "min_sensitivity": 0.5,
    "min_specificity": 0.5,
    "lr_lambda": float,
    "milestones": [1],
    "dirpath": ".",
    "save_dir": ".",
    "monitor": "loss",
    "base_metric": torchmetrics.MeanMetric(),
    "wrapped_metric": torchmetrics.MeanMetric(),
}


def refusal(target: Callable[..., object], *args: object, **kwargs: object) -> str:
    """Call, and return what it raised; with nothing allocated where torch makes the tensors."""
    device = torch.device("cpu" if "regnet" in getattr(target, "__name__", "") else "meta")
    with warnings.catch_warnings(), device:
        warnings.simplefilter("ignore")
        try:
            target(*args, **kwargs)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    return ""


def required(found: Signature) -> tuple[list[object], dict[str, object]]:
    names = {"num_classes"} & found.named.keys() | found.required & found.named.keys()
    by_place: list[object] = [1 for item in found.positional if item.name in found.required - names]
    return by_place, {name: GIVEN.get(name, 1) for name in names}


def can_be_made(target: Callable[..., object]) -> bool:
    raised = refusal(target)
    return "abstract" not in raised and "has been removed" not in raised


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of profilers that were not made
@pytest.mark.parametrize(
    ("targets", "least"),
    [
        (OPTIMIZERS, 1.0),
        (SCHEDULERS, 1.0),
        (MODULES, 0.98),
        (TRANSFORMS, 1.0),
        (METRICS, 0.98),
        (LIGHTNING, 0.6),
        (DATA, 0.9),
        (OWN, 1.0),
        (BUILDERS, 0.6),
    ],
    ids=["optimizers", "schedulers", "modules", "transforms", "metrics", "lightning", "data", "own", "builders"],
)
def test_what_is_refused_is_refused_by_the_call_and_what_is_named_is_not(
    targets: list[Callable[..., object]], least: float
) -> None:
    """Give an unknown name, alone and after each known one: the call must complain of the unknown one."""
    made = [target for target in targets if targets is BUILDERS or can_be_made(target)]
    closed = [target for target in made if not signature(target).open]
    assert len(closed) >= least * len(made)
    for target in closed:
        if isinstance(target, type) and issubclass(target, KEEPING):
            continue
        found = signature(target)
        args, needed = required(found)
        raised = refusal(target, *args, **needed, zzz_nonsense=1)
        assert "zzz_nonsense" in raised or "takes no arguments" in raised, (target, raised)
        for name, item in found.named.items() if "task" not in found.named else ():
            value = GIVEN.get(name, 1) if item.default is EMPTY else item.default
            raised = refusal(target, *args, **{name: value, **needed, "zzz_nonsense": 1})
            assert not complains_of(name, raised), (target, name, raised)


def complains_of(name: str, raised: str) -> bool:
    unknown = "unexpected keyword" in raised.lower() or "multiple values" in raised
    return unknown and (f"'{name}'" in raised or f"`{name}`" in raised)


@pytest.mark.parametrize("targets", [OPTIMIZERS, SCHEDULERS, MODULES, TRANSFORMS, METRICS, CALLBACKS, DATA, OWN])
def test_an_argument_may_be_given_its_default(targets: list[Callable[..., object]]) -> None:
    for target in targets:
        found = signature(target)
        args, needed = required(found)
        for name, item in found.named.items():
            if item.default is not EMPTY and "task" not in found.named:
                raised = refusal(target, *args, **{**needed, name: item.default})
                assert not complains_of(name, raised), (target, name, raised)


def test_the_trainer_is_seen_through_its_wrapper() -> None:
    found = signature(pl.Trainer)
    assert not found.open
    assert {"max_epochs", "accelerator", "callbacks"} <= found.named.keys()
    assert found.named["max_epochs"].annotation == int | None
    assert found.named["max_epochs"].owner is pl.Trainer


def test_model_builders_are_seen_through_to_the_model() -> None:
    found = signature(torchvision.models.resnet18)
    assert not found.open
    assert {"num_classes", "pretrained", "weights", "norm_layer", "progress"} <= found.named.keys()
    assert not {"num_clases", "block", "layers"} & found.named.keys()
    assert found.named["num_classes"].annotation is int
    assert found.named["num_classes"].owner is torchvision.models.ResNet


def test_metrics_are_seen_through_to_their_base() -> None:
    found = signature(torchmetrics.Accuracy)
    assert {"task", "top_k", "average", "dist_sync_on_step", "sync_on_compute"} <= found.named.keys()
    assert found.required == {"task"}
    mean = signature(torchmetrics.MeanMetric)
    assert {"nan_strategy", "compute_on_cpu"} <= mean.named.keys()
    assert [found.open, mean.open] == [False, False]


def test_a_strategy_takes_what_it_wraps_the_model_with() -> None:
    """A subclass may wrap the model in something else."""

    class Plain(pl.strategies.DDPStrategy):
        def __init__(self, wait: int = 0, **kwargs: Any) -> None:
            super().__init__(**kwargs)

    class Other(pl.strategies.FSDPStrategy):
        def _setup_model(self, model: Any) -> Any:
            return model

    for kind in (pl.strategies.DDPStrategy, Plain):
        found = signature(kind)
        assert {
            "find_unused_parameters",
            "static_graph",
            "gradient_as_bucket_view",
            "start_method",
        } <= found.named.keys()
        assert not {"find_unused_params", "module", "device_ids"} & found.named.keys()
        assert [found.open, found.required] == [False, set()]
    found = signature(pl.strategies.FSDPStrategy)
    assert {"auto_wrap_policy", "mixed_precision", "use_orig_params", "ignored_modules"} <= found.named.keys()
    assert [found.open, signature(Other).open] == [False, True]


def test_a_subclass_of_system_takes_what_a_system_takes() -> None:
    class Distilling(lighter.System):
        def __init__(self, *args: Any, teacher: str, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)

    found = signature(Distilling)
    assert not found.open
    assert found.required == {"teacher", "model"}
    assert positional(Distilling) == positional(lighter.System)


def test_a_function_without_gradients_is_seen_through() -> None:
    @torch.no_grad()
    def build(width: int, **kwargs: Any) -> object:
        return torch.nn.Linear(width, 1, **kwargs)

    @torch.no_grad()
    def values(width: int) -> Iterator[int]:
        yield width

    assert set(signature(build).named) == {"width", "bias", "device", "dtype"}
    assert set(signature(values).named) == {"width"}
