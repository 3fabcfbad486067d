"""From a dotted name to the object it names, with an error that says what is missing."""

from __future__ import annotations

import builtins
import functools
import importlib
import importlib.util
import inspect
import pkgutil
import sys
from collections.abc import Callable
from types import ModuleType

from lighter.errors import did_you_mean, nearest, own_frame

USUAL = {  # what people import these names for
    "np": "numpy",
    "pd": "pandas",
    "plt": "matplotlib.pyplot",
    "pl": "pytorch_lightning",
    "L": "lightning",
    "nn": "torch.nn",
    "F": "torch.nn.functional",
    "optim": "torch.optim",
    "transforms": "torchvision.transforms",
}
_FAILURES = (Exception, SystemExit)  # SystemExit: of a script without `if __name__ == "__main__"`


class TargetError(LookupError):
    """A dotted name that names nothing; the mend is looked for only when someone asks."""

    def __init__(
        self,
        message: str,
        find_nearest: Callable[[], str | None] = lambda: None,
        suggest: Callable[[], str | None] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self._find_nearest = find_nearest
        self._suggest = suggest

    @functools.cached_property
    def nearest(self) -> str | None:
        """The right name, where there is one that is alike."""
        return self._find_nearest()

    @functools.cached_property
    def suggestion(self) -> str | None:
        """The mend, where there is one."""
        if self._suggest:
            return self._suggest()
        return f"did you mean {self.nearest!r}?" if self.nearest else None


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
    found: object = _import_first(parts[0], name)
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
    kind = "module" if isinstance(owner, ModuleType) else "class" if isinstance(owner, type) else type(owner).__name__
    raise TargetError(f"the {kind} {owner_name!r} has no {part!r}", lambda: _nearest_member(owner, owner_name, part))


def _nearest_member(owner: object, owner_name: str, part: str) -> str | None:
    match = nearest(part, _names(owner))
    return f"{owner_name}.{match}" if match else None


def _import(module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name == module:
            raise TargetError(f"there is no module {module!r}", suggest=lambda: _top_level(module)) from error
        missing = error.name or ""
        raise TargetError(_failed(module, error, str(error)), suggest=lambda: _top_level(missing)) from error
    except _FAILURES as error:
        raise TargetError(_failed(module, error, f"{type(error).__name__}: {error}")) from error


def _import_first(module: str, name: str) -> ModuleType:
    """Import the module that a name begins with, or say what stands for what is no module."""
    try:
        return _import(module)
    except TargetError as error:
        whole = USUAL.get(module) or (hasattr(builtins, module) and f"builtins.{module}")
        if not whole or not isinstance(error.__cause__, ModuleNotFoundError) or error.__cause__.name != module:
            raise
        meant = whole + name[len(module) :]
        raise TargetError(error.message, lambda: meant) from error


def class_in(name: str) -> str | None:
    """Return the class or function that the name of a module was most likely meant to be, such as that of its name."""
    *parents, last = name.split(".")
    for owner in (".".join(parents), name):
        found = sys.modules.get(owner)
        for member in _listed(found) if found is not None else ():
            if member.lower() == last.lower().replace("_", "") and callable(
                inspect.getattr_static(found, member, None)
            ):
                return f"{owner}.{member}"
    return None


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


def _listed(owner: object) -> list[str]:
    """Return what `dir` does, but ask no one but a module."""
    if not isinstance(owner, ModuleType):
        kind = owner if isinstance(owner, type) else type(owner)
        return sorted({name for base in kind.__mro__ for name in vars(base)})
    try:
        return dir(owner)
    except Exception:  # it may list itself
        return sorted(vars(owner))


def _names(owner: object) -> list[str]:
    """Return the public names of an object, modules first: of two that are alike, the last is suggested."""
    names = [name for name in _listed(owner) if not name.startswith("_")]
    names.sort(key=lambda name: not isinstance(inspect.getattr_static(owner, name, None), ModuleType))
    if isinstance(owner, ModuleType) and hasattr(owner, "__path__"):
        return [*(found.name for found in pkgutil.iter_modules(owner.__path__)), *names]
    return names
