"""What a value looks like: a row for it and one for each of its parts, with type, shape, dtype, device and range."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence, Set, Sized
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import torch
from torch import Tensor

from lighter.errors import shorten

DEPTH = 8  # of values in values
FIRST, FIRST_KEYS = 3, 40  # of the items of a list and of anything else that are shown, and beside these
FORMS = 8  # of items that differ in type or shape, so that the odd one is seen
LOOKED_AT = 1000  # items
WIDTH = 40  # of text
SCALARS = (bool, int, float, complex, str, bytes)


@dataclass(frozen=True)
class Row:
    """One value, as text; `marks` say what needs to be seen: `3 NaN`."""

    name: str
    kind: str = ""
    shape: str = ""
    dtype: str = ""
    device: str = ""
    range: str = ""
    marks: tuple[str, ...] = ()


def rows_of(name: str, value: object) -> list[Row]:
    """Return a row for a value and for what is in it, named as one would write it: `batch["image"][0]`."""
    return list(_rows(name, value, DEPTH))


def parts_of(value: object) -> Sequence[tuple[str, object]]:
    """Return what is in a value, each with what reaches it: `[0]`, `["image"]` or `.image`."""
    try:
        return _parts(value)
    except Exception:  # a stranger's type may raise whatever it is asked
        return []


def stored(tensor: Tensor) -> Tensor:
    """Return the values that a tensor of any layout holds, as a plain strided tensor."""
    tensor = tensor.detach()
    if tensor.is_nested or tensor.layout in (torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc):
        return tensor.values() if tensor.layout != torch.strided else torch.cat([part.flatten() for part in tensor])
    if tensor.layout == torch.sparse_coo:
        return tensor._values()
    if tensor.is_quantized:
        return tensor.dequantize()
    return tensor.as_subclass(Tensor)


def _parts(value: Any) -> Sequence[tuple[str, object]]:
    if isinstance(value, Mapping) or (callable(getattr(value, "keys", None)) and hasattr(value, "__getitem__")):
        return [(f"[{_key(key)}]", value[key]) for key in value.keys()]  # noqa: SIM118 - also of what only acts like one
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return [(f".{field}", item) for field, item in zip(value._fields, value, strict=True)]
    if isinstance(value, list | tuple):
        return [] if _elements(value) else [(f"[{index}]", item) for index, item in enumerate(value)]
    if is_dataclass(value) and not isinstance(value, type):
        return [(f".{field.name}", getattr(value, field.name, None)) for field in fields(value)]
    attributes = getattr(value, "__dict__", None)
    if attributes and not (callable(value) or hasattr(value, "shape") or _is_image(value)):
        return [(f".{key}", item) for key, item in attributes.items() if _is_array(item) and not key.startswith("_")]
    return []


def _rows(name: str, value: object, depth: int) -> Iterator[Row]:
    try:
        yield _row(name, value)
    except Exception:  # as above
        yield Row(name, type(value).__name__)
    parts = parts_of(value) if depth else []
    first = FIRST if isinstance(value, list | tuple) and len(parts) > FIRST + 1 else FIRST_KEYS
    seen: set[tuple[object, ...]] = set()
    hidden: list[Row] = []
    count = 0
    for index, (suffix, part) in enumerate(parts[:LOOKED_AT]):
        rows = list(_rows(name + suffix, part, depth - 1))
        form = tuple((row.kind, row.shape, row.dtype, bool(row.marks)) for row in rows)
        if index < first or (form not in seen and len(seen) < FORMS):
            yield from rows
            seen.add(form)
        else:
            hidden += rows
            count += 1
    if count := count + len(parts[LOOKED_AT:]):
        yield Row(f"{name}[…]", f"{count} more", marks=_sum(row.marks for row in hidden))


def _row(name: str, value: object) -> Row:
    if value is None:
        return Row(name, "None")
    if isinstance(value, Tensor):
        return _tensor_row(name, value)
    kind = type(value).__name__
    if isinstance(value, str | bytes):
        return Row(name, kind, range=shorten(repr(value), WIDTH))
    if isinstance(value, bool | int | float | complex):
        finite = _is_finite(value)
        return Row(name, kind, range=_number(value) * finite, marks=() if finite else (_not_finite(value),))
    if _is_array(value):
        return _array_row(name, value)
    if _is_image(value):
        return _image_row(name, value)
    if isinstance(value, list | tuple) and (element := _elements(value)):
        return _scalars_row(name, value, element)
    if isinstance(value, Mapping | list | tuple | Set):
        return Row(name, kind, _items(value))
    return Row(name, kind)


def _tensor_row(name: str, tensor: Tensor) -> Row:
    kind = type(tensor).__name__
    if tensor.is_nested:
        kind += ", nested"
    elif tensor.layout != torch.strided:
        kind += f", {str(tensor.layout).removeprefix('torch.')}"
    try:
        shape = f"[{', '.join(map(str, tensor.shape))}]"
    except RuntimeError:  # of a nested one
        shape = f"[{tensor.size(0)}, …]"
    return Row(name, kind, shape, str(tensor.dtype).removeprefix("torch."), str(tensor.device), *_range(tensor))


def _array_row(name: str, value: Any) -> Row:
    shape = f"[{', '.join(map(str, value.shape))}]"
    return Row(name, type(value).__name__, shape, str(value.dtype), "", *_range(_copied(value)))


def _image_row(name: str, image: Any) -> Row:
    """Return the row of one of PIL's images, whose size is width times height."""
    extremes = image.getextrema()
    bands = [extremes] if isinstance(extremes[0], int | float) else extremes
    limits = _between(min(low for low, _ in bands), max(high for _, high in bands))
    return Row(name, type(image).__name__, " x ".join(map(str, image.size)), image.mode, "", limits)


def _scalars_row(name: str, values: Sequence[Any], element: type) -> Row:
    kind, count = type(values).__name__, _items(values)
    if element in (str, bytes):
        return Row(name, kind, count, element.__name__, "", shorten(repr(values[0]), WIDTH) + ", …" * (len(values) > 1))
    return Row(name, kind, count, element.__name__, "", *_range(_copied(values)))


def _copied(values: Any) -> Tensor | None:
    """Return numbers as a tensor; None for what torch cannot hold: text, objects, times."""
    try:
        values = values.copy() if hasattr(values, "strides") else values  # which torch wants positive
        floats = isinstance(values, Sequence) and isinstance(values[0], float)
        return torch.tensor(values, dtype=torch.float64 if floats else None)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        return None


def _items(values: Sized) -> str:
    return f"{len(values)} item{'s' * (len(values) != 1)}"


def _range(tensor: Tensor | None) -> tuple[str, tuple[str, ...]]:
    """Return the least and the greatest value as text, and how many are not finite."""
    if tensor is None:
        return "", ()
    if tensor.device.type == "meta":
        return "no data", ()
    try:
        return _limits(stored(tensor))
    except (RuntimeError, NotImplementedError, TypeError):  # a subclass or dtype that cannot be looked at
        return "", ()


def _limits(values: Tensor) -> tuple[str, tuple[str, ...]]:
    count = values.numel()
    if not count:
        return "empty", ()
    if values.dtype == torch.bool:
        return (str(values.item()).lower() if count == 1 else f"{int(values.sum())} of {count} true"), ()
    modulus = "modulus " if values.is_complex() else ""
    if values.is_complex():
        values = values.abs()
    elif not values.is_floating_point():
        values = values.long()
    elif values.element_size() < 4:
        values = values.float()
    nan, infinite = int(values.isnan().sum()), int(values.isinf().sum())
    marks = tuple(f"{number} {what}" for number, what in ((nan, "NaN"), (infinite, "Inf")) if number)
    if nan + infinite == count:
        return "", marks
    finite = values[values.isfinite()] if marks else values
    return modulus + _between(finite.min().item(), finite.max().item(), all_of=count > 1), marks


def _between(low: float, high: float, *, all_of: bool = True) -> str:
    if low == high:
        return f"all {_number(low)}" if all_of else _number(low)
    return f"{_number(low, 3)} … {_number(high, 3)}"


def _number(value: complex, digits: int = 4) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int) else f"{value:.{digits}g}"


def _is_finite(value: complex) -> bool:
    return math.isfinite(abs(value)) if isinstance(value, float | complex) else True


def _not_finite(value: complex) -> str:
    return "1 NaN" if math.isnan(abs(value)) else "1 Inf"


def _sum(marks: Iterator[tuple[str, ...]]) -> tuple[str, ...]:
    totals: dict[str, int] = {}
    for mark in (mark for several in marks for mark in several):
        number, _, what = mark.partition(" ")
        totals[what] = totals.get(what, 0) + int(number)
    return tuple(f"{number} {what}" for what, number in totals.items())


def _elements(values: Sequence[object]) -> type | None:
    """Return the type that all items of a list of plain scalars have; None for any other list."""
    kinds = {type(value) for value in values}
    kind = kinds.pop() if len(kinds) == 1 else None
    return kind if kind in SCALARS else None


def _is_array(value: object) -> bool:
    return isinstance(value, Tensor) or (hasattr(value, "shape") and hasattr(value, "dtype"))


def _is_image(value: object) -> bool:
    return type(value).__module__.startswith("PIL.") and hasattr(value, "getextrema")


def _key(key: object) -> str:
    return f'"{key}"' if isinstance(key, str) else repr(key)
