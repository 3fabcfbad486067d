"""The known targets: for each a definition of what stands beside its `_target_`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from lighter.config.check.arguments import EMPTY
from lighter.config.check.help import summary
from lighter.config.check.signatures import signature_of
from lighter.config.structure import RESERVED
from lighter.schema.arguments import Schema, argument_schema
from lighter.schema.words import own_argument

# Keys that stand beside arguments: those that say how files merge, of YAML, and of this language.
BESIDE = f"::|^[=~]|^<<$|^_({'|'.join(key.strip('_') for key in RESERVED if key != '_target_')})_$"

# Arguments that take more than their annotation says, as their own documentation has it.
_ANNOTATED_TOO_NARROWLY = {
    ("torch.nn.LazyConvTranspose2d", "dilation"),
    ("torch.optim.lr_scheduler.CyclicLR", "base_momentum"),
    ("torch.optim.lr_scheduler.CyclicLR", "max_momentum"),
    ("torchvision.datasets.Kinetics", "frame_rate"),
    ("torchvision.transforms.v2.RandomErasing", "value"),
}


def target_definitions(targets: Mapping[str, Callable[..., Any]]) -> tuple[dict[str, Schema], dict[str, str]]:
    """Return the definitions of targets, each under its first name, and for each name that of its definition."""
    definitions: dict[str, Schema] = {}
    names: dict[str, str] = {}
    first: dict[int, str] = {}
    for name, target in targets.items():
        if id(target) not in first and (definition := _definition(name, target)) is not None:
            definitions[name] = definition
            first[id(target)] = name
        if id(target) in first:
            names[name] = first[id(target)]
    return definitions, names


def close(schema: Schema) -> Schema:
    """Return a schema of a mapping that has no keys but its properties, and what may stand beside any."""
    return {**schema, "patternProperties": {BESIDE: {}}, "additionalProperties": False}


def _definition(name: str, target: Callable[..., Any]) -> Schema | None:
    signature = signature_of(target)
    if signature is None:
        return None
    properties: dict[str, Schema] = {"_target_": {"description": text} if (text := summary(target)) else {}}
    for key, argument in signature.named.items():
        if (name, key) in _ANNOTATED_TOO_NARROWLY:
            argument = replace(argument, annotation=EMPTY)
        schema = properties[key] = argument_schema(argument)
        if text := own_argument(target, key):
            schema["description"] = ". ".join(filter(None, [schema.get("description"), text]))
    schema = {"properties": properties}
    return schema if signature.open else close(schema)
