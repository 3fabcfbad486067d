"""The `**kwargs` that a constructor keeps and another method hands on, which its own source does not show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import FunctionType

from lighter.config.check.arguments import Signature
from lighter.config.check.scopes import Receiver, lookup
from lighter.config.targets import TargetError, import_object

Describe = Callable[[Callable[..., object]], Signature | None]


@dataclass(frozen=True)
class LaterCall:
    """What a method calls with what the constructor has kept, and the names that it gives itself."""

    method: str
    target: str
    given: tuple[str, ...]


_WRAPPERS = {  # of a model, by the constructors of Lightning's strategies
    "ddp.DDPStrategy.__init__": LaterCall(
        "_setup_model", "torch.nn.parallel.DistributedDataParallel", ("module", "device_ids")
    ),
    "fsdp.FSDPStrategy.__init__": LaterCall(
        "_setup_model", "torch.distributed.fsdp.FullyShardedDataParallel", ("module", "device_id")
    ),
}
_CALLS = {
    f"{package}.strategies.{name}": call
    for package in ("pytorch_lightning", "lightning.pytorch")
    for name, call in _WRAPPERS.items()
}


def call_of(function: FunctionType, receiver: Receiver | None) -> LaterCall | None:
    """Return the call that gets what a constructor keeps; None where there is none, or a subclass makes its own."""
    call = _CALLS.get(f"{function.__module__}.{function.__qualname__}")
    found = lookup(receiver.kind, call.method) if call and receiver else None
    return call if found and getattr(found[1], "__module__", None) == function.__module__ else None


def taking(
    signature: Signature, call: LaterCall, describe: Callable[[Callable[..., object]], Signature | None]
) -> Signature:
    """Add to a signature what the call takes of the names that it leaves open."""
    try:
        target = import_object(call.target)
    except TargetError:
        return signature
    inner = describe(target) if callable(target) else None
    if inner is None:
        return signature
    named = {name: item for name, item in inner.named.items() if name not in call.given}
    return replace(signature, named={**named, **signature.named}, open=inner.open)
