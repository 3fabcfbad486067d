"""What several targets have in common becomes a definition, which keeps the schema small."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from itertools import count

from lighter.schema.arguments import Schema
from lighter.schema.dispatch import ref

_SHORT = 60  # characters: a reference is no shorter


def share(targets: Mapping[str, Schema]) -> tuple[dict[str, Schema], dict[str, Schema]]:
    """Return the targets, and the definitions of what they share: types of arguments, and whole arguments."""
    parts = _Parts()
    found = {
        name: {**schema, "properties": {key: _typed(item, parts) for key, item in schema["properties"].items()}}
        for name, schema in targets.items()
    }
    times = Counter((key, _text(item)) for schema in found.values() for key, item in schema["properties"].items())
    for schema in found.values():
        for key, item in schema["properties"].items():
            if times[key, _text(item)] > 1 and len(_text(item)) > _SHORT:
                schema["properties"][key] = parts.ref(key, item)
    return found, parts.definitions


def _typed(schema: Schema, parts: _Parts) -> Schema:
    inner = schema.get("allOf", [{}])[0]
    message = (inner["anyOf"][-1] if "anyOf" in inner else inner).get("errorMessage", "")
    if not message:
        return schema
    return {**schema, "allOf": [parts.ref(message.partition(";")[0].removeprefix("takes "), inner)]}


class _Parts:
    """Definitions that are named after what they are of, equal ones of a name only once."""

    def __init__(self) -> None:
        self.definitions: dict[str, Schema] = {}
        self._names: dict[tuple[str, str], str] = {}

    def ref(self, words: str, schema: Schema) -> Schema:
        key = words, _text(schema)
        if key not in self._names:
            slug = re.sub(r"\W+", "-", words)[:40].strip("-")
            names = (f"{slug}-{number}" if number > 1 else slug for number in count(1))
            name = self._names[key] = next(name for name in names if name not in self.definitions)
            self.definitions[name] = schema
        return ref(self._names[key])


def _text(schema: Schema) -> str:
    return json.dumps(schema, sort_keys=True)
