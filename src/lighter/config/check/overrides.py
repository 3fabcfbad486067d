"""Overrides that make a new variable which nothing uses, as one does whose name is mistyped."""

from __future__ import annotations

import re

from lighter.config.check.subject import Subject
from lighter.config.compose import parse_override
from lighter.config.tree import PathError, is_reference, key_text, nodes, walk
from lighter.errors import ConfigError, did_you_mean


def check_overrides(subject: Subject) -> None:
    root = subject.config.root
    for text in subject.config.overrides:
        try:
            path = parse_override(text).path
            node, parent = walk(root, path), walk(root, path[:-1])
        except (ConfigError, PathError):
            continue  # told of where the config was composed, or a deletion
        if path[0] != "vars" or node.place.override != text or node.replaced is not None:
            continue
        name = key_text(path[-1])
        references = (str(item.value) for _, item in nodes(root) if is_reference(item.value, "@%$"))
        suggestion = did_you_mean(name, [key_text(key) for key, item in parent.items() if item is not node])
        if suggestion and not any(re.search(rf"\b{re.escape(name)}\b", text) for text in references):
            subject.problem(
                path, node.place, f"this makes a new variable {name!r}, which nothing uses", text, suggestion
            )
