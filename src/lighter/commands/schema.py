"""`lighter schema`."""

from __future__ import annotations

from lighter.commands import HELP, Help, Job
from lighter.errors import UsageError

HELP_TEXT = Help(
    usage="lighter schema",
    summary="Print the JSON Schema of a config, for editors.",
    text=(
        "With it an editor proposes keys and targets, explains them, and marks what is wrong, as you write.\n"
        "It is made from the packages that are installed; make it anew after an update.\n"
        "docs/schema.md says how to switch it on in VS Code, PyCharm and others."
    ),
    flags=(HELP,),
    examples=("lighter schema > lighter.schema.json",),
)


def run(*arguments: str) -> Job:
    """Print the JSON Schema of a config, for editors."""
    if arguments:
        raise UsageError("lighter schema takes no arguments", value=arguments[0])
    return Job(_run, logs=False)


def _run() -> int:
    import gc

    gc.disable()  # collecting while torch and Lightning are imported is a third of the time that takes
    from lighter.schema import json_schema, text

    print(text(json_schema()), end="")
    return 0
