"""Helpers that change a model's layers, load part of its weights, or compile it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, TypeVar

import torch
from loguru import logger
from torch import nn

from lighter.errors import ConfigError, did_you_mean

Model = TypeVar("Model", bound=nn.Module)


def replace_layer_with(model: Model, layer_name: str, new_layer: nn.Module) -> Model:
    """Put a new layer in the place of the one with this dotted name, and return the same model.

    Raises:
        ConfigError: the model has no layer of that name.
    """
    layers = [name for name, _ in model.named_modules(remove_duplicate=False) if name]
    if layer_name not in layers:
        raise ConfigError(
            f"{type(model).__name__} has no layer {layer_name!r}",
            value=layer_name,
            suggestion=did_you_mean(layer_name, layers),
        )
    parent, _, child = layer_name.rpartition(".")
    setattr(model.get_submodule(parent), child, new_layer)
    return model


def replace_layer_with_identity(model: Model, layer_name: str) -> Model:
    """Put `nn.Identity` in the place of the layer with this dotted name, and return the same model."""
    return replace_layer_with(model, layer_name, nn.Identity())


def remove_n_last_layers_sequentially(model: nn.Module, num_layers: int = 1) -> nn.Sequential:
    """Return the model's children but the last `num_layers`, as an `nn.Sequential` in the order of their definition.

    Raises:
        ConfigError: no child would be left, or `num_layers` is negative.
    """
    children = list(model.children())
    if not 0 <= num_layers < len(children):
        raise ConfigError(
            f"cannot remove {num_layers} of the {len(children)} layers of {type(model).__name__}", value=num_layers
        )
    return nn.Sequential(*children[: len(children) - num_layers])


def adjust_prefix_and_load_state_dict(
    model: Model,
    ckpt_path: str | Path,
    ckpt_to_model_prefix: Mapping[str, str] | None = None,
    layers_to_ignore: str | Sequence[str] | None = None,
) -> Model:
    """Load what fits of a checkpoint's weights into the model, and return the same model.

    The file is a Lightning checkpoint or a bare state dict. `ckpt_to_model_prefix` maps module names in the checkpoint
    to the model's (`{"model": ""}` takes a System's checkpoint into its bare model; the longest match counts), and
    `layers_to_ignore` names modules or parameters of the model that keep the weights they have.

    Raises:
        ConfigError: the file cannot be read with `weights_only=True`, a prefix or a layer to ignore matches nothing,
            no weight fits the model, or shapes differ.
    """
    state = _rename(_read(Path(ckpt_path)), ckpt_to_model_prefix or {})
    ignored = (layers_to_ignore,) if isinstance(layers_to_ignore, str) else tuple(layers_to_ignore or ())
    for layer in ignored:
        _require_match(layer, {*state, *model.state_dict()}, "layers_to_ignore")
    state = {name: value for name, value in state.items() if not any(_is_under(name, layer) for layer in ignored)}
    _check_fit(model, state, ckpt_path)
    missing, unexpected = model.load_state_dict(state, strict=False)
    logger.info(f"Loaded {len(state) - len(unexpected)} weights from {ckpt_path}")
    for what, names in (("Missing in the checkpoint", missing), ("Not in the model", unexpected), ("Ignored", ignored)):
        if names:
            logger.info(f"{what}: {', '.join(names)}")
    return model


def compile_in_place(
    model: Model,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: str | Callable[..., Any] = "inductor",
    mode: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Model:
    """Let `torch.compile` speed up the model, and return the same model, whose weights keep their names.

    `torch.compile` itself returns another module, in which each name begins with `_orig_mod.`: a checkpoint of it does
    not fit the model that is not compiled. The arguments are those of `torch.compile`. It compiles at the first batch.
    """
    chosen = None if options is None else dict(options)
    model.compile(fullgraph=fullgraph, dynamic=dynamic, backend=backend, mode=mode, options=chosen)
    return model


def _read(path: Path) -> dict[str, Any]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, UnpicklingError, RuntimeError, EOFError) as error:
        raise ConfigError(f"cannot read the weights in {path}: {error}", value=str(path)) from error
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping):
        raise ConfigError(f"{path} holds a {type(content).__name__}, not a state dict", value=str(path))
    return {str(name): value for name, value in content.items()}


def _rename(state: Mapping[str, Any], prefixes: Mapping[str, str]) -> dict[str, Any]:
    olds = {old.rstrip("."): new.rstrip(".") for old, new in prefixes.items()}
    for old in olds:
        _require_match(old, state, "ckpt_to_model_prefix")
    renamed = {name: _rename_one(name, olds) for name in state}
    clashes = [name for name, count in Counter(renamed.values()).items() if count > 1]
    if clashes:
        raise ConfigError(f"ckpt_to_model_prefix gives several weights one name: {', '.join(clashes)}")
    return {renamed[name]: value for name, value in state.items()}


def _rename_one(name: str, prefixes: Mapping[str, str]) -> str:
    matches = [old for old in prefixes if _is_under(name, old)]
    if not matches:
        return name
    old = max(matches, key=len)
    return ".".join(part for part in (prefixes[old], name[len(old) :].lstrip(".")) if part)


def _is_under(name: str, prefix: str) -> bool:
    prefix = prefix.rstrip(".")
    return not prefix or name == prefix or name.startswith(f"{prefix}.")


def _require_match(prefix: str, names: Iterable[str], argument: str) -> None:
    names = list(names)
    if not any(_is_under(name, prefix) for name in names):
        modules = {name.rsplit(".", depth)[0] for name in names for depth in range(name.count(".") + 1)}
        raise ConfigError(
            f"{argument}: nothing is named {prefix!r}", value=prefix, suggestion=did_you_mean(prefix, sorted(modules))
        )


def _check_fit(model: nn.Module, state: Mapping[str, Any], ckpt_path: str | Path) -> None:
    own = model.state_dict()
    common = state.keys() & own.keys()
    if not common:
        raise ConfigError(
            f"no weight in {ckpt_path} has a name of {type(model).__name__}: the checkpoint has {_some(state)}, "
            f"the model {_some(own)}",
            suggestion="map the names with ckpt_to_model_prefix",
        )
    mismatches = [
        f"{name} is {_shape(state[name])} in the checkpoint, {_shape(own[name])} in the model"
        for name in own
        if name in common and _shape(state[name]) != _shape(own[name])
    ]
    if mismatches:
        raise ConfigError(
            "shapes differ: " + "; ".join(mismatches), suggestion="leave such layers out with layers_to_ignore"
        )


def _shape(value: Any) -> tuple[int, ...] | None:
    return tuple(value.shape) if isinstance(value, torch.Tensor) else None


def _some(names: Mapping[str, Any]) -> str:
    return ", ".join(list(names)[:3]) + (", …" if len(names) > 3 else "")
