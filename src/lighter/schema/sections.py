"""The fixed structure of a config: its sections, the System's slots, and what stands in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import pytorch_lightning as pl

from lighter._optimization import SCHEDULER_KEYS
from lighter.config.check.signatures import signature_of
from lighter.config.structure import ADAPTERS, MODE_TABLES, RESERVED, SECTIONS, SLOTS, STAGES, SYSTEM_TARGETS
from lighter.schema import words
from lighter.schema.arguments import REFERENCE, Schema, argument_schema, value_schema
from lighter.schema.catalog import TRAINER
from lighter.schema.dispatch import ref

IS_COMPONENT: Schema = {"type": "object", "required": ["_target_"]}
DELETION: Schema = {"type": ["array", "null"], "errorMessage": "~ takes null, or a list of the items to delete"}

_PART: Schema = {
    "type": ["object", "string", "null"],
    "pattern": REFERENCE,
    "errorMessage": "takes a mapping, a reference (@, %) or an expression ($)",
}
_PARTS: Schema = {
    "type": ["object", "array", "string", "null"],
    "pattern": REFERENCE,
    "errorMessage": "takes a mapping, a list, a reference (@, %) or an expression ($)",
}
_TEXT: Schema = {"type": ["string", "null"]}
_SCHEDULER_TYPES = {"interval": Literal["step", "epoch"], "frequency": int, "monitor": str, "strict": bool, "name": str}


def definitions() -> dict[str, Schema]:
    """Return the definitions that sections refer to."""
    adapters = table({adapter: _about(words.ADAPTERS[adapter], ref("Part")) for adapter in ADAPTERS})
    return {
        "Part": _PART,
        "Parts": _PARTS,
        "Adapters": {"allOf": [ref("Part"), _unless_component(adapters)]},
        "Scheduler": _scheduler(),
    }


def sections(trainer: Mapping[str, Schema]) -> Schema:
    """Return the schema of a whole file; `trainer` are the Trainer's arguments."""
    names = "|".join(SECTIONS)
    only = {name: _only(schema) for name, schema in trainer.items() if name != "_target_"}
    slots = {slot: {"description": words.SLOTS[slot], **_hinted(slot)} for slot in SLOTS}
    stages = table({stage: _about(words.STAGES[stage], ref("Part")) for stage in STAGES})
    own: dict[str, list[Schema]] = {
        "_imports_": [ref("Part"), {"patternProperties": {"^~": DELETION}, "additionalProperties": _TEXT}],
        "_requires_": [{"type": ["array", "string", "null"], "items": {"type": "string"}}],
        "args": [ref("Part"), ref("Value"), stages],
        "data": [ref("Part"), ref("Value")],
        "project": [_TEXT],
        "seed": [{"type": ["integer", "string", "null"], "pattern": REFERENCE}],
        "sweep": [],
        "system": [ref("Part"), ref("Value"), {"if": _targets(SYSTEM_TARGETS), "else": {"properties": slots}}],
        "trainer": [ref("Part"), ref("Value"), {"if": IS_COMPONENT, "else": {"properties": only}}],
    }
    return {
        "type": ["object", "null"],
        "properties": {name: _about(words.SECTIONS[name], *own.get(name, [ref("Value")])) for name in SECTIONS},
        "patternProperties": {
            f"^=({names})(::|$)|^({names})::|^<<$": ref("Value"),
            f"^~({names})(::|$)": DELETION,
        },
        "additionalProperties": False,
        "if": {"required": ["trainer"], "properties": {"trainer": {**IS_COMPONENT, **_targets([TRAINER])}}},
        "then": {"properties": {"args": {"properties": {stage: _stage(stage) for stage in STAGES}}}},
    }


def slots() -> dict[str, Schema]:
    """Return the System's slots whose values are more than arguments."""
    tables = {slot: _slot(slot, ref("Part"), _unless_component(_modes(slot))) for slot in MODE_TABLES}
    return tables | {"optimizer": _slot("optimizer", ref("Parts")), "scheduler": _slot("scheduler", ref("Scheduler"))}


def table(entries: Mapping[str, Schema]) -> Schema:
    """Return a mapping that has only these keys, and keys that are paths or operators on them."""
    names = "|".join(entries)
    beside = f"^=?({names})(::|$)|^(~|<<$|({'|'.join(RESERVED)})$)"
    return {"properties": dict(entries), "patternProperties": {beside: {}}, "additionalProperties": False}


def _modes(slot: str) -> Schema:
    if slot != "adapters":
        return table({mode: ref("Parts") for mode in MODE_TABLES[slot]})
    return table({mode: ref("Adapters") for mode in MODE_TABLES[slot]})


def _hinted(slot: str) -> Schema:
    """Return what an editor may propose in a slot of a System that another file names; nothing is refused."""
    if slot not in MODE_TABLES:
        return {}
    inner = {"properties": {name: _about(words.ADAPTERS[name]) for name in ADAPTERS}} if slot == "adapters" else {}
    return {"properties": dict.fromkeys(MODE_TABLES[slot], inner)}


def _scheduler() -> Schema:
    """Return a scheduler, Lightning's mapping around one, or several of them."""
    types = {key: value_schema(_SCHEDULER_TYPES[key]) for key in SCHEDULER_KEYS if key in _SCHEDULER_TYPES}
    hints = {key: _about(words.SCHEDULER[key]) for key in SCHEDULER_KEYS}
    mapping = table({key: types.get(key, ref("Part")) for key in SCHEDULER_KEYS})
    around = {"properties": hints, "if": {"required": ["scheduler"]}, "then": mapping}
    return {"allOf": [ref("Parts"), _unless_component(around)], "items": ref("Scheduler")}


def _stage(stage: str) -> Schema:
    signature = signature_of(getattr(pl.Trainer, stage))
    assert signature
    arguments = {name: argument_schema(argument) for name, argument in signature.named.items()}
    return table({name: schema for name, schema in arguments.items() if name not in ("self", "model", "datamodule")})


def _slot(slot: str, *schemas: Schema) -> Schema:
    return _about(words.SLOTS[slot], *schemas)


def _about(description: str, *schemas: Schema) -> Schema:
    return {"allOf": list(schemas), "description": description} if schemas else {"description": description}


def _only(schema: Schema) -> Schema:
    """Return an argument's help without its type."""
    return {key: schema[key] for key in ("description", "default") if key in schema}


def _unless_component(schema: Schema) -> Schema:
    return {"if": {"required": ["_target_"]}, "else": schema}


def _targets(names: Iterable[str]) -> Schema:
    return {"required": ["_target_"], "properties": {"_target_": {"enum": list(names)}}}
