"""What a checkpoint keeps of an optimizer and a scheduler, against which a config says nothing."""

from __future__ import annotations

from lighter.config import Config
from lighter.errors import RunError
from lighter.runs.compare.settings import SEPARATOR, setting
from lighter.runs.record.flat import flatten
from lighter.runs.record.run_file import Run
from lighter.runs.record.secrets import Secrets

SLOTS = ("system::optimizer", "system::scheduler")
NOT_KEPT = ("interval", "frequency", "monitor", "strict", "name")  # of a scheduler: these are the config's

_INSTEAD = (
    "leave it as it was; or begin a new run that loads the weights alone, with "
    "lighter.utils.model.adjust_prefix_and_load_state_dict"
)


def check_kept(run: Run, config: Config) -> None:
    """Refuse to go on with a run whose optimizer or scheduler is to be another: the checkpoint has the one it was.

    One that is added or taken away has no state to go on with, and may be.

    Raises:
        RunError: a setting of one differs.
    """
    before, now = run.config, flatten(Secrets.of().hide_in_config(config.root)[0])
    for slot in SLOTS:
        own = [[path for path in paths if path.startswith(f"{slot}{SEPARATOR}")] for paths in (before, now)]
        if not all(own):
            continue
        for path in dict.fromkeys(own[0] + own[1]):
            one, other = setting(before, path), setting(now, path)
            if one != other and path.removeprefix(f"{slot}{SEPARATOR}") not in NOT_KEPT:
                node = config.find(path)
                raise RunError(
                    f"goes on as the checkpoint has it, {_shown(one)}, and cannot become {_shown(other)}",
                    place=node.place if node else None,
                    path=path,
                    suggestion=_INSTEAD,
                )


def _shown(value: object) -> str:
    return "nothing" if value is None else str(value)
