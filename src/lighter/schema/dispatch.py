"""The choice of what a target takes by its `_target_`: a tree, so that an editor need not try them all."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby

from lighter.schema.arguments import Schema

_FEW = 10  # that are tried one by one


def ref(name: str) -> Schema:
    return {"$ref": f"#/definitions/{name}"}


def dispatch(targets: Mapping[str, Schema]) -> list[Schema]:
    """Return branches from the names of targets to what these take; at most one of them is taken."""
    if len(targets) <= _FEW:
        return [_branch({"const": name}, schema) for name, schema in targets.items()]
    ordered = sorted(targets)
    pairs = enumerate(zip(ordered[0], ordered[-1], strict=False))
    length = next((index for index, (first, last) in pairs if first != last), len(ordered[0])) + 1
    branches = []
    for start, names in groupby(ordered, lambda name: name[:length]):
        below = dispatch({name: targets[name] for name in names})
        pattern = f"^{start}".replace(".", r"\.")
        branches += below if len(below) == 1 else [_branch({"pattern": pattern}, {"allOf": below})]
    return branches


def _branch(target: Schema, then: Schema) -> Schema:
    return {"if": {"properties": {"_target_": target}}, "then": then}
