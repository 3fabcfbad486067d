"""The functions that the System itself calls with a known number of arguments: the inferer, and the plan of a model."""

from __future__ import annotations

from lighter.config.check.called import function_in
from lighter.config.check.objects import is_ours
from lighter.config.check.stages import overrides
from lighter.config.check.subject import Subject

CALLED = {"inferer": ("input", "model"), "parallelize": ("model", "device_mesh")}  # what each gets, by position
CALLERS = {  # the System's own methods that call it
    "inferer": ("validation_step", "test_step", "predict_step"),
    "parallelize": ("configure_model",),
}


def check_plans(subject: Subject) -> None:
    """Find functions that cannot be called as the System does it."""
    for slot, given in CALLED.items():
        if is_ours(subject, slot) and not any(overrides(subject, hook) for hook in CALLERS[slot]):
            _check(subject, slot, given)


def _check(subject: Subject, slot: str, given: tuple[str, ...]) -> None:
    function = function_in(subject, slot)
    if function is None or subject.is_told(function.path):
        return
    signature, gets = function.signature, f"gets {' and '.join(given)}, by position"
    placed = {argument.name for argument in signature.positional[: len(given)]}
    arguments = dict.fromkeys([*(argument.name for argument in signature.positional), *signature.named])
    missing = [repr(name) for name in arguments if name in signature.required - placed]
    if len(given) > len(signature.positional) and not signature.any_positional:
        takes = ", ".join(argument.name for argument in signature.positional) or "nothing"
        message = f"{function.name} takes {takes}, and {gets}"
    elif missing:
        message = f"{function.name} needs {' and '.join(missing)}, and {gets}"
    else:
        return
    suggestion = f"system::{slot} is called with ({', '.join(given)})"
    subject.problem(function.path, function.place, message, function.name, suggestion)
