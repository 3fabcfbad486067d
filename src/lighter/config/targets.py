"""From a dotted name to the object it names, with an error that says what is missing."""

from __future__ import annotations

import builtins
import functools
import importlib
import importlib.util
import inspect
import pkgutil
import sys
from types import ModuleType

from lighter.errors import did_you_mean, nearest, own_frame

_FAILURES = (Exception, SystemExit)  # SystemExit: of a script without `if __name__ == "__main__"`


class TargetError(LookupError):
    """A dotted name that names nothing; `suggestion` is the mend, and `nearest` the right name, where there is one."""

    def __init__(self, message: str, suggestion: str | None = None, nearest: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.suggestion = suggestion
        self.nearest = nearest


def import_object(name: str) -> object:
    """Return the object at a dotted name, importing the modules on the way; a bare name is a builtin.

    Raises:
        TargetError: a part does not exist, or its import failed.
    """
    parts = name.split(".")
    if not is_dotted(name):
        raise TargetError(f"{name!r} is not a dotted name such as torch.nn.Linear")
    if len(parts) == 1 and hasattr(builtins, name):
        return getattr(builtins, name)
    found: object = _import(parts[0])
    for depth, part in enumerate(parts[1:], 1):
        found = _member(found, ".".join(parts[:depth]), part)
    return found


def is_dotted(name: str) -> bool:
    """Tell whether a text has the form of a dotted name."""
    return all(part.isidentifier() for part in name.split("."))


def _member(owner: object, owner_name: str, part: str) -> object:
    try:
        return getattr(owner, part)
    except AttributeError:
        pass
    except _FAILURES as error:  # lazy imports and the like: code of the owner's own may answer
        reason = f"{type(error).__name__}: {error}"
        raise TargetError(_failed(f"{owner_name}.{part}", error, reason)) from error
    module = owner if isinstance(owner, ModuleType) else sys.modules.get(owner_name)
    if isinstance(module, ModuleType) and hasattr(module, "__path__"):
        try:
            return _import(f"{owner_name}.{part}")
        except TargetError:
            if _is_there(f"{owner_name}.{part}"):
                raise
    name = nearest(part, _names(owner))
    match = f"{owner_name}.{name}" if name else None
    kind = "module" if isinstance(owner, ModuleType) else "class" if isinstance(owner, type) else type(owner).__name__
    raise TargetError(
        f"the {kind} {owner_name!r} has no {part!r}", f"did you mean {match!r}?" if match else None, match
    )


def _import(module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name == module:
            raise TargetError(f"there is no module {module!r}", _top_level(module)) from error
        raise TargetError(_failed(module, error, str(error)), _top_level(error.name or "")) from error
    except _FAILURES as error:
        raise TargetError(_failed(module, error, f"{type(error).__name__}: {error}")) from error


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # ValueError: a module without a spec
        return False


def _failed(module: str, error: BaseException, reason: str) -> str:
    return "\n  ".join(filter(None, [f"importing {module!r} failed: {reason}", own_frame(error)]))


def _top_level(module: str) -> str | None:
    """Suggest what to do about a top-level module that is missing."""
    top = module.split(".")[0]
    known = {*sys.modules, *sys.stdlib_module_names, *_importable(tuple(sys.path))}
    if not top or top in known:
        return None
    if top == "project":
        return "the config needs `project: FOLDER`"
    return did_you_mean(top, (name for name in known if "." not in name), 0.85) or f"not installed? pip install {top}"


@functools.lru_cache(maxsize=1)
def _importable(path: tuple[str, ...]) -> tuple[str, ...]:
    """Return the modules in the folders of a path."""
    return tuple(found.name for found in pkgutil.iter_modules(path))


def _names(owner: object) -> list[str]:
    """Return the public names of an object, modules first: of two that are alike, the last is suggested."""
    try:
        names = [name for name in dir(owner) if not name.startswith("_")]
    except Exception:  # an owner's own `__dir__`
        return []
    names.sort(key=lambda name: not isinstance(inspect.getattr_static(owner, name, None), ModuleType))
    if isinstance(owner, ModuleType) and hasattr(owner, "__path__"):
        return [*(found.name for found in pkgutil.iter_modules(owner.__path__)), *names]
    return names
