"""Values that were taken out as secrets when a run was recorded."""

from __future__ import annotations

from lighter.config.check.subject import Subject
from lighter.config.stored import hidden_problem
from lighter.config.tree import nodes


def check_hidden(subject: Subject) -> None:
    config = subject.config
    if not config.hidden:
        return
    needed = config.hidden & {node.place for _, node in subject.written}
    subject.problems += [hidden_problem(path, node) for path, node in nodes(config.root) if node.place in needed]
