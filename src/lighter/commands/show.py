"""`lighter show`."""

from __future__ import annotations

import functools
import io
import sys

from lighter.commands import HELP, Help, Job
from lighter.commands._arguments import split_arguments

HELP_TEXT = Help(
    usage="lighter show SOURCE... [OVERRIDE...] [--at PATH] [--origin]",
    summary="Print the composed config, with the origin of every value if asked for.",
    text=(
        "Prints what the sources and overrides make together, as YAML that loads again to the same config.\n"
        "Nothing in it is imported, built or evaluated. Safe on a file from a stranger."
    ),
    flags=(
        ("--at PATH", "Print only the part at this path; references on the way to it are followed."),
        ("--origin", "Say beside every value which line or override it is from, and what it replaced."),
        HELP,
    ),
    examples=(
        "lighter show config.yaml trainer::max_epochs=5",
        "lighter show base.yaml experiment.yaml --origin",
        "lighter show base.yaml experiment.yaml --at system::optimizer --origin",
        "lighter show base.yaml experiment.yaml > composed.yaml",
        "lighter show model.ckpt",
    ),
)


def run(*arguments: str, at: str | None = None, origin: bool = False) -> Job:
    """Print the composed config, with the origin of every value if asked for."""
    sources, overrides = split_arguments(arguments)
    return Job(functools.partial(_run, sources, overrides, at or "", origin), logs=False)


def _run(sources: list[str], overrides: list[str], at: str, origin: bool) -> int:
    from lighter.config import compose
    from lighter.config.origin import show, show_origins
    from lighter.config.part import part_at

    part, notes = part_at(compose(sources, overrides).root, at)
    text = show_origins(part) if origin else show(part)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # as config files are, whatever the locale
    print("".join(f"# {note}\n" for note in notes) + text, end="")
    return 0
