"""The whole schema: what an editor needs to propose, explain and check what is written in a config."""

from __future__ import annotations

import json
from collections import Counter
from importlib.metadata import version
from typing import Any

from lighter.config.check.components import MODES
from lighter.config.structure import SYSTEM_TARGETS
from lighter.schema import sections, words
from lighter.schema.arguments import REFERENCE, SWITCHES, Schema
from lighter.schema.catalog import TRAINER, known_targets
from lighter.schema.dispatch import dispatch, ref
from lighter.schema.share import share
from lighter.schema.targets import target_definitions

_PACKAGES = ("lighter", "pytorch-lightning", "torch", "torchmetrics", "torchvision")
_NAME = r"[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*"
_WIDTH = 1000  # of a line, where there is more to it than one value
_REFERENCE = {"type": "string", "pattern": REFERENCE}


def json_schema() -> Schema:
    """Return the JSON Schema (draft 7) of a config, made from the installed packages."""
    found, names = target_definitions(known_targets())
    system = names[SYSTEM_TARGETS[0]]
    found[system] = sections.table({**found[system]["properties"], **sections.slots()})
    targets, parts = share(found)
    several = {name: targets[name] for name, times in Counter(names.values()).items() if times > 1}
    branches = dispatch({name: ref(first) if first in several else targets[first] for name, first in names.items()})
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": "lighter.schema.json",
        "$comment": f"Made by `lighter schema` of {', '.join(f'{name} {version(name)}' for name in _PACKAGES)}.",
        "title": "Lighter config",
        **sections.sections(found[TRAINER]["properties"]),
        "definitions": {
            **_values(list(names), branches),
            **sections.definitions(),
            **several,
            **dict(sorted(parts.items())),
        },
    }


def _values(names: list[str], branches: list[Schema]) -> dict[str, Schema]:
    """Return what a value is anywhere in a config: text, number, list, mapping, component."""
    keys: dict[str, Schema] = {
        "_target_": ref("Target"),
        "_args_": {"allOf": [ref("Value"), {"type": ["array", "object", "string"], "pattern": REFERENCE}]},
        "_mode_": {"anyOf": [{"enum": list(MODES)}, _REFERENCE]},
        "_disabled_": {"type": ["boolean", "string"], "pattern": f"{REFERENCE}|^({SWITCHES})$"},
    }
    below = {"patternProperties": {"^~": sections.DELETION}, "additionalProperties": ref("Value")}
    told = {key: {"allOf": [schema], "description": words.RESERVED[key]} for key, schema in keys.items()}
    is_known: Schema = {"properties": {"_target_": {"type": "string"}}}
    is_absent = {**sections.IS_COMPONENT, "required": ["_target_", "_disabled_"]}
    is_absent["properties"] = {"_disabled_": {"not": {"const": False}}}
    return {
        "Value": {
            "if": is_absent,  # or may turn out to be: what it holds is never built
            "then": {"properties": {"_disabled_": told["_disabled_"]}},
            "else": {
                "items": ref("Value"),
                "if": sections.IS_COMPONENT,
                "then": ref("Component"),
                "else": ref("Mapping"),
            },
        },
        "Mapping": {"properties": told, **below},
        "Component": {
            "properties": {**told, "_target_": keys["_target_"]},  # the target tells of itself
            **below,
            "if": is_known,
            "then": {"allOf": branches},
        },
        # The names are what an editor proposes. No text is as short as the second choice wants, or else
        # an editor would list all of them whenever it tells of one.
        "Target": {
            "anyOf": [
                {
                    "type": "string",
                    "pattern": rf"{REFERENCE}|^{_NAME}(\.{_NAME})*$",
                    "errorMessage": "takes a dotted name, such as torch.nn.Linear",
                },
                {"type": "string", "maxLength": 0, "enum": names},
            ]
        },
    }


def text(schema: Schema) -> str:
    """Return a schema as JSON of lines that are neither many nor long."""
    return _lines(schema) + "\n"


def _lines(value: Any) -> str:
    line = json.dumps(value, separators=(",", ":"))
    if len(line) <= _WIDTH or not isinstance(value, (dict, list)):
        return line
    if isinstance(value, dict):
        return "{\n" + ",\n".join(f"{json.dumps(key)}:{_lines(item)}" for key, item in value.items()) + "\n}"
    return "[\n" + ",\n".join(map(_lines, value)) + "\n]"
